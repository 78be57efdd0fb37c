// An eviction plan from a file (kept.json), applied to a small cache. What is accepted must leave
// exactly those cells.
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "base/error.h"
#include "engine/engine.h"
#include "kept_cells.h"

namespace {

std::string g_input;

}  // namespace

// Stands in for the program's own, which reads a file.
namespace ebb::app {
std::string read_text(const std::filesystem::path& /*path*/) { return g_input; }
}  // namespace ebb::app

namespace {

using namespace ebb;

engine::Engine& small_engine() {
  static engine::Engine engine(model::Model::load(EBB_FIXTURES "/tiny/gemma3-sliding-f32.gguf"),
                               {.n_threads = 1});
  return engine;
}

const engine::Sequence& small_cache() {
  static const engine::Sequence sequence = [] {
    engine::Sequence out = small_engine().make_sequence(PositionMode::kCompact);
    std::vector<int32_t> ids;
    for (int i = 0; i < 24; ++i) ids.push_back(i + 3);
    const engine::StepItem item{&out, ids, {}, engine::LogitRows::kNone};
    small_engine().step(std::span(&item, 1));
    return out;
  }();
  return sequence;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  g_input.assign(reinterpret_cast<const char*>(data), size);
  engine::Sequence copy = small_cache().fork();
  try {
    const auto plan = app::plan_from_file("fuzz.json", small_engine(), copy);
    small_engine().evict(copy, plan);
    for (size_t layer = 0; layer < plan.kept.size(); ++layer) {
      for (size_t head = 0; head < plan.kept[layer].size(); ++head) {
        const auto& cells = copy.cells().head(static_cast<int>(layer), static_cast<int>(head));
        if (cells.n_cells() != plan.kept[layer][head].size()) __builtin_trap();
      }
    }
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::kInternal) __builtin_trap();
  }
  return 0;
}
