// The methods of str: https://docs.python.org/3/library/stdtypes.html#string-methods
#pragma once

#include <span>

#include "trainer/chat_template/methods.h"

namespace ftl::chat {

std::span<const Method> text_methods();

}  // namespace ftl::chat
