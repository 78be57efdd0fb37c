#include "experiment/conversation_lines.h"

#include <algorithm>
#include <vector>

namespace ebb::experiment {
namespace {

// An object or array that is open at the reader's place.
struct Open {
  bool is_object = false;
  bool expects_key = false;
  size_t n_values = 0;
  size_t path_bytes = 0;  // length of its own pointer
};

// The raw text of the string that begins at the quote at `from`; moves `from` behind it.
std::string_view take_string(std::string_view text, size_t& from) {
  const size_t begin = from + 1;
  size_t end = begin;
  while (end < text.size() && text[end] != '"') end += text[end] == '\\' ? 2 : 1;
  end = std::min(end, text.size());
  from = end + 1;
  return text.substr(begin, end - begin);
}

}  // namespace

size_t nesting_depth(std::string_view text) {
  size_t depth = 0;
  size_t deepest = 0;
  for (size_t i = 0; i < text.size();) {
    if (text[i] == '"') {
      static_cast<void>(take_string(text, i));
      continue;
    }
    if (text[i] == '{' || text[i] == '[') deepest = std::max(deepest, ++depth);
    if ((text[i] == '}' || text[i] == ']') && depth > 0) --depth;
    ++i;
  }
  return deepest;
}

JsonLines::JsonLines(std::string_view text) {
  std::vector<Open> open;
  std::string path;
  int line = 1;
  // Notes where a value begins; its pointer is the container's and one more step.
  const auto begin_value = [&] {
    if (!open.empty() && !open.back().is_object) {
      path.resize(open.back().path_bytes);
      path += '/';
      path += std::to_string(open.back().n_values++);
    }
    if (!lines_.emplace(path, line).second && !repeated_key_) repeated_key_ = path;
  };
  for (size_t i = 0; i < text.size();) {
    const char c = text[i];
    if (c == '\n') ++line;
    if (c == '{' || c == '[') {
      begin_value();
      open.push_back({c == '{', c == '{', 0, path.size()});
    } else if (c == '}' || c == ']') {
      path.resize(open.back().path_bytes);
      open.pop_back();
    } else if (c == ',') {
      open.back().expects_key = open.back().is_object;
    } else if (c == '"' && !open.empty() && open.back().expects_key) {
      path.resize(open.back().path_bytes);
      path += '/';
      path += take_string(text, i);
      open.back().expects_key = false;
      continue;
    } else if (c == '"') {
      begin_value();
      static_cast<void>(take_string(text, i));
      continue;
    } else if (std::string_view("-0123456789tfn").find(c) != std::string_view::npos) {
      begin_value();
      i = text.find_first_of(",]} \t\r\n", i);
      if (i == std::string_view::npos) break;
      continue;
    }
    ++i;
  }
}

int JsonLines::line_of(std::string pointer) const {
  while (true) {
    const auto found = lines_.find(pointer);
    if (found != lines_.end()) return found->second;
    const size_t cut = pointer.rfind('/');
    if (cut == std::string::npos) return 1;
    pointer.resize(cut);
  }
}

}  // namespace ebb::experiment
