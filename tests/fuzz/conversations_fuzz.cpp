// A file of conversations, and the turns that are made of it.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/error.h"
#include "experiment/conversation.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    const auto set = ebb::experiment::parse_conversations(text, "fuzz.json");
    for (const auto& conversation : set.conversations) ebb::experiment::exchanges_of(conversation);
  } catch (const ebb::Error& error) {
    if (error.kind() == ebb::ErrorKind::kInternal) __builtin_trap();
  }
  return 0;
}
