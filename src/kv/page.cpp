#include "kv/page.h"

#include "base/error.h"

namespace ebb::kv {

Page* PagePool::make_page() {
  auto page = std::make_unique<Page>();
  const uint32_t capacity = format_.cells_per_page();
  page->ordinals.reserve(capacity);
  page->spans.reserve(capacity);
  page->hidden.reserve(capacity);
  page->data = cells_.allocate();
  return page.release();
}

KeyPage* PagePool::make_key_page() {
  auto page = std::make_unique<KeyPage>();
  page->data = keys_.allocate();
  return page.release();
}

void PagePool::unref(Page* page) {
  EBB_DCHECK(page->n_refs > 0);
  if (--page->n_refs > 0) return;
  cells_.release(page->data);
  delete page;
}

void PagePool::unref(KeyPage* page) {
  EBB_DCHECK(page->n_refs > 0);
  if (--page->n_refs > 0) return;
  keys_.release(page->data);
  delete page;
}

void PagePool::trim() {
  cells_.trim();
  keys_.trim();
}

}  // namespace ebb::kv
