// Memory for pages of one size: mapped from the system in chunks, given back when it is free.
// Knows nothing of what a page holds.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <vector>

namespace ebb::kv {

// Threads: one thread at a time.
class PageArena {
 public:
  // page_bytes is rounded up to whole system pages.
  explicit PageArena(size_t page_bytes);
  ~PageArena();
  PageArena(const PageArena&) = delete;
  PageArena& operator=(const PageArena&) = delete;

  // Zeroed or formerly used memory: callers write before they read.  Throws: kOutOfMemory.
  std::byte* allocate();
  // Neither this nor trim() allocates: both run while an error is on its way.
  void release(std::byte* page);
  // Gives the memory of all released pages back to the system; whole free chunks are unmapped. A
  // little is kept while pages are live: a cap that gives a page back will soon want one.
  void trim();

  size_t page_bytes() const { return page_bytes_; }
  size_t n_pages_live() const { return n_live_; }
  size_t bytes_live() const { return n_live_ * page_bytes_; }

 private:
  struct Chunk {
    size_t n_live = 0;
  };
  void add_chunk();
  Chunk& chunk_of(const std::byte* page);

  size_t page_bytes_;
  size_t chunk_bytes_;
  size_t n_live_ = 0;
  std::map<std::byte*, Chunk> chunks_;  // by first byte
  std::vector<std::byte*> clean_;       // free, memory already given back
  std::vector<std::byte*> dirty_;       // free since the last trim
};

}  // namespace ebb::kv
