// An open file, closed when its owner goes.
#pragma once

#include <unistd.h>

#include <utility>

namespace ftl {

class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int number) : number_(number) {}
  Descriptor(Descriptor&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    Descriptor taken(std::move(other));
    std::swap(number_, taken.number_);
    return *this;
  }
  ~Descriptor() { reset(); }

  int get() const { return number_; }
  explicit operator bool() const { return number_ >= 0; }
  void reset() {
    if (number_ >= 0) (void)close_now();
  }
  // The last chance of a network file system to report that a write was lost.
  int close_now() { return ::close(std::exchange(number_, -1)); }

 private:
  int number_ = -1;
};

}  // namespace ftl
