// Memory as ever, but for the one allocation that a test chose.
#include "failing_allocator.h"

#include <cstdlib>
#include <new>

// Not inlined: GCC would see free() on what new gave and warn.
[[gnu::noinline]] void* operator new(std::size_t size) {
  if (ebb::FailingAllocator::fails_now()) throw std::bad_alloc();
  void* memory = std::malloc(size > 0 ? size : 1);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
