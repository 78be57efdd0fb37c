// A small study on a tiny model, run by the ebb program in a folder that goes away.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "apps/ebb_process.h"
#include "model/gguf_builder.h"

namespace ebb::app::testing {

namespace fs = std::filesystem;

inline constexpr const char* kStudyText = R"(
name = "small"
max_new = 6
seeds = 2
history = "recorded"
[statistics]
primary = "recall"
[[arms]]
name = "baseline"
kind = "baseline"
[[arms]]
name = "streaming"
treatment = "streaming"
keep_initial = 4
keep_recent = 12
[[arms]]
name = "random"
treatment = "random"
granularity = "layer"
share = "0.5"
[[arms]]
name = "no_instruction"
kind = "no_instruction"
[[arms]]
name = "text_removal"
kind = "text_removal"
repeats = "streaming"
[[contrasts]]
name = "H1"
first = "baseline"
second = "streaming"
family = "confirmatory"
)";

// Conversations that differ in their words.
inline std::string conversations_text(int n) {
  std::string out = "[";
  for (int i = 0; i < n; ++i) {
    const std::string id = std::to_string(i);
    out += (i == 0 ? "" : ",\n") + std::string(R"({"id": "c)") + id + R"(", "turns": [
 {"turn_id": 1, "role": "user", "instruction": {"id": "i1", "text": "Use no digits.",
  "rules": [{"id": "ebb:no_digits"}]}, "content": "The garden of house )" +
           id + R"( is wet."},
 {"turn_id": 2, "role": "assistant", "content": "It has rained."},
 {"turn_id": 3, "role": "user", "query": "How many snails are there?"}]})";
  }
  return out + "]";
}

class StudyProcess : public ::testing::Test {
 protected:
  StudyProcess() {
    write("study.toml", kStudyText);
    write("data.json", conversations_text(4));
    const fs::path model = fs::path(EBB_FIXTURES) / "tiny" / "llama-f32.gguf";
    fs::copy_file(model, in_folder("model.gguf"));
  }

  std::string in_folder(const std::string& name) const { return (folder_ / name).string(); }
  void write(const std::string& name, const std::string& text) const {
    std::ofstream(in_folder(name), std::ios::binary) << text;
  }
  // The study with whatever a test gives in place of, or besides, the usual arguments.
  std::vector<std::string> run_arguments(const std::string& out,
                                         const std::map<std::string, std::string>& instead = {},
                                         const std::vector<std::string>& more = {}) const {
    std::map<std::string, std::string> flags{{"--model", in_folder("model.gguf")},
                                             {"--data", in_folder("data.json")},
                                             {"--out", in_folder(out)},
                                             {"--threads", "1"},
                                             {"--lanes", "4"}};
    std::string study = in_folder("study.toml");
    for (const auto& [flag, value] : instead) (flag == "study" ? study : flags[flag]) = value;
    std::vector<std::string> out_arguments{"run", study};
    for (const auto& [flag, value] : flags)
      out_arguments.insert(out_arguments.end(), {flag, value});
    out_arguments.insert(out_arguments.end(), more.begin(), more.end());
    return out_arguments;
  }
  EbbLimits environment() const {
    return {.environment = {{"EBB_CACHE", in_folder("cache")}, {"EBB_MODELS", folder_.path()}}};
  }
  EbbEnd ebb(const std::vector<std::string>& arguments) const {
    return run_ebb(arguments, in_folder("log.txt"), environment());
  }
  pid_t start(const std::vector<std::string>& arguments) const {
    fs::remove(in_folder("log.txt"));  // who waits for a word must not find an earlier one
    return start_ebb(arguments, in_folder("log.txt"), environment());
  }

  // Every file that a study leaves for people, by name.
  std::map<std::string, std::string> exports_of(const std::string& out) const {
    std::map<std::string, std::string> files;
    const fs::path root = in_folder(out);
    for (const auto& entry : fs::recursive_directory_iterator(root)) {
      const std::string name = entry.path().filename().string();
      if (!entry.is_regular_file() || name == "study.db" || name == "study.lock") continue;
      files[fs::relative(entry.path(), root).string()] = text_of(entry.path());
    }
    return files;
  }
  // Names of files that differ, or are on one side only.
  static std::vector<std::string> differences(const std::map<std::string, std::string>& a,
                                              const std::map<std::string, std::string>& b) {
    std::vector<std::string> out;
    for (const auto& [name, text] : a) {
      const auto found = b.find(name);
      if (found == b.end() || found->second != text) out.push_back(name);
    }
    for (const auto& [name, text] : b) {
      if (a.count(name) == 0) out.push_back(name);
    }
    return out;
  }

  model::testing::TemporaryFolder folder_;
};

}  // namespace ebb::app::testing
