// A damaged copy of a complete small model and the words that its error must contain.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "base/error.h"
#include "model/gguf_builder.h"
#include "model/model.h"

namespace ebb::model::testing {

inline std::shared_ptr<const Model> load_bytes(const std::vector<std::byte>& bytes) {
  return Model::from_file(GgufFile::view(bytes, "case.gguf"));
}

inline void expect_bad_model(const std::vector<std::byte>& bytes, const std::string& message) {
  const auto begin = std::chrono::steady_clock::now();
  try {
    load_bytes(bytes);
    FAIL() << "the file was accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kBadModel) << error.what();
    EXPECT_THAT(error.what(), ::testing::HasSubstr("case.gguf"));
    EXPECT_THAT(error.what(), ::testing::HasSubstr(message));
  }
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(1));
}

struct Case {
  const char* name;
  const char* message;
  void (*damage)(GgufBuilder&);
};
inline void PrintTo(const Case& c, std::ostream* out) { *out << c.name; }

inline void expect_refused(const Case& c) {
  GgufBuilder builder = small_llama();
  c.damage(builder);
  expect_bad_model(builder.build(), c.message);
}

inline std::string name_of(const ::testing::TestParamInfo<Case>& info) { return info.param.name; }

}  // namespace ebb::model::testing
