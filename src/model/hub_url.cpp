#include <algorithm>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "model/hub.h"

namespace ebb::model {
namespace {

// One part of a path on the hub, which is also one part of a path here: no "..", nothing to escape.
bool is_name(std::string_view text) {
  const bool is_plain = std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.';
  });
  return is_plain && !text.empty() && text != "." && text != "..";
}

}  // namespace

HubAddress parse_hub_url(const std::string& url) {
  const auto fail = [&] {
    throw Error::make(ErrorKind::kUsage, "'{}': expected hf://owner/repo/file.gguf", url);
  };
  if (url.rfind("hf://", 0) != 0) fail();
  std::vector<std::string> parts(1);
  for (const char c : url.substr(5)) {
    if (c == '/') {
      parts.emplace_back();
    } else {
      parts.back().push_back(c);
    }
  }
  if (parts.size() < 3) fail();
  HubAddress address{parts[0], parts[1], "main", ""};
  if (const size_t at = address.repo.find('@'); at != std::string::npos) {
    address.revision = address.repo.substr(at + 1);
    address.repo.resize(at);
  }
  for (size_t i = 2; i < parts.size(); ++i) {
    if (!is_name(parts[i])) fail();
    address.file += (i > 2 ? "/" : "") + parts[i];
  }
  if (!is_name(address.owner) || !is_name(address.repo) || !is_name(address.revision)) fail();
  return address;
}

}  // namespace ebb::model
