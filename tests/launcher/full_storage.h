// A storage that has no room, for tests of what is written then.
#pragma once

#include <sys/resource.h>

#include <csignal>
#include <cstdint>

namespace ftl {

// While it lives, files of this process do not grow beyond `bytes`: what is left of a write is refused.
class FullStorage {
 public:
  explicit FullStorage(std::uintmax_t bytes) : before_(::signal(SIGXFSZ, SIG_IGN)) {
    ::getrlimit(RLIMIT_FSIZE, &limit_);
    const rlimit small{bytes, limit_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &small);
  }
  FullStorage(const FullStorage&) = delete;
  FullStorage& operator=(const FullStorage&) = delete;
  ~FullStorage() {
    ::setrlimit(RLIMIT_FSIZE, &limit_);
    ::signal(SIGXFSZ, before_);
  }

 private:
  sighandler_t before_;
  rlimit limit_{};
};

}  // namespace ftl
