#include "base/error.h"

namespace ebb {

int Error::exit_code() const {
  switch (kind_) {
    case ErrorKind::kInternal:
    case ErrorKind::kBackend:
      return 1;
    case ErrorKind::kUsage:
      return 2;
    case ErrorKind::kBadModel:
    case ErrorKind::kBadData:
      return 3;
    case ErrorKind::kOutOfMemory:
      return 4;
    case ErrorKind::kStorage:
      return 5;
    case ErrorKind::kInterrupted:
      return 75;
  }
  return 1;
}

void fail_check(const char* expression, const char* file, int line) {
  throw Error::make(ErrorKind::kInternal, "internal check failed: {} ({}:{})", expression, file,
                    line);
}

}  // namespace ebb
