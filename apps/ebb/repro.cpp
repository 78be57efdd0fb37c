// ebb repro: computes one stored unit again, from nothing but the study's folder and the model, and
// compares the whole record.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/sha256.h"
#include "experiment/conversation_record.h"
#include "experiment/study_run.h"
#include "experiment/unit_id.h"
#include "study_setup.h"

namespace ebb::app {
namespace {

namespace fs = std::filesystem;

struct ReproFlags {
  std::string folder, unit, model, chat_template;
  ComputeFlags compute;
  record::Machines machines = record::Machines::kOne;
};

// A folder that goes away with its owner.
class ScratchFolder {
 public:
  ScratchFolder() : path_(fs::temp_directory_path() / fmt::format("ebb-repro-{}", ::getpid())) {}
  ~ScratchFolder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

// By the beginning of its id.
record::UnitRecord find_unit(const std::vector<record::UnitRecord>& units,
                             const std::string& wanted, const std::string& folder) {
  const record::UnitRecord* found = nullptr;
  for (const record::UnitRecord& unit : units) {
    if (unit.unit_id.rfind(wanted, 0) != 0) continue;
    if (found != nullptr) {
      throw Error::make(ErrorKind::kUsage, "unit '{}': {} and {} begin so: give more of the id",
                        wanted, found->unit_id, unit.unit_id);
    }
    found = &unit;
  }
  if (found == nullptr) {
    throw Error::make(ErrorKind::kUsage,
                      "{}: found no unit '{}' among {}: scores.csv has their ids", folder, wanted,
                      units.size());
  }
  return *found;
}

// The file that the study names, here or among the models, unless one was given.
fs::path model_path(const ReproFlags& flags, const experiment::Study& study) {
  if (!flags.model.empty()) return flags.model;
  const char* models = std::getenv("EBB_MODELS");
  for (const fs::path& folder : {fs::path("."), fs::path(models == nullptr ? "." : models)}) {
    if (fs::is_regular_file(folder / study.model)) return folder / study.model;
  }
  throw Error::make(ErrorKind::kUsage, "{}: not here and not in EBB_MODELS: give --model FILE",
                    study.model);
}

// A unit's record follows from its own arm, the baseline and the arm whose evictions it repeats or
// whose bytes it is matched to.
experiment::Study only_arm(experiment::Study study, const std::string& name) {
  std::string repeated;
  std::string matched;
  for (const auto& arm : study.arms) {
    if (arm.name != name) continue;
    repeated = arm.repeats;
    matched = arm.match_bytes;
  }
  std::erase_if(study.arms, [&](const experiment::StudyArm& arm) {
    return arm.name != name && arm.name != repeated && arm.name != matched &&
           arm.kind != experiment::StudyArmKind::kBaseline;
  });
  study.contrasts.clear();
  return study;
}

experiment::ConversationSet only_conversation(const record::StudyStore& store,
                                              const std::string& id) {
  experiment::ConversationSet out;
  for (const record::ConversationText& text : store.conversations()) {
    if (text.id == id) out.conversations.push_back(experiment::from_record(text));
  }
  return out;
}

// Everything but the names that hold the machine's fingerprint, and the map that few units have.
nlohmann::json comparable(record::UnitRecord unit) {
  unit.unit_id.clear();
  unit.digest.clear();
  unit.cache_map.reset();
  return nlohmann::json::parse(record::to_json(unit));
}

void check_machine(const ReproFlags& flags, const std::string& stored, const std::string& here) {
  if (stored == here || flags.machines == record::Machines::kAny) return;
  throw Error::make(ErrorKind::kUsage,
                    "the unit was computed on {}, and this is {}: equal bits are promised on one "
                    "machine and build only. Give --any-machine to try all the same",
                    stored, here);
}

// The stored study cut down to one unit's needs, opened.
std::unique_ptr<OpenStudy> open_for(const ReproFlags& flags, const record::StudyStore& store,
                                    const record::UnitRecord& unit) {
  const std::string records = fmt::format("records {},", experiment::kResultVersion);
  if (!store.study().inputs.value_or("").starts_with(records)) {
    throw Error::make(ErrorKind::kUsage,
                      "{}: its units were computed by another version of ebb ({}); this one makes "
                      "records of version {}, which mean something else",
                      flags.folder, store.study().inputs.value_or("without a version"),
                      experiment::kResultVersion);
  }
  auto open = std::make_unique<OpenStudy>();
  open->study = only_arm(experiment::parse_study(store.resolved(), flags.folder), unit.arm);
  open->data = only_conversation(store, unit.conversation);
  const record::StudyInfo info = store.study();
  const fs::path path = model_path(flags, open->study);
  open->model = open_model(path);
  open->model_sha256 = sha256_file(path);
  if (open->model_sha256 != info.model_sha256) {
    throw Error::make(ErrorKind::kUsage, "{}: its SHA-256 is {}, the study's model has {}",
                      path.string(), open->model_sha256, info.model_sha256);
  }
  ComputeFlags compute = flags.compute;
  compute.numerics = info.numerics;
  open_rest(*open, path, flags.chat_template, compute, "give fewer --rows");
  return open;
}

record::UnitRecord computed_again(const OpenStudy& open, const record::UnitRecord& unit) {
  const ScratchFolder scratch;
  auto store = record::StudyStore::open_for_writing(scratch.path());
  store.begin(experiment::info_of(open.study, *open.engine, open.data, open.model_sha256), {}, "");
  std::vector<record::UnitRecord> units;
  experiment::RunListener listener;
  listener.on_family = [&](const experiment::Progress&,
                           const std::vector<record::UnitRecord>& done) { units = done; };
  experiment::run_study(open.context, open.data.conversations, store, {}, listener);
  const auto found = std::find_if(units.begin(), units.end(), [&](const auto& one) {
    return one.arm == unit.arm && one.seed == unit.seed;
  });
  EBB_CHECK(found != units.end());
  return *found;
}

void check_same(const record::UnitRecord& stored, const record::UnitRecord& now) {
  const nlohmann::json before = comparable(stored);
  const nlohmann::json after = comparable(now);
  if (before == after) return;
  const nlohmann::json differences = nlohmann::json::diff(before, after);
  const nlohmann::json::json_pointer place(differences.at(0).at("path").get<std::string>());
  throw Error::make(
      ErrorKind::kInternal,
      "unit {} came out otherwise, in {} places: first at {}: {:.100} stored, {:.100} "
      "now; digests {} and {}",
      stored.unit_id, differences.size(), place.to_string(),
      before.contains(place) ? before.at(place).dump() : "nothing",
      after.contains(place) ? after.at(place).dump() : "nothing", stored.digest, now.digest);
}

void run_repro(const ReproFlags& flags) {
  const auto store = record::StudyStore::open_for_reading(flags.folder);
  const record::UnitRecord stored = find_unit(store.units(), flags.unit, flags.folder);
  const auto open = open_for(flags, store, stored);
  const std::string computed_on = store.fingerprint_of(stored.conversation);
  const std::string here = experiment::fingerprint_of(*open->engine);
  check_machine(flags, computed_on, here);
  fmt::print("unit {}: {}, {}, seed {}\n", stored.unit_id, stored.conversation, stored.arm,
             stored.seed);
  std::fflush(stdout);
  const record::UnitRecord now = computed_again(*open, stored);
  if (computed_on == here && now.unit_id != stored.unit_id) {
    throw Error::make(ErrorKind::kUsage,
                      "its inputs give unit {}: something differs that the folder does not hold, "
                      "such as --chat-template or --cells",
                      now.unit_id);
  }
  check_same(stored, now);
  fmt::print("the same record, digest {}\n", stored.digest);
}

}  // namespace

void add_repro(CLI::App& app) {
  auto flags = std::make_shared<ReproFlags>();
  CLI::App* command =
      app.add_subcommand("repro", "Compute one unit of a stored study again and compare");
  command->add_option("run", flags->folder, "folder of the study")->required();
  command->add_option("unit", flags->unit, "id of the unit, or its beginning")->required();
  command->add_option("--model", flags->model, "GGUF file (default: by the study's name for it)");
  command->add_option("--chat-template", flags->chat_template, "as the study was run with");
  command->add_option("--cells", flags->compute.cells, "as the study was run with");
  command->add_option("--threads", flags->compute.n_threads, "0 = all usable cores")
      ->capture_default_str();
  add_machines(*command, flags->machines);
  command->callback([flags] { run_repro(*flags); });
}

}  // namespace ebb::app
