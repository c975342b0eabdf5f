#include "trainer/tokenizer/pattern.h"

#include <gmock/gmock.h>

namespace ftl {
namespace {

struct Case {
  const char* name;
  const char* expression;
  const char* text;
  std::vector<std::string> matches;
};

class Expression : public testing::TestWithParam<Case> {};

TEST_P(Expression, MatchesAsOnigurumaDoes) {
  const Result<Pattern> pattern = Pattern::regex(GetParam().expression);
  ASSERT_TRUE(pattern.has_value()) << pattern.error().what;
  std::vector<Span> spans;
  const std::string text = GetParam().text;
  pattern->find_all(text, spans);
  std::vector<std::string> matches;
  for (const Span& span : spans) matches.push_back(text.substr(span.begin, span.end - span.begin));
  EXPECT_THAT(matches, testing::ElementsAreArray(GetParam().matches));
}

INSTANTIATE_TEST_SUITE_P(
    Table, Expression,
    testing::Values(
        Case{"PlusBehindACountRepeats", "\\p{N}{1,3}+", "1234567 a", {"1234567"}},
        Case{"PlusBehindACountOfAGroupRepeats", "(?:ab|c){2}+x", "abcabcx", {"abcabcx"}},
        Case{"PlusBehindACountOfAClassRepeats", "[a-c]{2}+c", "abababc abc", {"abababc", "abc"}},
        Case{"SpaceIsUnicodeWhiteSpace", "\\s+", "a\xC2\xA0\xE3\x80\x80\xC2\x85z", {"\xC2\xA0\xE3\x80\x80\xC2\x85"}},
        Case{"MongolianVowelSeparatorIsNoSpace", "\\s", "a\xE1\xA0\x8Ez", {}},
        Case{"NegatedSpace", "\\S+", "ab c", {"ab", "c"}},
        Case{"SpaceInAClass", "[^\\s\\p{L}]+", "a, b!?", {",", "!?"}},
        Case{"CaseFoldsLongS", "(?i:'s)", "it'\xC5\xBF", {"'\xC5\xBF"}},
        Case{"BraceThatCountsNothingIsText", "a{x}", "a{x}", {"a{x}"}},
        Case{"UpToCountsFromZero", "ba{,2}", "baaa", {"baa"}}, Case{"LineAnchorsAreAlwaysOn", "^b", "a\nb", {"b"}},
        Case{"AClassInsideAClassIsItsMembers", "[^ (x|[.,!])]+", "ab.c,d!ef x", {"ab", "c", "d", "ef"}},
        Case{"PosixClass", "[[:digit:]x]+", "12x", {"12x"}},
        Case{"EmptyMatchesAreNotReported",
             "a*",
             "b\xC3\xA4"
             "aab",
             {"aa"}}),
    [](const auto& suite_case) { return std::string(suite_case.param.name); });

TEST(Expression, IsRefusedWhereTheDialectsCannotBeBridged) {
  for (const char* expression :
       {"[\\p{Han}&&[a-z]]", "[a[^bc]]", "[a[bc]", "\\h", "(?m:.)", "[a", "(", "a\\", "\\p{NoSuchThing}"}) {
    const Result<Pattern> pattern = Pattern::regex(expression);
    ASSERT_FALSE(pattern.has_value()) << expression;
    EXPECT_EQ(pattern.error().kind, FaultKind::tokenizer_invalid);
    EXPECT_THAT(pattern.error().what, testing::StartsWith("the expression"));
  }
}

TEST(Expression, ThatExplodesEndsInBoundedTimeWithoutAMatch) {
  const Result<Pattern> pattern = Pattern::regex("(?:a+)+(?:a+)+(?:a+)+b");
  ASSERT_TRUE(pattern.has_value());
  std::vector<Span> spans;
  pattern->find_all(std::string(60, 'a') + "cb", spans);
  EXPECT_TRUE(spans.empty());
}

TEST(Literal, IsReplacedEverywhere) {
  std::string text = "ababxab", spare;
  Pattern::literal("ab").replace_all(text, "-", spare);
  EXPECT_EQ(text, "--x-");
}

}  // namespace
}  // namespace ftl
