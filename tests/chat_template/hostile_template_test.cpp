// Templates are programs of strangers: whatever they try ends soon, with the limit or the missing part named.
#include <gtest/gtest.h>

#include <chrono>
#include <nlohmann/json.hpp>
#include <string>

#include "trainer/chat_template/chat_template.h"

namespace ftl {
namespace {

using Json = nlohmann::ordered_json;

// What rendering `source` fails with; empty when it does not.
std::string failure_of(const std::string& source) {
  const Json messages = Json::array({{{"role", "user"}, {"content", "hello"}}});
  const Result<ChatTemplate> made = ChatTemplate::parse(source, "t");
  if (!made) return made.error().where + " " + made.error().what;
  const Result<RenderedChat> chat = made->render({&messages, false, nullptr, {}});
  return chat ? "" : chat.error().where + " " + chat.error().what;
}

std::string repeated(const std::string& text, int count) {
  std::string all;
  for (int i = 0; i < count; ++i) all += text;
  return all;
}

struct Case {
  const char* name;
  std::string source, says;
};

class Hostile : public testing::TestWithParam<Case> {};

TEST_P(Hostile, EndsSoonAndSaysWhy) {
  const auto start = std::chrono::steady_clock::now();
  const std::string failure = failure_of(GetParam().source);
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(10));  // well below one on a quiet machine
  EXPECT_NE(failure.find(GetParam().says), std::string::npos) << "said: " << failure;
}

const std::string loops = "{% for a in range(100000) %}{% for b in range(100000) %}";
const std::string grow = "{% set ns = namespace(x='ab', l=[1]) %}{% for i in range(60) %}";

INSTANTIATE_TEST_SUITE_P(
    Templates, Hostile,
    testing::Values(
        Case{"EndlessLoops", loops + "{% endfor %}{% endfor %}", "steps"},
        Case{"LongOutput", loops + repeated("x", 1000) + "{% endfor %}{% endfor %}", "text of more than 64 MiB"},
        Case{"RepeatedText", "{{ 'abc' * 1000000000000 }}", "text of more than 64 MiB"},
        Case{"RepeatedList", "{{ [1] * 1000000000000 }}", "text of more than 64 MiB"},
        Case{"DoubledText", grow + "{% set ns.x = ns.x + ns.x %}{% endfor %}", "MiB"},
        Case{"DoubledList", grow + "{% set ns.l = ns.l + ns.l %}{% endfor %}", "MiB"},
        Case{"SharedLists", grow + "{% set ns.l = [ns.l, ns.l] %}{% endfor %}{{ ns.l }}", "steps"},
        Case{"SharedListsCompared",
             grow + "{% set ns.l = [ns.l, ns.l] %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.l == ns.x }}", ""},
        Case{"SharedListsAsJson", grow + "{% set ns.l = [ns.l, ns.l] %}{% endfor %}{{ ns.l | tojson }}", "steps"},
        Case{"SharedTuplesAsKey",
             grow + "{% set ns.l = (ns.x, ns.x) %}{% set ns.x = ns.l %}{% endfor %}{{ {ns.l: 1} }}", "key"},
        Case{"DeepLists", "{% set ns = namespace(l=[]) %}{% for i in range(9999) %}{% set ns.l = [ns.l] %}{% endfor %}",
             "nest deeper"},
        Case{"Replaced", "{{ ('a' * 1000000) | replace('a', 'b' * 1000000) }}", "MiB"},
        Case{"Joined", "{{ range(100000) | join('x' * 100000) }}", "MiB"},
        Case{"Padded", "{{ 'a'.ljust(99999999999) }}", "text of more than 64 MiB"},
        Case{"Formatted", "{{ '%99999999s' % 'a' }}", "width"},
        Case{"Indented", "{{ ('\n' * 1000000) | indent(1000000, true, true) }}", "MiB"},
        Case{"QuadraticSearch",
             "{% set a = 'a' * 4000000 %}{{ (a + 'b') in a }}{% for i in range(100000) %}{{ ('a' * 3000000 + 'b') in a "
             "}}{% endfor %}",
             "MiB"},
        Case{"BigRange", "{{ range(100001) }}", "at most 100000"},
        Case{"HugeRange", "{{ range(-9223372036854775807, 9223372036854775807) }}", "at most 100000"},
        Case{"Overflow", "{{ 9223372036854775807 + 1 }}", "64 bits"}, Case{"Power", "{{ 10 ** 1000 }}", "64 bits"},
        Case{"EndlessMacro", "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "nest deeper"},
        Case{"EndlessRecursiveLoop", "{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}", "nest deeper"},
        Case{"DeepParentheses", "{{ " + repeated("(", 5000) + "1" + repeated(")", 5000) + " }}", "nests deeper"},
        Case{"DeepBlocks", repeated("{% if 1 %}", 5000) + repeated("{% endif %}", 5000), "nests deeper"},
        Case{"ManyNots", "{{ " + repeated("not ", 5000) + "1 }}", "nests deeper"},
        Case{"ManyMinuses", "{{ " + repeated("- ", 5000) + "1 }}", "nests deeper"},
        Case{"LongChain", "{{ 1" + repeated(" + 1", 5000) + " }}", "more than 300"},
        Case{"LongSubscripts", "{{ messages" + repeated("[0]", 5000) + " }}", "more than 300"},
        Case{"SelfInNamespace", "{% set ns = namespace() %}{% set ns.me = ns %}{{ ns.me.me.nothing.x }}",
             "no attribute"},
        Case{"LoopKept",
             "{% set ns = namespace() %}{% for x in [1] recursive %}{% set ns.l = loop %}{% endfor %}{{ ns.l([1]) }}",
             "has ended"},
        Case{"Internals", "{{ ''.__class__.__mro__ }}", "no attribute"},
        Case{"Mutation", "{{ messages.append(1) }}", "closed to templates"},
        Case{"Import", "{% import 'os' as os %}", "`import`"},
        Case{"Include", "{% include '/etc/passwd' %}", "`include`"},
        Case{"WrongFilter", "a\nb {{ 'x' | nope }}", "t:2:12 there is no filter `nope`"},
        Case{"Refused", "{{ raise_exception('no tools') }}", "t:1:19 the template refuses: no tools"}),
    [](const auto& suite_case) { return std::string(suite_case.param.name); });

TEST(HostileTemplate, OfTooManyBytesIsNotRead) {
  EXPECT_NE(failure_of(std::string(std::size_t{2} << 20, 'x')).find("1048576"), std::string::npos);
}

TEST(HostileTemplate, MacroOfAnEndedLoopStillSeesItsNames) {
  const Json messages = Json::array();
  const std::string source =
      "{% set ns = namespace(m=none) %}{% for i in range(3) %}{% macro m() %}{{ i }}{% endmacro %}"
      "{% if i == 1 %}{% set ns.m = m %}{% endif %}{% endfor %}{{ ns.m() }}";
  const Result<ChatTemplate> made = ChatTemplate::parse(source, "t");
  ASSERT_TRUE(made.has_value());
  const Result<RenderedChat> chat = made->render({&messages, false, nullptr, {}});
  ASSERT_TRUE(chat.has_value()) << describe(chat.error());
  EXPECT_EQ(chat->text, "1");
}

}  // namespace
}  // namespace ftl
