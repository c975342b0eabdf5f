// The variable `loop`.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "trainer/chat_template/ast.h"
#include "trainer/chat_template/value.h"

namespace ftl::chat {

struct Scope;

struct LoopState final : Object, std::enable_shared_from_this<LoopState> {
  std::string type_name() const override { return "LoopContext"; }
  std::string shown() const override;
  Value attribute(std::string_view name) const override;
  bool is_callable() const override { return true; }
  Value call(Evaluator& evaluator, Arguments& arguments) override;  // the next level of a recursive loop

  std::vector<Value> items;
  std::size_t index = 0;
  std::int64_t level = 0;
  void end();                      // `loop` may have been put aside; it cannot be called any more
  const For* loop = nullptr;       // null once the loop has ended
  const Scope* outside = nullptr;  // where it stands
  Value last_seen;                 // of `changed`: a tuple
  bool has_seen = false;
};

}  // namespace ftl::chat
