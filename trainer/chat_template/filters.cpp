#include "trainer/chat_template/filters.h"

#include <algorithm>
#include <iterator>

namespace ftl::chat {
namespace {

constexpr Filter table[] = {
    {"abs", filters::absolute},
    {"attr", filters::attr},
    {"batch", filters::batch},
    {"capitalize", filters::capitalize},
    {"center", filters::center},
    {"count", filters::length_of},
    {"d", filters::default_value},
    {"default", filters::default_value},
    {"dictsort", filters::dictsort},
    {"e", filters::escape},
    {"escape", filters::escape},
    {"first", filters::first},
    {"float", filters::real},
    {"forceescape", filters::escape},
    {"format", filters::format},
    {"groupby", filters::groupby},
    {"indent", filters::indent},
    {"int", filters::whole},
    {"items", filters::items},
    {"join", filters::join},
    {"last", filters::last},
    {"length", filters::length_of},
    {"list", filters::list},
    {"lower", filters::lower_case},
    {"map", filters::map},
    {"max", filters::maximum},
    {"min", filters::minimum},
    {"reject", filters::reject},
    {"rejectattr", filters::rejectattr},
    {"replace", filters::replace},
    {"reverse", filters::reverse},
    {"round", filters::round},
    {"safe", filters::safe},
    {"select", filters::select},
    {"selectattr", filters::selectattr},
    {"slice", filters::slice},
    {"sort", filters::sort},
    {"string", filters::string},
    {"sum", filters::sum},
    {"title", filters::title},
    {"tojson", filters::tojson},
    {"trim", filters::trim},
    {"truncate", filters::truncate},
    {"unique", filters::unique},
    {"upper", filters::upper_case},
    {"urlencode", filters::urlencode},
    {"wordcount", filters::wordcount},
};

}  // namespace

const Filter* find_filter(std::string_view name) {
  const auto found = std::ranges::lower_bound(table, name, {}, &Filter::name);
  return found != std::end(table) && found->name == name ? found : nullptr;
}

}  // namespace ftl::chat
