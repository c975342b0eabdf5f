// A tokenizer_config.json as the place of a chat template. Accepted: the template renders or says why not.
#include <nlohmann/json.hpp>

#include "tests/fuzz/fuzz_target.h"
#include "tests/tokenizer/memory_files.h"
#include "trainer/chat_template/template_files.h"

namespace ftl {
namespace {

bool run(std::string_view input) {
  MemoryFiles files({{"t/tokenizer_config.json", std::string(input)}});
  bool taken = false;
  for (const char* name : {"default", "tool_use"}) {
    const Result<ChatTemplate> made = load_chat_template(files, "t", name);
    if (!made) {
      must(made.error().kind == FaultKind::tokenizer_invalid && !made.error().what.empty(), "a refusal says why");
      continue;
    }
    taken = true;
    const nlohmann::ordered_json messages = nlohmann::ordered_json::array({{{"role", "user"}, {"content", "hi"}}});
    const Result<RenderedChat> chat = made->render({&messages, false, nullptr, {}});
    must(chat.has_value() || !chat.error().what.empty(), "a refusal says why");
  }
  return taken;
}

const FuzzTarget target("template_config", run);

}  // namespace
}  // namespace ftl
