#include "experiment/generator.h"

#include <fmt/format.h>

#include <algorithm>
#include <sstream>

#include "base/error.h"
#include "base/rng.h"
#include "base/text.h"

namespace ebb::experiment {
namespace {

// Purposes of draws, so that none depends on how many another one takes.
enum class Draw : uint32_t { kFillers, kBorrowed, kTopic, kPhrase };

// Control tokens and the role's name around a turn, in common chat formats.
constexpr int kTokensOfTemplate = 6;

std::string filled(const std::string& phrase, const std::string& text) {
  std::string out = phrase;
  const size_t at = out.find("{}");
  if (at != std::string::npos) out.replace(at, 2, text);
  return out;
}

// How many instruction turns stand before the deciding one.
int n_turns_before_last(ConflictKind kind) {
  if (kind == ConflictKind::kPersistent) return 0;
  return kind == ConflictKind::kWithdrawn || kind == ConflictKind::kCancelled ? 2 : 1;
}

std::string expects_of(ConflictKind kind) {
  switch (kind) {
    case ConflictKind::kPersistent:
    case ConflictKind::kWithdrawn:
      return "first";
    case ConflictKind::kOverriding:
    case ConflictKind::kConflicting:
      return "second";
    case ConflictKind::kAdded:
      return "both";
    case ConflictKind::kCancelled:
      return "neither";
  }
  return "";
}

class Composer {
 public:
  Composer(const ConversationBank& bank, const Recipe& recipe)
      : bank_(bank),
        recipe_(recipe),
        random_(recipe.seed, conversation_key(recipe.draw_key), RandomUse::kData),
        fillers_(shuffled(*recipe.domain, Draw::kFillers)) {
    const BankDomain& other = next_domain();
    if (&other == recipe.domain) return;
    std::vector<BankExchange> borrowed = shuffled(other, Draw::kBorrowed);
    borrowed[0].question = filled(phrase(bank.change_subject), borrowed[0].question);
    fillers_.insert(fillers_.end(), borrowed.begin(), borrowed.end());
  }

  int n_fillers_max() const { return static_cast<int>(fillers_.size()); }

  // With so many exchanges between the opening and the scored turn.
  Conversation build(int n_fillers) const {
    Conversation out;
    out.id = recipe_.id;
    out.conflict_type = recipe_.pair->conflict_type;
    out.domain = recipe_.domain->name;
    const std::vector<int> places = places_of_instructions(n_fillers);
    std::vector<Instruction> instructions = instructions_at(places);
    for (int i = 0; i <= n_fillers; ++i) {
      ConversationTurn user = exchange_turn(i);
      std::string reply = i == 0 ? phrase(bank_.welcome) : fillers_[i - 1].reply;
      const auto place = std::find(places.begin(), places.end(), i);
      if (place != places.end()) {
        user.instruction = instructions[place - places.begin()];
        if (i > 0) reply = phrase(bank_.acknowledge) + " " + reply;
      }
      out.turns.push_back(std::move(user));
      ConversationTurn recorded;
      recorded.turn_id = id_of(i) + 1;
      recorded.speaker = Speaker::kAssistant;
      recorded.content = std::move(reply);
      out.turns.push_back(std::move(recorded));
    }
    out.turns.push_back(scored_turn(n_fillers, instructions));
    return out;
  }

 private:
  static int id_of(int exchange) { return 2 * exchange + 1; }

  const BankDomain& next_domain() const {
    const auto here = static_cast<size_t>(recipe_.domain - bank_.domains.data());
    return bank_.domains[(here + 1) % bank_.domains.size()];
  }

  std::vector<BankExchange> shuffled(const BankDomain& domain, Draw use) const {
    std::vector<BankExchange> out = domain.fillers;
    for (size_t i = out.size(); i > 1; --i) {
      const auto draw = random_.u32(static_cast<uint32_t>(use), static_cast<uint32_t>(i));
      std::swap(out[i - 1], out[draw % i]);
    }
    return out;
  }

  // A conversation uses one variant of each phrase, so that both orders of a pair read alike.
  const std::string& phrase(const Phrases& phrases) const {
    const auto length = static_cast<uint32_t>(phrases[0].size());
    return phrases[random_.u32(static_cast<uint32_t>(Draw::kPhrase), length) % phrases.size()];
  }

  // Exchanges that hold an instruction, ascending; 0 is the opening.
  std::vector<int> places_of_instructions(int n_fillers) const {
    const int n_before = n_turns_before_last(recipe_.kind);
    const int last = recipe_.age ? n_fillers - *recipe_.age : n_before;
    if (n_before == 0) return {last};
    if (n_before == 1) return {0, last};
    return {0, std::max(1, last / 2), last};
  }

  ConversationTurn exchange_turn(int exchange) const {
    ConversationTurn out;
    out.turn_id = id_of(exchange);
    out.content = exchange == 0 ? recipe_.domain->opening : fillers_[exchange - 1].question;
    return out;
  }

  // The pair's sides in their order, and what takes them back.
  std::vector<Instruction> instructions_at(const std::vector<int>& places) const {
    const ConflictKind kind = recipe_.kind;
    const size_t first_side = recipe_.order == PairOrder::kAsListed ? 0 : 1;
    const BankInstruction& first = recipe_.pair->sides[first_side];
    const BankInstruction& second = recipe_.pair->sides[1 - first_side];
    std::vector<Instruction> out;
    out.push_back({first.id, filled(phrase(bank_.announce), first.text), first.rules,
                   id_of(places[0]), std::nullopt, ""});
    if (kind == ConflictKind::kPersistent) return out;
    const Phrases& manner = kind == ConflictKind::kAdded         ? bank_.add
                            : kind == ConflictKind::kConflicting ? bank_.conflict
                                                                 : bank_.override_first;
    out.push_back({second.id, filled(phrase(manner), second.text), second.rules, id_of(places[1]),
                   std::nullopt, ""});
    const bool is_for_good = kind == ConflictKind::kOverriding ||
                             kind == ConflictKind::kConflicting || kind == ConflictKind::kCancelled;
    if (is_for_good) {
      out[0].active_until = id_of(places[1]) - 1;
      out[0].overridden_by = second.id;
    }
    if (places.size() < 3) return out;
    out[1].active_until = id_of(places[2]) - 1;
    const bool is_second_only = kind == ConflictKind::kWithdrawn;
    out.push_back({"withdrawal",
                   phrase(is_second_only ? bank_.withdraw : bank_.cancel),
                   {},
                   id_of(places[2]),
                   std::nullopt,
                   ""});
    return out;
  }

  ConversationTurn scored_turn(int n_fillers, const std::vector<Instruction>& instructions) const {
    const auto& topics = recipe_.domain->topics;
    const uint32_t draw = random_.u32(static_cast<uint32_t>(Draw::kTopic));
    ConversationTurn out;
    out.turn_id = id_of(n_fillers + 1);
    out.query = filled(phrase(bank_.ask), topics[draw % topics.size()]);
    out.expects = expects_of(recipe_.kind);
    out.expected_behavior =
        out.expects == "neither" ? "A short note on the topic, written without either wish."
        : out.expects == "both"  ? "A short note on the topic that fulfils both wishes."
                                 : fmt::format("A short note on the topic that fulfils '{}'.",
                                               instructions[out.expects == "first" ? 0 : 1].id);
    return out;
  }

  const ConversationBank& bank_;
  const Recipe& recipe_;
  KeyedRandom random_;
  std::vector<BankExchange> fillers_;
};

}  // namespace

Conversation compose(const ConversationBank& bank, const Recipe& recipe) {
  EBB_CHECK(recipe.pair != nullptr && recipe.domain != nullptr);
  const Composer composer(bank, recipe);
  const int age = recipe.age.value_or(0);
  if (age < 0) throw Error::make(ErrorKind::kUsage, "age: found {}, expected 0 or more", age);
  const int n_least = age + n_turns_before_last(recipe.kind);
  for (int n = n_least; n <= composer.n_fillers_max(); ++n) {
    Conversation out = composer.build(n);
    if (estimated_tokens_before_last(out) >= recipe.n_tokens_min) return out;
  }
  const int n_most = composer.n_fillers_max() - n_turns_before_last(recipe.kind);
  if (n_least > composer.n_fillers_max()) {
    throw Error::make(ErrorKind::kUsage, "age: found {}, expected at most {} for {}", age, n_most,
                      conflict_kind_name(recipe.kind));
  }
  const Conversation longest = composer.build(composer.n_fillers_max());
  throw Error::make(ErrorKind::kUsage, "tokens: found {}, expected at most {} for the domain '{}'",
                    recipe.n_tokens_min, estimated_tokens_before_last(longest),
                    recipe.domain->name);
}

std::vector<Conversation> generate(const ConversationBank& bank, const GeneratorOptions& options) {
  if (options.count < 1) {
    throw Error::make(ErrorKind::kUsage, "count: found {}, expected 1 or more", options.count);
  }
  const PairRelation wanted =
      options.kind == ConflictKind::kAdded ? PairRelation::kCompatible : PairRelation::kExclusive;
  std::vector<const BankPair*> pairs;
  for (const BankPair& pair : bank.pairs) {
    if (pair.relation == wanted) pairs.push_back(&pair);
  }
  if (pairs.empty()) {
    throw Error::make(ErrorKind::kBadData, "bank: found no pair of the relation that {} needs",
                      conflict_kind_name(options.kind));
  }
  std::vector<Conversation> out;
  for (int i = 0; i < options.count; ++i) {
    // Two in a row differ in nothing but the order of the pair.
    const auto cell = static_cast<size_t>(i / 2);
    const size_t round = cell / pairs.size();
    const BankPair& pair = *pairs[cell % pairs.size()];
    const BankDomain& domain = bank.domains[(cell + round) % bank.domains.size()];
    const bool is_reversed = i % 2 == 1;
    const std::string_view kind = conflict_kind_name(options.kind);
    Recipe recipe{.kind = options.kind, .pair = &pair, .domain = &domain};
    recipe.order = is_reversed ? PairOrder::kReversed : PairOrder::kAsListed;
    recipe.age = options.age;
    recipe.n_tokens_min = options.n_tokens_min;
    recipe.seed = options.seed;
    recipe.draw_key = fmt::format("{}-{}", kind, cell);
    recipe.id = fmt::format("{}-{}-{}-{}-seed{}-{}", kind, pair.name, domain.name,
                            is_reversed ? "ba" : "ab", options.seed, i + 1);
    out.push_back(compose(bank, recipe));
  }
  return out;
}

const std::vector<std::string>& conflict_kind_names() {
  // In the order of the enumeration.
  static const std::vector<std::string> kNames = {"persistent", "overriding", "conflicting",
                                                  "added",      "withdrawn",  "cancelled"};
  return kNames;
}

std::string_view conflict_kind_name(ConflictKind kind) {
  return conflict_kind_names()[static_cast<size_t>(kind)];
}

ConflictKind parse_conflict_kind(std::string_view name) {
  const auto& names = conflict_kind_names();
  const auto found = std::find(names.begin(), names.end(), name);
  if (found == names.end()) {
    throw Error::make(ErrorKind::kUsage, "kind: found '{}', expected one of {}{}", name,
                      fmt::join(names, ", "), did_you_mean(name, names));
  }
  return static_cast<ConflictKind>(found - names.begin());
}

int estimated_tokens(const ConversationTurn& turn) {
  int n_words = 0;
  const std::string instruction = turn.instruction ? turn.instruction->text : "";
  for (const std::string& text : {instruction, turn.content, turn.query}) {
    std::istringstream words(text);
    for (std::string word; words >> word;) ++n_words;
  }
  // 1.15 tokens a word: the bank's text in the vocabularies of SmolLM2 and Gemma 3.
  return n_words * 23 / 20 + kTokensOfTemplate;
}

int estimated_tokens_before_last(const Conversation& conversation) {
  int n_tokens = 0;
  for (size_t i = 0; i + 1 < conversation.turns.size(); ++i) {
    n_tokens += estimated_tokens(conversation.turns[i]);
  }
  return n_tokens;
}

}  // namespace ebb::experiment
