#include "kv/page_arena.h"

#include <algorithm>

#include "base/error.h"
#include "base/platform.h"

namespace ebb::kv {
namespace {

constexpr size_t kChunkBytes = size_t{4} << 20;
// Free memory that may wait for the next page: a chunk, or one part in so many of what is live if
// that is more. A cap of 512 cells on SmolLM2-135M gives back 1.4 MB at once, of 13 MB.
constexpr size_t kBytesKept = kChunkBytes;
constexpr size_t kPartsOfLive = 16;

size_t round_up(size_t value, size_t unit) { return (value + unit - 1) / unit * unit; }

}  // namespace

PageArena::PageArena(size_t page_bytes)
    : page_bytes_(round_up(page_bytes, platform::system_page_bytes())),
      chunk_bytes_(std::max<size_t>(1, kChunkBytes / page_bytes_) * page_bytes_) {}

PageArena::~PageArena() {
  for (const auto& [base, chunk] : chunks_) platform::unmap_pages(base, chunk_bytes_);
}

PageArena::Chunk& PageArena::chunk_of(const std::byte* page) {
  auto after = chunks_.upper_bound(const_cast<std::byte*>(page));
  EBB_CHECK(after != chunks_.begin());
  return std::prev(after)->second;
}

void PageArena::add_chunk() {
  // Room in both lists for every page there is: giving one back must not need memory.
  const size_t n_pages = (chunks_.size() + 1) * (chunk_bytes_ / page_bytes_);
  if (dirty_.capacity() < n_pages) dirty_.reserve(2 * n_pages);
  if (clean_.capacity() < n_pages) clean_.reserve(2 * n_pages);
  std::byte* base = platform::map_pages(chunk_bytes_);
  try {
    chunks_.emplace(base, Chunk{});
  } catch (...) {
    platform::unmap_pages(base, chunk_bytes_);
    throw;
  }
  // Handed out from the back: low addresses first, so that neighbours in time are neighbours in
  // memory.
  for (size_t offset = chunk_bytes_; offset > 0; offset -= page_bytes_) {
    clean_.push_back(base + (offset - page_bytes_));
  }
}

std::byte* PageArena::allocate() {
  if (dirty_.empty() && clean_.empty()) add_chunk();
  std::vector<std::byte*>& pool = dirty_.empty() ? clean_ : dirty_;
  std::byte* page = pool.back();
  pool.pop_back();
  ++chunk_of(page).n_live;
  ++n_live_;
  return page;
}

void PageArena::release(std::byte* page) {
  Chunk& chunk = chunk_of(page);
  EBB_CHECK(chunk.n_live > 0 && n_live_ > 0);
  --chunk.n_live;
  --n_live_;
  dirty_.push_back(page);
}

void PageArena::trim() {
  if (dirty_.empty()) return;
  const size_t n_bytes = dirty_.size() * page_bytes_;
  if (n_live_ > 0 && n_bytes <= std::max(kBytesKept, bytes_live() / kPartsOfLive)) return;
  std::sort(dirty_.begin(), dirty_.end());
  const auto is_dead = [this](const std::byte* page) { return chunk_of(page).n_live == 0; };
  for (size_t i = 0; i < dirty_.size();) {
    size_t end = i + 1;
    const Chunk& chunk = chunk_of(dirty_[i]);
    while (end < dirty_.size() && dirty_[end] == dirty_[end - 1] + page_bytes_ &&
           &chunk_of(dirty_[end]) == &chunk) {
      ++end;
    }
    if (chunk.n_live > 0) platform::discard_pages(dirty_[i], (end - i) * page_bytes_);
    i = end;
  }
  clean_.insert(clean_.end(), dirty_.rbegin(), dirty_.rend());
  dirty_.clear();
  std::erase_if(clean_, is_dead);
  std::erase_if(chunks_, [this](const auto& entry) {
    if (entry.second.n_live > 0) return false;
    platform::unmap_pages(entry.first, chunk_bytes_);
    return true;
  });
}

}  // namespace ebb::kv
