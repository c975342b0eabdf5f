#include "simulation/fiber.h"

#include <sys/mman.h>

#include <new>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define FTL_ASAN_FIBERS
#endif
#if __has_feature(thread_sanitizer)
#define FTL_TSAN_FIBERS
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define FTL_ASAN_FIBERS
#endif
#if defined(__SANITIZE_THREAD__)
#define FTL_TSAN_FIBERS
#endif
#ifdef FTL_ASAN_FIBERS
#include <sanitizer/common_interface_defs.h>
#endif
#ifdef FTL_TSAN_FIBERS
#include <sanitizer/tsan_interface.h>
#endif

namespace ftl::simulation {

namespace {

constexpr std::size_t page = 4096;
constexpr std::size_t stack_bytes = 1 << 20;  // touched pages only are real

thread_local Fiber* starting = nullptr;

// The sanitizers follow stacks and threads; they must be told when either changes under them.
void announce_switch([[maybe_unused]] void** fake_stack, [[maybe_unused]] const void* stack,
                     [[maybe_unused]] std::size_t bytes, [[maybe_unused]] void* tsan_fiber) {
#ifdef FTL_ASAN_FIBERS
  __sanitizer_start_switch_fiber(fake_stack, stack, bytes);
#endif
#ifdef FTL_TSAN_FIBERS
  __tsan_switch_to_fiber(tsan_fiber, 0);
#endif
}

void announce_arrival([[maybe_unused]] void* fake_stack, [[maybe_unused]] const void** from,
                      [[maybe_unused]] std::size_t* bytes) {
#ifdef FTL_ASAN_FIBERS
  __sanitizer_finish_switch_fiber(fake_stack, from, bytes);
#endif
}

}  // namespace

Fiber::Fiber(std::function<void()> body) : body_(std::move(body)) {
  void* memory = ::mmap(nullptr, page + stack_bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  stack_ = static_cast<std::byte*>(memory);
  ::mprotect(stack_, page, PROT_NONE);  // an overflow is a fault, not another fiber's data
  ::getcontext(&inside_);
  inside_.uc_stack.ss_sp = stack_ + page;
  inside_.uc_stack.ss_size = stack_bytes;
  inside_.uc_link = nullptr;
  ::makecontext(&inside_, &Fiber::start, 0);
#ifdef FTL_TSAN_FIBERS
  tsan_inside_ = __tsan_create_fiber(0);
#endif
}

Fiber::~Fiber() {
#ifdef FTL_TSAN_FIBERS
  __tsan_destroy_fiber(tsan_inside_);
#endif
  ::munmap(stack_, page + stack_bytes);
}

void Fiber::start() {
  Fiber* self = starting;
  announce_arrival(nullptr, &self->outside_stack_, &self->outside_bytes_);
  try {
    self->body_();
  } catch (...) {
    self->thrown_ = std::current_exception();
  }
  self->ended_ = true;
  announce_switch(nullptr, self->outside_stack_, self->outside_bytes_, self->tsan_outside_);
  ::swapcontext(&self->inside_, &self->outside_);
}

void Fiber::enter() {
  starting = this;
  void* fake_stack = nullptr;
#ifdef FTL_TSAN_FIBERS
  tsan_outside_ = __tsan_get_current_fiber();
#endif
  announce_switch(&fake_stack, stack_ + page, stack_bytes, tsan_inside_);
  ::swapcontext(&outside_, &inside_);
  announce_arrival(fake_stack, nullptr, nullptr);
}

void Fiber::leave() {
  void* fake_stack = nullptr;
  announce_switch(&fake_stack, outside_stack_, outside_bytes_, tsan_outside_);
  ::swapcontext(&inside_, &outside_);
  announce_arrival(fake_stack, &outside_stack_, &outside_bytes_);
}

}  // namespace ftl::simulation
