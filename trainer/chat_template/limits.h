// What a template may cost. Templates come with models and are programs of strangers: every loop step, every byte that
// an operation makes and every level of nesting is paid from these, and a purse that is empty ends the rendering with
// the limit's name.
#pragma once

#include <cstddef>
#include <cstdint>

namespace ftl::chat {

struct Limits {
  std::size_t template_bytes = std::size_t{1} << 20;
  std::size_t output_bytes = std::size_t{64} << 20;   // also of any one string
  std::size_t memory_bytes = std::size_t{256} << 20;  // made by all operations together, whether still used or not
  std::int64_t steps = 1'000'000;                     // statements, expressions, items
  std::int64_t range_items = 100'000;                 // of one range(); Jinja's sandbox has the same
  int depth = 500;                                    // of calls and nested expressions while rendering
};

inline constexpr int deepest_value = 200;      // lists in lists; also bounds the recursion of printing and destruction
inline constexpr int deepest_expression = 60;  // parentheses, blocks and operators within one another in the source

// Pays from the limits; throws TemplateError.
class Meter {
 public:
  explicit Meter(const Limits& limits) : limits_(limits) {}
  const Limits& limits() const { return limits_; }

  void step(std::int64_t count = 1) {
    steps_ += count;
    if (steps_ > limits_.steps) out_of_steps();
  }
  // Before `bytes` are allocated, copied or searched.
  void take(std::size_t bytes) {
    if (bytes > limits_.memory_bytes - taken_) out_of_memory();
    taken_ += bytes;
  }
  void check_string(std::size_t bytes) const {
    if (bytes > limits_.output_bytes) too_long();
  }
  // `count` copies of `bytes`, whose product may not even fit a number.
  void take_copies(std::size_t bytes, std::int64_t count);

  class Level {
   public:
    explicit Level(Meter& meter) : meter_(meter) {
      if (++meter_.depth_ > meter_.limits_.depth) {
        --meter_.depth_;  // no destructor runs for a constructor that throws
        meter_.too_deep();
      }
    }
    ~Level() { --meter_.depth_; }
    Level(const Level&) = delete;
    Level& operator=(const Level&) = delete;

   private:
    Meter& meter_;
  };

 private:
  [[noreturn]] void out_of_steps() const;
  [[noreturn]] void out_of_memory() const;
  [[noreturn]] void too_long() const;
  [[noreturn]] void too_deep() const;

  Limits limits_;
  std::int64_t steps_ = 0;
  std::size_t taken_ = 0;
  int depth_ = 0;
};

}  // namespace ftl::chat
