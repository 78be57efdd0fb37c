// Damages a complete tiny model at one place after the other and uses what is accepted: load,
// tokenise, one step. All of it happens in child processes that note how far they came, so that a
// crash is a finding with its place and not the end of the test.
#pragma once

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstddef>
#include <fstream>
#include <functional>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include "base/error.h"
#include "engine/engine_fixture.h"
#include "model/gguf_builder.h"
#include "model/tokenizer.h"

namespace ebb::engine {

inline std::vector<std::byte> bytes_of(const std::string& model) {
  std::ifstream in(fixture("tiny/" + model + ".gguf"), std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  std::vector<std::byte> out(text.size());
  std::memcpy(out.data(), text.data(), text.size());
  return out;
}

struct MutationCount {
  size_t n_done = 0, n_refused = 0, n_ran = 0, n_crashed = 0, n_wrong_error = 0;
};

class MutatedFile {
 public:
  explicit MutatedFile(const std::string& model) : name_(model), whole_(bytes_of(model)) {
    header_bytes_ = model::GgufFile::view(whole_, "whole.gguf").header_bytes();
  }
  size_t size_bytes() const { return whole_.size(); }
  size_t header_bytes() const { return header_bytes_; }

  // Case i of n: damage(bytes, i) changes a copy.
  template <typename Damage>
  MutationCount try_all(size_t n, Damage damage) const {
    void* shared = ::mmap(nullptr, sizeof(MutationCount), PROT_READ | PROT_WRITE,
                          MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    EXPECT_NE(shared, MAP_FAILED);
    auto& count = *new (shared) MutationCount;
    while (count.n_done < n) {
      const pid_t child = ::fork();
      if (child == 0) {
        for (size_t i = count.n_done; i < n; ++i, ++count.n_done) {
          std::vector<std::byte> bytes = whole_;
          damage(bytes, i);
          use(bytes, i, count);
        }
        ::_exit(0);
      }
      int status = 0;
      ::waitpid(child, &status, 0);
      if (WIFEXITED(status) && WEXITSTATUS(status) == 0) continue;
      ADD_FAILURE() << name_ << ": case " << count.n_done << " ended the process: status "
                    << status;
      ++count.n_crashed;
      ++count.n_done;
      if (count.n_crashed > 20) break;
    }
    const MutationCount out = count;
    ::munmap(shared, sizeof(MutationCount));
    return out;
  }

 private:
  // Runs in the child: only the counters tell the parent what happened.
  void use(const std::vector<std::byte>& bytes, size_t i, MutationCount& count) const {
    try {
      const auto model = model::Model::from_file(model::GgufFile::view(bytes, "case.gguf"));
      const auto path = folder_ / "case.gguf";
      model::testing::write_file(path, bytes);
      const auto ids = model::Tokenizer::load(path)->encode("Ab, c.", model::ParseSpecial::kYes);
      EngineOptions options;
      options.n_threads = 1;
      Engine engine(model, options);
      Sequence sequence = engine.make_sequence(PositionMode::kOriginal);
      const StepItem item{&sequence, ids, {}, LogitRows::kLast};
      if (!ids.empty()) engine.step(std::span(&item, 1));
      ++count.n_ran;
    } catch (const Error& error) {
      const bool is_typed = error.kind() == ErrorKind::kBadModel;
      ++(is_typed ? count.n_refused : count.n_wrong_error);
      if (!is_typed) std::fprintf(stderr, "case %zu: %s\n", i, error.what());
    } catch (const std::exception& error) {
      ++count.n_wrong_error;
      std::fprintf(stderr, "case %zu: no typed error: %s\n", i, error.what());
    }
  }

  std::string name_;
  std::vector<std::byte> whole_;
  size_t header_bytes_ = 0;
  model::testing::TemporaryFolder folder_;
};

// One byte of the header changed: place i / 3, by one of three patterns.
inline void flip_byte(std::vector<std::byte>& bytes, size_t i) {
  constexpr unsigned kPatterns[] = {0x01U, 0x80U, 0xFFU};
  bytes[i / 3] ^= static_cast<std::byte>(kPatterns[i % 3]);
}

constexpr const char* kMutatedModels[] = {"llama-q4_0", "gemma3-sliding-f32", "qwen2-f32"};

}  // namespace ebb::engine
