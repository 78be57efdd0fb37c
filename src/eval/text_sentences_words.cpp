// The words that the sentence splitter knows: abbreviations whose full stop seldom ends a sentence,
// words that often begin one, ordinary words. Which texts are cut in another way than the reference
// does it is said in docs/rules.md.
#include <unordered_set>

#include "eval/text_sentences.h"

namespace ebb::eval {
namespace {

// Titles, months, places, firms and measures. Initials ("j.k", "u.s.a") and single letters need no
// list: is_abbreviation tells them by their form.
constexpr TextView kAbbreviations =
    U"adm ala ariz aug ave calif cie co col colo conn corp cos ct dec dr feb fla fri ft ga gen ill "
    U"inc "
    U"jan jr kan ky la lt ltd maj messrs mg mich minn mr mrs ms nev nov oct okla ore pa ph.d prof "
    U"rep "
    U"reps sen sep sept sr st sw tenn tues va vs vt wash wed wis yr";

constexpr TextView kStarters =
    U"according although among both but despite even he however i if in indeed instead it many "
    U"meanwhile moreover most nevertheless nonetheless nor she similarly since so some the "
    U"there these they this though thus under when while yet";

constexpr TextView kCommon =
    U"a about above across act actually add after afterwards again against age ago ahead all "
    U"allow almost alone along already also always am amount an and animal another answer any "
    U"anyone anything anyway apart are area around arrive as ask at away baby back bad bag "
    U"ball base be bear beautiful because become bed been before begin behind being believe "
    U"below beside best better between beyond big bird bit boat body bone book born bottom box "
    U"boy break bring brother build building busy buy by call came can cannot car care careful "
    U"carefully carry case cat catch cause center certain certainly chair chance change cheap "
    U"check child children choose clean clear clearly close clothes cold color come common "
    U"company complete consequently consider contain continue cook cool cost could count "
    U"country course cover create cross cry cup cut daily dance dark day dead deal dear decide "
    U"deep did different difficult dinner direct do doctor does dog done door down draw dream "
    U"dress drink drive drop dry during each earlier early earth easily easy eat education "
    U"effect egg eight either else empty end enjoy enough enter entire equal especially "
    U"evening eventually ever every everybody everyone everything everywhere exactly example "
    U"expect experience explain eye face fact fail fall false family far farm fast father fear "
    U"feel few field fight figure fill final finally find fine finish fire first fish five "
    U"floor flower fly follow food foot for force forget form former fortunately forward four "
    U"free fresh friend from front fruit full fun further furthermore future game garden gave "
    U"generally get girl give given glad go goal gone good got great ground group grow guess "
    U"had hair half hand happen happy hard has have head health hear heart heat heavy held "
    U"help hence her here herself high him himself his hold hope horse hot hour how huge human "
    U"hundred hurry idea imagine immediately important inside interest into is issue its "
    U"itself job join jump just keep key kind knew know knowledge lake language large last "
    U"late later laugh law lead learn leave left less lesson let level lie life light like "
    U"likewise line list listen little live local long look lose lost lot love low luckily "
    U"lunch machine made main make man manage many map mark market material matter maybe me "
    U"meal mean means measure medicine meet member memory men method middle mind minute miss "
    U"mistake money month moon more morning mother mountain move movie much music must my "
    U"myself name near nearly necessary need neither never new news next nice night nine no "
    U"nobody none normally not note nothing notice now number occasionally of off offer office "
    U"often old on once one only open or order originally other others our out outside over "
    U"own page paint pair paper parent parents part particularly party pass past pay people "
    U"perhaps person phone picture piece place plan plant play please point poor position "
    U"possible possibly power practice prepare present president press pretty previously price "
    U"probably problem process produce program proper protect prove provide pull push put "
    U"quality question quick quickly quiet quietly quite rain raise ran rather reach read "
    U"ready real really reason receive recently regardless relax remember report require rest "
    U"result return rice rich ride right rise river road room round rule run safe said same "
    U"sat save say scene school science sea season seat second see seem seen sell send sense "
    U"serve service set seven several shall share short should show shut side sign simple "
    U"simply sing sister sit situation six size skin sleep slow slowly small smell smile snow "
    U"social soft soil somebody someone something sometimes somewhere song soon sorry sort "
    U"sound space speak special specifically spend sport spring stand star start state stay "
    U"step still stone stop store storm story strange street strong student students study "
    U"subject subsequently success such suddenly sugar summer sun support suppose sure surely "
    U"surface surprise sweet swim system table take talk tea teach teacher teachers team tell "
    U"ten test than thank thanks that their them themselves then therefore thing things think "
    U"third those thought thousand three through throughout time tiny tired to today together "
    U"told tomorrow tonight too took top total touch toward town travel treat tree trip "
    U"trouble true try turn two type typically ultimately understand unfortunately unless "
    U"unlike until up upon us use useful usually value various very view village visit "
    U"visitors voice wait walk wall want war warm was watch water way we weather week weekend "
    U"well went were what whatever whenever where whereas wherever whether which who whoever "
    U"whole whose why wide wife will wind window winter wish with within without woman women "
    U"wonder wood word words work worker workers world worry worse would write wrong year "
    U"years yes yesterday you young your yourself";

// Common words that are part of names often enough to say nothing.
constexpr TextView kAlsoNames =
    U"a about act after again all also always an and another any anyone anything are as ask at "
    U"away be because been before behind being best between big book building by call can "
    U"cannot center come company could day did do does down each education eight end every "
    U"everybody everyone everything far father field find first five for forget four free from "
    U"get give go gone good great had has have health heart help her here high him his hope "
    U"how into is its itself just keep know lake language last later let life light like "
    U"little long look made main make man many market maybe me men middle moon more mother "
    U"mountain much must my myself never new news next nine no none not nothing now of off "
    U"office old on one only or our out over own part people place play please point power "
    U"president press real river road run same say school science sea second see service seven "
    U"shall should show six social something space special spring star start state still stone "
    U"stop store street students study such summer sun system take talk tell ten than thank "
    U"thanks that their them then think three through time to today together tomorrow too town "
    U"try turn two up upon us very village wait walk wall war was water way we well were what "
    U"where which who whole whose why wife will winter with within without woman women work "
    U"world would yes you young your yourself";

using WordSet = std::unordered_set<TextView>;

WordSet words_of(TextView list) {
  const std::vector<TextView> words = split_words(list);
  return {words.begin(), words.end()};
}

}  // namespace

// Letters with full stops between them: "j", "a.m", "u.s.s.r". Three letters stand alone as words
// or at the end of lists ("vitamin a.") so often that they are left out.
static bool is_initials(TextView word) {
  if (word == U"a" || word == U"i" || word == U"o") return false;
  if (word == U"e.g" || word == U"i.e") return false;  // the reference cuts a sentence after these
  for (size_t i = 0; i < word.size(); ++i) {
    const bool is_letter = word[i] >= U'a' && word[i] <= U'z';
    if (i % 2 == 0 ? !is_letter : word[i] != U'.') return false;
  }
  return word.size() % 2 == 1;
}

bool is_abbreviation(TextView word) {
  static const WordSet kSet = words_of(kAbbreviations);
  return kSet.contains(word) || is_initials(word);
}

bool is_sentence_starter(TextView word) {
  static const WordSet kSet = words_of(kStarters);
  return kSet.contains(word);
}

bool is_common_word(TextView word) {
  static const WordSet kSet = words_of(kCommon);
  return kSet.contains(word) || is_sentence_starter(word);
}

bool is_also_a_name(TextView word) {
  static const WordSet kSet = words_of(kAlsoNames);
  return kSet.contains(word);
}

}  // namespace ebb::eval
