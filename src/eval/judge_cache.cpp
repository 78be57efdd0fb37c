#include "eval/judge_cache.h"

#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <system_error>

#include "base/error.h"
#include "base/sha256.h"

namespace ebb::eval {
namespace {

using Json = nlohmann::ordered_json;
namespace fs = std::filesystem;

std::string read_whole(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw Error::make(ErrorKind::kStorage, "{}: cannot be read", path.string());
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

std::string text_field(const Json& line, const char* name) {
  const auto found = line.find(name);
  return found != line.end() && found->is_string() ? found->get<std::string>() : "";
}

}  // namespace

std::string judge_key(const std::string& judge_name, const Prompt& prompt) {
  Sha256 hash;
  for (const std::string& part : {judge_name, prompt.system, prompt.user, prompt.json_schema,
                                  std::to_string(prompt.n_tokens_max)}) {
    hash.update(fmt::format("{}:", part.size()));  // so that no two lists of parts look the same
    hash.update(part);
  }
  return hash.hex();
}

JudgeCache::JudgeCache(fs::path path, CacheUse use) : path_(std::move(path)) {
  if (use == CacheUse::kAppend) lock_.emplace(fs::path(path_).replace_extension(".lock"));
  if (!fs::exists(path_)) return;
  const std::string text = read_whole(path_);
  size_t n_lines = 0;
  size_t begin = 0;
  for (size_t end = 0; (end = text.find('\n', begin)) != std::string::npos; begin = end + 1) {
    ++n_lines;
    const Json line = Json::parse(text.begin() + static_cast<std::ptrdiff_t>(begin),
                                  text.begin() + static_cast<std::ptrdiff_t>(end), nullptr, false);
    const bool is_answer = line.is_object() && !text_field(line, "key").empty() &&
                           line.contains("answer") && line["answer"].is_string();
    if (!is_answer) {
      throw Error::make(ErrorKind::kBadData,
                        "{}:{}: found no answer of a judge, expected an object with the texts key, "
                        "judge and answer",
                        path_.string(), n_lines);
    }
    texts_[text_field(line, "key")] = text_field(line, "answer");
    ++n_answers_[text_field(line, "judge")];
  }
  if (begin == text.size() || !lock_) return;
  std::error_code failed;
  fs::resize_file(path_, begin, failed);
  if (failed) throw Error::make(ErrorKind::kStorage, "{}: {}", path_.string(), failed.message());
}

const std::string* JudgeCache::find(const std::string& judge_name, const Prompt& prompt) const {
  const auto found = texts_.find(judge_key(judge_name, prompt));
  return found == texts_.end() ? nullptr : &found->second;
}

void JudgeCache::add(const std::string& judge_name, const Prompt& prompt, const std::string& text) {
  EBB_CHECK(lock_.has_value());
  const std::string key = judge_key(judge_name, prompt);
  const Json line{{"key", key}, {"judge", judge_name}, {"answer", text}};
  const std::string dumped = line.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
  std::error_code none;
  const auto size_before = fs::file_size(path_, none);
  std::ofstream file(path_, std::ios::binary | std::ios::app);
  file.write(dumped.data(), static_cast<std::streamsize>(dumped.size()));
  file.close();
  if (!file) {
    if (!none) fs::resize_file(path_, size_before, none);  // a full disk takes half a line
    throw Error::make(ErrorKind::kStorage, "{}: cannot be written", path_.string());
  }
  // What a replay will read, malformed bytes replaced.
  texts_[key] = Json::parse(dumped)["answer"].get<std::string>();
  ++n_answers_[judge_name];
}

std::vector<std::string> JudgeCache::judge_names() const {
  std::vector<std::string> names;
  for (const auto& [name, n] : n_answers_) names.push_back(name);
  return names;
}

Answer CachedJudge::generate(const Prompt& prompt) {
  if (const std::string* text = cache_.find(name_, prompt)) return {*text, ""};
  if (judge_ == nullptr) return failed_answer("offline, and the question is not in the cache");
  const Answer answer = judge_->generate(prompt);
  if (!answer.has_text()) return answer;
  cache_.add(name_, prompt, answer.text);
  return {*cache_.find(name_, prompt), ""};
}

}  // namespace ebb::eval
