// Which bytes of a rendered chat a message put there, for the ways in which templates of real families move them about.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "trainer/chat_template/chat_template.h"

namespace ftl {
namespace {

using Json = nlohmann::ordered_json;

const Json chat = Json::array({{{"role", "system"}, {"content", "Be brief."}},
                               {{"role", "user"}, {"content", " 2+2? "}},
                               {{"role", "assistant"}, {"content", "<think>\nhm\n</think>\n\nFour."}},
                               {{"role", "user"}, {"content", "Four."}},
                               {{"role", "assistant"}, {"content", ""}}});

RenderedChat rendered(const std::string& source, const Json& messages = chat) {
  Result<ChatTemplate> made = ChatTemplate::parse(source, "t");
  EXPECT_TRUE(made.has_value()) << describe(made.error());
  const Result<RenderedChat> result = made->render({&messages, false, nullptr, {}});
  EXPECT_TRUE(result.has_value()) << describe(result.error());
  return *result;
}

std::vector<std::string> texts(const RenderedChat& of, const std::vector<ByteSpan>& spans) {
  std::vector<std::string> all;
  for (const ByteSpan& span : spans) all.push_back(of.text.substr(span.begin, span.end - span.begin));
  return all;
}

using Texts = std::vector<std::string>;

TEST(MessageSpans, AreWhatALoopOverMessagesWrites) {
  const RenderedChat of = rendered("{% for m in messages %}<{{ m.role }}>{{ m.content | trim }}</>{% endfor %}!");
  EXPECT_EQ(texts(of, of.messages[1].all), Texts{"<user>2+2?</>"});
  EXPECT_EQ(texts(of, of.messages[1].own), Texts{"2+2?"});
  EXPECT_EQ(texts(of, of.messages[2].own), Texts{"<think>\nhm\n</think>\n\nFour."});
  // The same words of another message are another message's.
  EXPECT_EQ(texts(of, of.messages[3].all), Texts{"<user>Four.</>"});
  EXPECT_EQ(of.messages[4].all.back().end, of.text.size() - 1) << "`!` is nobody's";
}

TEST(MessageSpans, MarkWhereAnEmptyContentStands) {
  const RenderedChat of = rendered("{% for m in messages %}<{{ m.role }}>{{ m.content.strip() }}</>{% endfor %}");
  ASSERT_EQ(of.messages[4].own.size(), 1U);
  EXPECT_EQ(of.messages[4].own[0].begin, of.text.size() - 3);
  EXPECT_EQ(of.messages[4].own[0].end, of.text.size() - 3);
}

TEST(MessageSpans, FollowTextsOutOfTheirLoop) {
  const RenderedChat of = rendered(
      "{% set ns = namespace(s='') %}{% for m in messages %}{% if m.role == 'system' %}{% set ns.s = ns.s + m.content "
      "%}{% endif %}{% endfor %}[{{ ns.s }}]{% for m in messages[1:] %}{{ m.content }}{% endfor %}");
  EXPECT_EQ(texts(of, of.messages[0].all), Texts{"Be brief."});
  EXPECT_EQ(of.messages[0].all[0].begin, 1U);
}

TEST(MessageSpans, KeepTheSystemPromptThatStandsInTheFirstUserTurnApart) {
  const RenderedChat of = rendered(
      "{% set s = messages[0].content %}{% for m in messages[1:] %}{% if loop.first %}{% set c = '<<' + s + '>>' + "
      "m.content %}{% else %}{% set c = m.content %}{% endif %}{{ '[' ~ c.strip() ~ ']' }}{% endfor %}");
  EXPECT_EQ(texts(of, of.messages[0].own), Texts{"Be brief."});
  EXPECT_EQ(texts(of, of.messages[1].own), Texts{" 2+2?"});
  EXPECT_EQ(texts(of, of.messages[1].all), (Texts{"[<<", ">> 2+2?]"}));
}

TEST(MessageSpans, FollowPartsOfAText) {
  const RenderedChat of = rendered(
      "{% for m in messages %}{% set c = m.content %}{% if '</think>' in c %}{% set t = "
      "c.split('</think>')[0].split('<think>')[-1].strip('\\n') %}{% set c = c.split('</think>')[-1].lstrip('\\n') "
      "%}({{ t }}|{{ c }}){% endif %}{% endfor %}");
  EXPECT_EQ(of.text, "(hm|Four.)");
  EXPECT_EQ(texts(of, of.messages[2].own), (Texts{"hm", "Four."}));
  EXPECT_EQ(texts(of, of.messages[2].all), Texts{"(hm|Four.)"});
}

TEST(MessageSpans, KnowALoopOverIndices) {
  const RenderedChat of = rendered(
      "{% for i in range(messages | length) %}{% set m = messages[i] %}<{{ m.role }}>{{ m.content }};{% endfor %}");
  EXPECT_EQ(texts(of, of.messages[3].all), Texts{"<user>Four.;"});
}

TEST(MessageSpans, GoThroughMacrosAndCapturedBlocks) {
  const RenderedChat of = rendered(
      "{% macro show(m) %}<{{ m.role }}>{{ m.content }}{% endmacro %}{% for m in messages %}{% set x %}{{ show(m) "
      "}};{% "
      "endset %}{{ x | trim }}{% endfor %}");
  EXPECT_EQ(texts(of, of.messages[1].all), Texts{"<user> 2+2? ;"});
  EXPECT_EQ(texts(of, of.messages[1].own), Texts{" 2+2? "});
}

TEST(MessageSpans, CoverToolCallsAsTheMessagesOwn) {
  const Json messages = Json::array({{{"role", "assistant"},
                                      {"content", nullptr},
                                      {"tool_calls", {{{"name", "f"}, {"arguments", {{"x", "K\u00f6ln"}}}}}}}});
  const RenderedChat of = rendered(
      "{% for m in messages %}<a>{% for c in m.tool_calls %}{{ c.name }}{{ c.arguments | tojson }}{% endfor %}</a>{% "
      "endfor %}",
      messages);
  EXPECT_EQ(texts(of, of.messages[0].own), Texts{"f{\"x\": \"K\u00f6ln\"}"});
}

TEST(MessageSpans, OfEveryMessageAreApart) {
  const RenderedChat of = rendered("{% for m in messages %}{{ m.role }}:{{ m.content }}\n{% endfor %}");
  std::vector<int> owner(of.text.size(), -1);
  for (std::size_t i = 0; i < of.messages.size(); ++i) {
    for (const ByteSpan& span : of.messages[i].all) {
      for (std::size_t at = span.begin; at < span.end; ++at) {
        EXPECT_EQ(owner[at], -1) << at;
        owner[at] = static_cast<int>(i);
      }
    }
  }
}

TEST(Generations, AreReportedInBytesWhereTheyStand) {
  const RenderedChat of = rendered(
      "{% for m in messages %}\u00e9{% if m.role == 'assistant' %}{% generation %}{{ m.content }}<end>{% endgeneration "
      "%}{% else %}{{ m.content }}{% endif %}{% endfor %}");
  EXPECT_EQ(texts(of, of.generations), (Texts{"<think>\nhm\n</think>\n\nFour.<end>", "<end>"}));
}

}  // namespace
}  // namespace ftl
