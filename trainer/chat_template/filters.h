// Jinja's filters: the table of them is in filters.cpp, in alphabetical order.
// https://jinja.palletsprojects.com/en/stable/templates/#list-of-builtin-filters
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "trainer/chat_template/arguments.h"
#include "trainer/chat_template/value.h"

namespace ftl::chat {

struct Filter {
  std::string_view name;
  Value (*apply)(Evaluator& evaluator, const Value& value, const Arguments& arguments);
};

const Filter* find_filter(std::string_view name);  // null: there is none of that name

// The parts `grouper` and `list` of what `groupby` gives; null for every other value or name.
const Value* group_part(const Value& value, std::string_view name);

// What an `attribute=` argument names: "a.b.0", an index, or none for the value itself.
Value named_part(Evaluator& evaluator, const Value& of, const Value& path);

namespace filters {  // by what they work on
#define FTL_CHAT_FILTER(name) Value name(Evaluator& evaluator, const Value& value, const Arguments& arguments);
FTL_CHAT_FILTER(absolute)
FTL_CHAT_FILTER(attr)
FTL_CHAT_FILTER(batch)
FTL_CHAT_FILTER(capitalize)
FTL_CHAT_FILTER(center)
FTL_CHAT_FILTER(default_value)
FTL_CHAT_FILTER(dictsort)
FTL_CHAT_FILTER(escape)
FTL_CHAT_FILTER(first)
FTL_CHAT_FILTER(format)
FTL_CHAT_FILTER(groupby)
FTL_CHAT_FILTER(indent)
FTL_CHAT_FILTER(items)
FTL_CHAT_FILTER(join)
FTL_CHAT_FILTER(last)
FTL_CHAT_FILTER(length_of)
FTL_CHAT_FILTER(list)
FTL_CHAT_FILTER(lower_case)
FTL_CHAT_FILTER(map)
FTL_CHAT_FILTER(maximum)
FTL_CHAT_FILTER(minimum)
FTL_CHAT_FILTER(real)
FTL_CHAT_FILTER(reject)
FTL_CHAT_FILTER(rejectattr)
FTL_CHAT_FILTER(replace)
FTL_CHAT_FILTER(reverse)
FTL_CHAT_FILTER(round)
FTL_CHAT_FILTER(safe)
FTL_CHAT_FILTER(select)
FTL_CHAT_FILTER(selectattr)
FTL_CHAT_FILTER(slice)
FTL_CHAT_FILTER(sort)
FTL_CHAT_FILTER(string)
FTL_CHAT_FILTER(sum)
FTL_CHAT_FILTER(title)
FTL_CHAT_FILTER(tojson)
FTL_CHAT_FILTER(trim)
FTL_CHAT_FILTER(truncate)
FTL_CHAT_FILTER(unique)
FTL_CHAT_FILTER(upper_case)
FTL_CHAT_FILTER(urlencode)
FTL_CHAT_FILTER(whole)
FTL_CHAT_FILTER(wordcount)
#undef FTL_CHAT_FILTER
}  // namespace filters

}  // namespace ftl::chat
