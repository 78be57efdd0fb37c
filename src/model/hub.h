// Fetches a model file from a Hugging Face style hub: resumed where it stopped, checked by size and
// SHA-256, and put under its final name only when it is whole. Reads no environment: the caller
// fills the request. One process at a time should pull the same file.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

namespace ebb::model {

enum class HubMode {
  kOnline,
  kOffline,  // only what is in the folder already
};

struct HubProgress {
  uint64_t n_bytes_done = 0;  // including what an earlier pull left
  uint64_t n_bytes_total = 0;
};

struct HubRequest {
  std::string url;  // "hf://owner/repo/file.gguf" or "hf://owner/repo@revision/file.gguf"
  std::filesystem::path folder;  // the file becomes folder/owner/repo/file.gguf
  std::string endpoint = "https://huggingface.co";
  std::string token;  // "" = none; sent to the endpoint's host only
  HubMode mode = HubMode::kOnline;
  int n_attempts_max = 5;                     // in a row that brought next to nothing
  std::chrono::milliseconds first_wait{500};  // before the second attempt; doubles, at most 30 s
  std::chrono::seconds stall_timeout{60};     // with less than n_bytes_worthwhile
  uint64_t n_bytes_worthwhile = 16 * 1024;    // that an attempt must bring not to count as failed
  std::function<void(const HubProgress&)> on_progress;  // may be empty
  std::function<bool()> is_cancelled;                   // may be empty
};

enum class HubCheck {
  kSha256,    // equal to the hub's hash
  kSizeOnly,  // the hub gave no SHA-256 for this file
};

struct HubFile {
  std::filesystem::path path;
  std::string sha256;
  uint64_t size_bytes = 0;
  HubCheck check = HubCheck::kSha256;
  bool was_cached = false;  // nothing was transferred
};

// Throws: kUsage for a url that is no hf:// url, or where the hub asks for a (better) token;
// kBadModel where there is no such file or its bytes do not match; kStorage for network and disk
// trouble; kInterrupted when cancelled (what has come stays for the next pull).  No message holds
// the token.
HubFile pull(const HubRequest& request);

// The parts of an hf:// url.  Throws: kUsage.
struct HubAddress {
  std::string owner, repo, revision, file;  // file may have folders in front
};
HubAddress parse_hub_url(const std::string& url);

}  // namespace ebb::model
