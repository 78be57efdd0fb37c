// Raw answers of judges in a file, one JSON object a line, append-only: a run that is repeated asks
// nothing twice, and an offline one can be replayed on another machine. Holds no prompts and no
// keys. One process at a time may write to a file: two would each keep the other's answers out of
// their own scores.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/file_lock.h"
#include "eval/judge.h"

namespace ebb::eval {

enum class CacheUse { kAppend, kReplay };

class JudgeCache {
 public:
  // The file need not exist. A last line without its end, which a crash leaves, is cut off; a
  // replay leaves it, since somebody may be writing it.
  // Throws: kBadData for a line that is no answer, kStorage, also where another process appends.
  explicit JudgeCache(std::filesystem::path path, CacheUse use = CacheUse::kAppend);

  // Null where the question was never answered.
  const std::string* find(const std::string& judge_name, const Prompt& prompt) const;
  // Requires: kAppend.  Throws: kStorage; the file is then as before.
  void add(const std::string& judge_name, const Prompt& prompt, const std::string& text);

  std::vector<std::string> judge_names() const;  // sorted, each once
  size_t size() const { return texts_.size(); }

 private:
  std::filesystem::path path_;
  std::optional<FileLock> lock_;
  std::map<std::string, std::string> texts_;  // by key
  std::map<std::string, int> n_answers_;      // by judge name
};

// SHA-256 over the judge's name and every field of the prompt.
std::string judge_key(const std::string& judge_name, const Prompt& prompt);

// A judge that looks into the cache first and remembers what it hears. Without one behind it, it
// answers from the cache alone.
class CachedJudge final : public TextGenerator {
 public:
  CachedJudge(JudgeCache& cache, TextGenerator& judge)
      : cache_(cache), judge_(&judge), name_(judge.name()) {}
  CachedJudge(JudgeCache& cache, std::string offline_name)
      : cache_(cache), name_(std::move(offline_name)) {}

  std::string name() const override { return name_; }
  Answer generate(const Prompt& prompt) override;

 private:
  JudgeCache& cache_;
  TextGenerator* judge_ = nullptr;
  std::string name_;
};

}  // namespace ebb::eval
