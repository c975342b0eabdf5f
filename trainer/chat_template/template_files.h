// Where a model's chat template lies: chat_template.jinja beside the tokenizer, or "chat_template" of
// tokenizer_config.json (a string, or a list of {"name", "template"}), with the special tokens that templates use.
#pragma once

#include <string>

#include "checkpoints/files.h"
#include "failures/result.h"
#include "trainer/chat_template/chat_template.h"

namespace ftl {

// `directory`: with tokenizer_config.json (at most 16 MB). `name`: of a list; "default" also is the only one.
// Kinds: file_not_found, tokenizer_invalid (no template, or one that is not understood).
Result<ChatTemplate> load_chat_template(Files& files, const std::string& directory,
                                        const std::string& name = "default");

}  // namespace ftl
