#include "model/first_touch.h"

#include <ggml.h>

#include <cerrno>
#include <fstream>
#include <nlohmann/json.hpp>
#include <system_error>

#include "base/child_process.h"
#include "base/error.h"
#include "base/sha256.h"
#include "model/model.h"
#include "model/tokenizer.h"
#include "tensor/types.h"

namespace ebb::model {
namespace {

namespace fs = std::filesystem;

// A file that passes under other checks than these is checked again.
constexpr int kChecksVersion = 1;

// What is known of a file without reading it.
nlohmann::json identity_of(const fs::path& path) {
  std::error_code problem;
  const fs::path full = fs::canonical(path, problem);
  if (problem) return nullptr;
  const auto size = fs::file_size(full, problem);
  if (problem) return nullptr;
  const auto time = fs::last_write_time(full, problem);
  if (problem) return nullptr;
  return {{"path", full.string()},
          {"size_bytes", size},
          {"changed", time.time_since_epoch().count()},
          {"checks", kChecksVersion}};
}

bool is_known(const fs::path& note, const nlohmann::json& identity) {
  std::ifstream in(note);
  const nlohmann::json found = nlohmann::json::parse(in, nullptr, false);
  return found.is_object() && found.value("file", nlohmann::json()) == identity;
}

// Whole or not at all: another process may read it meanwhile.
void remember(const fs::path& note, const nlohmann::json& identity, const std::string& sha256) {
  std::error_code ignored;
  fs::create_directories(note.parent_path(), ignored);
  const fs::path part = note.string() + ".part";
  {
    std::ofstream out(part);
    out << nlohmann::json{{"file", identity}, {"sha256", sha256}}.dump(2) << '\n';
    if (!out.flush()) return;
  }
  fs::rename(part, note, ignored);
}

}  // namespace

void check_weights_finite(const GgufFile& file) {
  for (const TensorInfo& tensor : file.tensors()) {
    if (tensor.size_bytes == 0 || !tensor::is_supported_weight_type(tensor.type)) continue;
    if (!ggml_validate_row_data(tensor.type, tensor.data, tensor.size_bytes)) {
      throw Error::make(
          ErrorKind::kBadModel,
          "{}: tensor '{}': found a number or block scale that is NaN or infinite, expected finite "
          "{} weights",
          file.path().string(), tensor.name, tensor::type_name(tensor.type));
    }
  }
}

FirstTouch check_first_touch(const fs::path& path, const fs::path& notes) {
  const nlohmann::json before = identity_of(path);
  const fs::path note =
      notes /
      (sha256_hex(before.is_null() ? path.string() : before["path"].get<std::string>()) + ".json");
  if (!notes.empty() && !before.is_null() && is_known(note, before)) return FirstTouch::kKnown;
  const std::string sha256 = run_in_child(path.string(), [&] {
    const auto model = Model::load(path);
    check_weights_finite(model->file());
    Tokenizer::load(path)->encode("A first touch.", ParseSpecial::kYes);
    Sha256 hash;
    hash.update(model->file().bytes());
    return hash.hex();
  });
  // A file that changed meanwhile was not the one that was checked.
  if (!notes.empty() && !before.is_null() && identity_of(path) == before) {
    remember(note, before, sha256);
  }
  return FirstTouch::kChecked;
}

}  // namespace ebb::model
