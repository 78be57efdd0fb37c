// Malformed files: every one must end in the typed error that names the fault, whatever is wrong.
// Each case changes one thing in a complete small model, so a check that is missing lets a file
// through or shows another message.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <limits>
#include <sstream>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/platform.h"
#include "model/corpus_case.h"
#include "model/gguf_builder.h"
#include "model/model.h"

namespace ebb::model {
namespace {

using testing::Bytes;
using testing::Case;
using testing::expect_bad_model;
using testing::expect_refused;
using testing::GgufBuilder;
using ::testing::HasSubstr;
using testing::load_bytes;
using testing::name_of;
using testing::small_llama;

constexpr uint64_t kHuge = uint64_t{1} << 63;

class DamagedFile : public ::testing::TestWithParam<Case> {};

TEST_P(DamagedFile, IsRefusedWithTheTypedErrorThatNamesTheFault) { expect_refused(GetParam()); }

const Case kHeader[] = {
    {"magic", "found 'GGML', expected 'GGUF'", [](GgufBuilder& b) { b.magic = "GGML"; }},
    {"reversed_magic", "reversed byte order", [](GgufBuilder& b) { b.magic = "FUGG"; }},
    {"web_page", "web page", [](GgufBuilder& b) { b.magic = "<!DOCTYPE html>"; }},
    {"version_0", "version at byte 4: found 0", [](GgufBuilder& b) { b.version = 0; }},
    {"version_1", "version at byte 4: found 1", [](GgufBuilder& b) { b.version = 1; }},
    {"version_4", "version at byte 4: found 4", [](GgufBuilder& b) { b.version = 4; }},
    {"big_endian", "big-endian", [](GgufBuilder& b) { b.version = 0x03000000; }},
    {"n_tensors_negative", "number of tensors", [](GgufBuilder& b) { b.n_tensors = UINT64_MAX; }},
    {"n_tensors_huge", "number of tensors", [](GgufBuilder& b) { b.n_tensors = kHuge - 1; }},
    {"n_tensors_more_than_there_are", "tensor", [](GgufBuilder& b) { b.n_tensors = 65536; }},
    {"n_keys_negative", "number of keys", [](GgufBuilder& b) { b.n_values = UINT64_MAX; }},
    {"n_keys_huge", "number of keys", [](GgufBuilder& b) { b.n_values = INT32_MAX; }},
    {"n_keys_more_than_there_are", "case.gguf", [](GgufBuilder& b) { b.n_values = 16384; }},
};
INSTANTIATE_TEST_SUITE_P(Header, DamagedFile, ::testing::ValuesIn(kHeader), name_of);

void raw_value(GgufBuilder& b, const Bytes& bytes) { b.set_raw("x.y", bytes); }

const Case kValues[] = {
    {"empty_key", "expected printable ASCII", [](GgufBuilder& b) { b.set<uint32_t>("", 1); }},
    {"key_with_nul", "found 'a\\x00b'",
     [](GgufBuilder& b) { b.set<uint32_t>(std::string("a\0b", 3), 1); }},
    {"key_with_control", "found 'a\\x1bb'",
     [](GgufBuilder& b) {
       b.set<uint32_t>(
           "a\x1b"
           "b",
           1);
     }},
    {"key_not_utf8", "found 'a\\xff'", [](GgufBuilder& b) { b.set<uint32_t>("a\xff", 1); }},
    {"key_too_long", "expected at most 65535",
     [](GgufBuilder& b) { b.set<uint32_t>(std::string(65536, 'k'), 1); }},
    {"key_twice", "key 'x.y'",
     [](GgufBuilder& b) {
       b.values.emplace_back("x.y", Bytes().number<uint32_t>(4).number<uint32_t>(1));
       b.values.emplace_back("x.y", Bytes().number<uint32_t>(4).number<uint32_t>(1));
     }},
    {"value_type_13", "found value type 13",
     [](GgufBuilder& b) { raw_value(b, Bytes().number<uint32_t>(13)); }},
    {"value_type_minus_1", "found value type 4294967295",
     [](GgufBuilder& b) { raw_value(b, Bytes().number<int32_t>(-1)); }},
    {"value_type_2_31", "found value type 2147483648",
     [](GgufBuilder& b) { raw_value(b, Bytes().number<uint32_t>(1U << 31)); }},
    {"array_of_arrays", "array of arrays",
     [](GgufBuilder& b) {
       raw_value(b, Bytes().number<uint32_t>(9).number<uint32_t>(9).number<uint64_t>(1));
     }},
    {"array_element_type_13", "found value type 13",
     [](GgufBuilder& b) {
       raw_value(b, Bytes().number<uint32_t>(9).number<uint32_t>(13).number<uint64_t>(1));
     }},
    {"array_count_2_63", "found 9223372036854775808 elements",
     [](GgufBuilder& b) {
       raw_value(b, Bytes().number<uint32_t>(9).number<uint32_t>(10).number(kHuge));
     }},
    {"array_count_2_30", "found 1073741824 elements",
     [](GgufBuilder& b) {
       raw_value(b, Bytes().number<uint32_t>(9).number<uint32_t>(0).number<uint64_t>(1 << 30));
     }},
    {"array_longer_than_the_file", "found the end of the file",
     [](GgufBuilder& b) {
       raw_value(b, Bytes().number<uint32_t>(9).number<uint32_t>(10).number<uint64_t>(1 << 20));
     }},
    {"string_longer_than_the_file", "found the end of the file",
     [](GgufBuilder& b) { raw_value(b, Bytes().number<uint32_t>(8).number<uint64_t>(1 << 20)); }},
    {"string_of_3_gb", "found a length of 3221225472",
     [](GgufBuilder& b) {
       raw_value(b, Bytes().number<uint32_t>(8).number<uint64_t>(3ULL << 30));
     }},
    {"string_of_2_64_bytes", "found a length of 18446744073709551615",
     [](GgufBuilder& b) { raw_value(b, Bytes().number<uint32_t>(8).number(UINT64_MAX)); }},
    {"string_in_array_of_2_64_bytes", "found a length of 18446744073709551615",
     [](GgufBuilder& b) {
       raw_value(b, Bytes().number<uint32_t>(9).number<uint32_t>(8).number<uint64_t>(1).number(
                        UINT64_MAX));
     }},
    {"boolean_of_2", "found a boolean of 2",
     [](GgufBuilder& b) { raw_value(b, Bytes().number<uint32_t>(7).number<uint8_t>(2)); }},
    {"boolean_of_3_in_array", "found a boolean of 3",
     [](GgufBuilder& b) {
       raw_value(
           b,
           Bytes().number<uint32_t>(9).number<uint32_t>(7).number<uint64_t>(1).number<uint8_t>(3));
     }},
    {"alignment_0", "power of two",
     [](GgufBuilder& b) { b.set<uint32_t>("general.alignment", 0); }},
    {"alignment_3", "power of two",
     [](GgufBuilder& b) { b.set<uint32_t>("general.alignment", 3); }},
    {"alignment_1", "power of two from 8",
     [](GgufBuilder& b) { b.set<uint32_t>("general.alignment", 1); }},
    {"alignment_2_31", "power of two",
     [](GgufBuilder& b) { b.set<uint32_t>("general.alignment", 1U << 31); }},
    {"alignment_i32", "expected u32",
     [](GgufBuilder& b) { b.set<int32_t>("general.alignment", 32); }},
    {"alignment_u64", "expected u32",
     [](GgufBuilder& b) { b.set<uint64_t>("general.alignment", 32); }},
    {"alignment_array", "expected u32",
     [](GgufBuilder& b) { b.set_array<uint32_t>("general.alignment", {32}); }},
};
INSTANTIATE_TEST_SUITE_P(Values, DamagedFile, ::testing::ValuesIn(kValues), name_of);

testing::BuiltTensor& query(GgufBuilder& b) { return b.tensor("blk.0.attn_q.weight"); }

const Case kTensors[] = {
    {"name_of_64_bytes", "expected at most 63",
     [](GgufBuilder& b) { b.add_f32(std::string(64, 'n'), {1}); }},
    {"name_of_2_32_bytes", "expected at most 63",
     [](GgufBuilder& b) { query(b).name_length = 1ULL << 32; }},
    {"name_empty", "tensor name", [](GgufBuilder& b) { b.add_f32("", {1}); }},
    {"name_with_nul", "tensor name",
     [](GgufBuilder& b) { b.add_f32(std::string("a\0b", 3), {1}); }},
    {"name_twice", "found it twice",
     [](GgufBuilder& b) {
       b.add_f32("blk.0.attn_q.weight", {32, 32});
     }},
    {"no_dimensions", "found 0 dimensions", [](GgufBuilder& b) { query(b).n_dims = 0; }},
    {"five_dimensions", "found 5 dimensions", [](GgufBuilder& b) { query(b).n_dims = 5; }},
    {"dimensions_2_32_minus_1", "found 4294967295 dimensions",
     [](GgufBuilder& b) { query(b).n_dims = UINT32_MAX; }},
    {"dimension_0", "found shape 32 x 0",
     [](GgufBuilder& b) {
       query(b).ne[1] = 0;
       query(b).size_bytes = 0;
     }},
    {"dimension_negative", "found a dimension of 18446744073709551615",
     [](GgufBuilder& b) { query(b).ne[1] = -1; }},
    {"dimension_int64_max", "expected a size that fits",
     [](GgufBuilder& b) { query(b).ne[1] = INT64_MAX; }},
    {"product_2_64", "expected a size that fits",
     [](GgufBuilder& b) {
       query(b).ne = {int64_t{1} << 32, int64_t{1} << 32};
     }},
    {"product_2_64_of_three", "expected a size that fits",
     [](GgufBuilder& b) {
       query(b).ne = {int64_t{1} << 31, int64_t{1} << 31, 4};
     }},
    {"product_2_64_hidden_by_zero_bytes", "expected a size that fits",
     [](GgufBuilder& b) {
       query(b).ne = {0, int64_t{1} << 62, int64_t{1} << 62}, query(b).ne[0] = 32;
     }},
    {"quantised_size_wraps", "expected a size that fits",
     [](GgufBuilder& b) {
       query(b).type = 2;
       query(b).ne = {int64_t{1} << 62, 8};
     }},
    {"padding_wraps", "cut off",
     [](GgufBuilder& b) {
       query(b).type = 24;  // one byte a number
       query(b).ne = {INT64_MAX - 15};
     }},
    {"sizes_wrap_together", "cut off",
     [](GgufBuilder& b) {
       for (const char* name : {"blk.0.attn_q.weight", "blk.0.attn_output.weight"}) {
         b.tensor(name).type = 24;
         b.tensor(name).ne = {INT64_MAX};
       }
     }},
    {"row_no_multiple_of_block", "expected a multiple of 32",
     [](GgufBuilder& b) {
       query(b).type = 2;
       query(b).ne = {33, 32};
     }},
    {"type_count", "found number type 43", [](GgufBuilder& b) { query(b).type = GGML_TYPE_COUNT; }},
    {"type_4_retired", "found number type 4", [](GgufBuilder& b) { query(b).type = 4; }},
    {"type_5_retired", "found number type 5", [](GgufBuilder& b) { query(b).type = 5; }},
    {"type_31_retired", "found number type 31", [](GgufBuilder& b) { query(b).type = 31; }},
    {"type_33_retired", "found number type 33", [](GgufBuilder& b) { query(b).type = 33; }},
    {"type_minus_1", "found number type 4294967295",
     [](GgufBuilder& b) { query(b).type = UINT32_MAX; }},
    {"type_not_supported", "found type Q8_1, expected one of F32",
     [](GgufBuilder& b) {
       query(b).type = GGML_TYPE_Q8_1;
       query(b).size_bytes = 32 * 36;
     }},
    {"offset_unaligned", "found data offset", [](GgufBuilder& b) { query(b).offset = 2241; }},
    {"offset_overlapping", "found data offset 0", [](GgufBuilder& b) { query(b).offset = 0; }},
    {"offset_2_64_minus_1", "found data offset 18446744073709551615",
     [](GgufBuilder& b) { query(b).offset = UINT64_MAX; }},
    {"offset_descending", "found data offset", [](GgufBuilder& b) { b.tensors[0].offset = 4096; }},
};
INSTANTIATE_TEST_SUITE_P(Tensors, DamagedFile, ::testing::ValuesIn(kTensors), name_of);

TEST(GgufCorpus, TheUndamagedModelLoads) {
  EXPECT_EQ(load_bytes(small_llama().build())->config().n_vocab, 16);
}

TEST(GgufCorpus, AFileCutAtAnyByteOfItsHeaderIsRefused) {
  const GgufBuilder builder = small_llama();
  const std::vector<std::byte> whole = builder.build();
  const size_t header_bytes = builder.header().data.size();
  for (size_t n = 0; n <= header_bytes; ++n) {
    SCOPED_TRACE(n);
    expect_bad_model({whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(n)}, "expected");
  }
}

TEST(GgufCorpus, AFileCutInItsTensorDataIsRefused) {
  const std::vector<std::byte> whole = small_llama().build();
  for (const size_t n_missing : {size_t{1}, size_t{31}, size_t{4096}}) {
    SCOPED_TRACE(n_missing);
    std::vector<std::byte> cut = whole;
    cut.resize(whole.size() - n_missing);
    expect_bad_model(cut, "cut off");
  }
}

TEST(GgufCorpus, AnyChangedByteOfTheHeaderGivesAModelOrATypedError) {
  const GgufBuilder builder = small_llama();
  std::vector<std::byte> bytes = builder.build();
  const size_t header_bytes = builder.header().data.size();
  size_t n_refused = 0;
  for (size_t i = 0; i < header_bytes; ++i) {
    const std::byte original = bytes[i];
    for (const unsigned flip : {0x01U, 0x02U, 0x04U, 0x08U, 0x10U, 0x20U, 0x40U, 0x80U, 0xFFU}) {
      bytes[i] = original ^ static_cast<std::byte>(flip);
      try {
        load_bytes(bytes);
      } catch (const Error& error) {
        ASSERT_EQ(error.kind(), ErrorKind::kBadModel) << "byte " << i << ": " << error.what();
        ++n_refused;
      }
    }
    bytes[i] = original;
  }
  EXPECT_GT(n_refused, header_bytes * 4);
}

// Runs in a process of its own, so that what the test wrote before does not hide what the reader
// takes. What it says on the stream is the result; nothing where it died.
std::string said_by_child(const std::function<void(std::ostream&)>& body) {
  const testing::TemporaryFolder folder;
  const std::filesystem::path path = folder / "said.txt";
  const pid_t child = ::fork();
  if (child == 0) {
    std::ofstream out(path);
    body(out);
    out.close();
    ::_exit(0);
  }
  ::waitpid(child, nullptr, 0);
  std::ifstream in(path);
  return {std::istreambuf_iterator<char>(in), {}};
}

// As many tokens as the limits allow, in a file that really has them; only the last one is wrong.
void write_hostile_file(const std::filesystem::path& path) {
  GgufBuilder builder = small_llama();
  std::vector<std::string> tokens(size_t{1} << 20);
  for (size_t i = 0; i < tokens.size(); ++i) tokens[i] = std::to_string(i);
  tokens.back() = "0";
  builder.set_texts("tokenizer.ggml.tokens", tokens).erase("tokenizer.ggml.token_type");
  testing::write_file(path, builder.build());
}

// Loads a file and says in MB what the process had before and at most, then the error.
void measure_load(const std::filesystem::path& path, std::ostream& out) {
  constexpr size_t kMegabyte = size_t{1} << 20;
  // What any load touches first, code and libraries, is no cost of the file.
  load_bytes(small_llama().build());
  out << platform::resident_bytes() / kMegabyte << ' ';
  std::string error = "no error";
  try {
    Model::load(path);
  } catch (const Error& e) {
    error = e.what();
  }
  out << platform::peak_resident_bytes() / kMegabyte << ' ' << error;
}

// The file itself is mapped and read, so its 13 MB count.
TEST(GgufCorpus, AHostileFileCostsLessThan64MegabytesBeforeItIsRefused) {
  const testing::TemporaryFolder folder;
  const std::filesystem::path path = folder / "hostile.gguf";
  said_by_child([&](std::ostream&) { write_hostile_file(path); });
  ASSERT_GT(std::filesystem::file_size(path), size_t{13} << 20);
  const std::string said = said_by_child([&](std::ostream& out) { measure_load(path, out); });
  EXPECT_THAT(said, HasSubstr("equal to token 0"));
  size_t before = 0, most = 0;
  ASSERT_TRUE(std::istringstream(said) >> before >> most) << said;
  EXPECT_LT(most, before + 64) << "MB before, at most: " << said;
  RecordProperty("megabytes", static_cast<int>(most - before));
}

// What is no ordinary file must neither hang nor crash.
TEST(GgufCorpus, AFolderAPipeADeviceAndALoopOfLinksAreRefused) {
  const testing::TemporaryFolder folder;
  ASSERT_EQ(::mkfifo((folder / "pipe.gguf").c_str(), 0600), 0);
  std::filesystem::create_symlink("loop.gguf", folder / "loop.gguf");
  const std::filesystem::path paths[] = {folder.path(), folder / "pipe.gguf", "/dev/zero",
                                         folder / "loop.gguf"};
  for (const std::filesystem::path& path : paths) {
    try {
      Model::load(path);
      ADD_FAILURE() << path << " was accepted";
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kBadModel) << error.what();
      EXPECT_THAT(error.what(), HasSubstr(path.string()));
    }
  }
}

TEST(GgufCorpus, AFileThatIsNotThereIsNamedWithItsNearestNeighbour) {
  const testing::TemporaryFolder folder;
  testing::write_file(folder / "model-q4_1.gguf", small_llama().build());
  try {
    Model::load(folder / "model-q4_0.gguf");
    FAIL() << "the file was found";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kBadModel);
    EXPECT_THAT(error.what(), HasSubstr("no such file (did you mean 'model-q4_1.gguf'?)"));
  }
}

TEST(GgufCorpus, AnEmptyFileIsRefused) {
  const testing::TemporaryFolder folder;
  testing::write_file(folder / "empty.gguf", {});
  EXPECT_THROW(Model::load(folder / "empty.gguf"), Error);
}

}  // namespace
}  // namespace ebb::model
