// A function with a stack of its own that can be left and entered again, within one thread.
#pragma once

#include <ucontext.h>

#include <cstddef>
#include <exception>
#include <functional>

namespace ftl::simulation {

class Fiber {
 public:
  explicit Fiber(std::function<void()> body);
  ~Fiber();
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  void enter();  // from outside: runs until leave() or the end of the body
  void leave();  // from inside: returns to enter()
  bool ended() const { return ended_; }
  // What the body threw, once it has ended.
  std::exception_ptr thrown() const { return thrown_; }

 private:
  static void start();

  std::function<void()> body_;
  std::byte* stack_ = nullptr;  // mapped; its lowest page may not be touched
  ucontext_t inside_{};
  ucontext_t outside_{};
  const void* outside_stack_ = nullptr;  // for AddressSanitizer
  std::size_t outside_bytes_ = 0;
  void* tsan_inside_ = nullptr;  // for ThreadSanitizer
  void* tsan_outside_ = nullptr;
  std::exception_ptr thrown_;
  bool ended_ = false;
};

}  // namespace ftl::simulation
