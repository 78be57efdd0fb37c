// Talks two turns with a model, evicts in between, prints what the cache holds.
#include <cstdio>
#include <exception>

#include "ebb/ebb.h"

static void show(const char* when, const ebb::Chat& chat) {
  const ebb::LayerShape first = chat.cache_shapes().front();
  std::printf(
      "%s: %lld tokens so far; layer 0 holds keys and values of [%d channels, %u cells, %d heads]; "
      "%zu bytes in all layers\n",
      when, static_cast<long long>(chat.n_tokens()), first.head_dim, first.n_cells_max,
      first.n_kv_heads, chat.cache_bytes());
}

int main(int argc, char** argv) {
  if (argc != 2) return std::fprintf(stderr, "usage: %s MODEL.gguf\n", argv[0]), 2;
  try {
    ebb::Chat chat = ebb::Chat::open(argv[1]);
    std::printf("> %s\n",
                chat.say("My name is Ada and I grow tomatoes. What do they need?", 60).c_str());
    show("after turn 1", chat);
    chat.evict_streaming(20, 20);
    show("after eviction", chat);
    std::printf("> %s\n", chat.say("What is my name?", 30).c_str());
    show("after turn 2", chat);
  } catch (const std::exception& error) {
    return std::fprintf(stderr, "%s\n", error.what()), 1;
  }
  return 0;
}
