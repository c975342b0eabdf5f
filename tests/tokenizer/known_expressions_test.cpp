// The matchers that are written by hand against PCRE2, which compiles the same expressions: the same spans over every
// assigned character in many neighbourhoods and over random texts.
#include "trainer/tokenizer/known_expressions.h"

#include <gtest/gtest.h>

#include <random>

#include "trainer/tokenizer/character_classes.h"
#include "trainer/tokenizer/pattern.h"
#include "trainer/tokenizer/utf8.h"

namespace ftl {
namespace {

using enum CharacterClasses::Class;

constexpr char32_t end_of_code_points = 0x110000;
bool is_surrogate(char32_t c) { return c >= 0xD800 && c <= 0xDFFF; }

std::string text_of(std::u32string_view points) {
  std::string text;
  for (const char32_t c : points) append_utf8(text, c);
  return text;
}

std::vector<Span> spans(const Pattern& pattern, std::string_view text) {
  std::vector<Span> found;
  pattern.find_all(text, found);
  return found;
}

Pattern compiled(std::string_view expression) {
  Result<Pattern> pattern = Pattern::compiled(expression);
  EXPECT_TRUE(pattern.has_value());
  return std::move(*pattern);
}

// Code points that PCRE2 knows: the class table may be of a younger Unicode, never of an older one.
const std::u32string& characters_of_pcre2() {
  static const std::u32string known = [] {
    std::u32string points;
    std::string text;
    for (char32_t c = 0; c < end_of_code_points; ++c) {
      if (!is_surrogate(c)) append_utf8(text, c);
    }
    for (const Span& run : spans(compiled("\\P{Cn}+"), text)) {
      for (std::string_view rest = std::string_view(text).substr(run.begin, run.end - run.begin); !rest.empty();) {
        points += first_code_point(rest).value;
        rest.remove_prefix(first_code_point(rest).length);
      }
    }
    return points;
  }();
  return known;
}

struct ClassCase {
  const char* name;
  const char* expression;
  unsigned classes;
};

class ClassOfCharacters : public testing::TestWithParam<ClassCase> {};

TEST_P(ClassOfCharacters, IsThatOfPcre2) {
  const std::u32string& points = characters_of_pcre2();
  EXPECT_GT(points.size(), 250000U);
  const std::string text = text_of(points);
  std::vector<bool> matched(text.size());
  for (const Span& run : spans(compiled(GetParam().expression), text)) {
    for (std::size_t i = run.begin; i < run.end; ++i) matched[i] = true;
  }
  std::size_t at = 0;
  for (const char32_t c : points) {
    const bool ours = (CharacterClasses::table().of(c) & GetParam().classes) != 0;
    ASSERT_EQ(ours, matched[at]) << "U+" << std::hex << static_cast<unsigned>(c);
    EXPECT_EQ(CharacterClasses::table().at(text, at).classes, CharacterClasses::table().of(c));
    at += first_code_point(std::string_view(text).substr(at)).length;
  }
}

INSTANTIATE_TEST_SUITE_P(Table, ClassOfCharacters,
                         testing::Values(ClassCase{"Letter", "\\p{L}+", letter}, ClassCase{"Number", "\\p{N}+", number},
                                         ClassCase{"Space", "\\s+", space}, ClassCase{"LineEnd", "[\\r\\n]+", line_end},
                                         ClassCase{"Symbol", "[\\p{P}\\p{S}]+", symbol},
                                         ClassCase{"Mark", "\\p{M}+", mark},
                                         ClassCase{"NotLower", "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+", not_lower},
                                         ClassCase{"NotUpper", "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+", not_upper}),
                         [](const auto& suite_case) { return std::string(suite_case.param.name); });

class KnownExpressionTest : public testing::TestWithParam<KnownExpression> {
 protected:
  void expect_same(const std::string& text) {
    const std::vector<Span> ours = spans(*by_hand_, text), theirs = spans(*by_pcre2_, text);
    ASSERT_EQ(ours.size(), theirs.size()) << testing::PrintToString(text);
    for (std::size_t i = 0; i < ours.size(); ++i) {
      ASSERT_EQ(ours[i].begin, theirs[i].begin) << testing::PrintToString(text);
      ASSERT_EQ(ours[i].end, theirs[i].end) << testing::PrintToString(text);
    }
  }
  void SetUp() override {
    Result<Pattern> by_hand = Pattern::regex(GetParam().expression);
    ASSERT_TRUE(by_hand.has_value());
    by_hand_.emplace(std::move(*by_hand));
    by_pcre2_.emplace(compiled(GetParam().expression));
  }
  std::optional<Pattern> by_hand_, by_pcre2_;
};

// All texts of up to four characters of an alphabet that has one of every kind the expressions tell apart.
TEST_P(KnownExpressionTest, MatchesEveryShortTextAsPcre2Does) {
  const std::u32string alphabet = U" \n'sLl7!\u00e9\u0301\u3000\u4e00/";
  std::u32string text;
  const auto extend = [&](auto&& self) -> void {
    if (!text.empty()) expect_same(text_of(text));
    if (text.size() == 4 || HasFatalFailure()) return;
    for (const char32_t c : alphabet) {
      text.push_back(c);
      self(self);
      text.pop_back();
    }
  };
  extend(extend);
}

TEST_P(KnownExpressionTest, MatchesEveryCharacterBetweenOthersAsPcre2Does) {
  const std::u32string& points = characters_of_pcre2();
  const char32_t around[] = {U'a', U'A', U'1', U' ', U'\n', U'.', U'\u0301', U'\''};
  std::u32string text;
  for (std::size_t i = 0; i < points.size(); ++i) {
    text += around[i % 8];
    text += points[i];
    text += around[i / 8 % 8];
    if (text.size() > 3000 || i + 1 == points.size()) {
      ASSERT_NO_FATAL_FAILURE(expect_same(text_of(text)));
      text.clear();
    }
  }
}

TEST_P(KnownExpressionTest, MatchesRandomTextsAsPcre2Does) {
  std::mt19937 random(7);
  const std::u32string& points = characters_of_pcre2();
  const std::u32string frequent =
      U"abcXYZ eiou  \n\r\t''\u017f\u2019stmdrvLE019.,!?/-_\u00a0\u0660\u0301\u01c5\u02b0\u3042";
  const auto below = [&](std::size_t limit) { return static_cast<std::size_t>(random() % limit); };
  for (int round = 0; round < 20000; ++round) {
    std::u32string text;
    const std::size_t length = 1 + below(40), rare = 1 + below(20);
    while (text.size() < length)
      text += below(rare) == 0 ? points[below(points.size())] : frequent[below(frequent.size())];
    ASSERT_NO_FATAL_FAILURE(expect_same(text_of(text)));
  }
}

INSTANTIATE_TEST_SUITE_P(All, KnownExpressionTest, testing::ValuesIn(known_expressions()),
                         [](const auto& suite_case) { return std::string(suite_case.param.name); });

TEST(KnownExpressions, AreRecognisedWithLineEndsSpelledOutToo) {
  std::string spelled;
  for (std::string_view rest = qwen2_expression; !rest.empty();) {
    const bool line = rest.starts_with("\\r") || rest.starts_with("\\n");
    spelled += line ? (rest[1] == 'r' ? '\r' : '\n') : rest[0];
    rest.remove_prefix(line ? 2 : 1);
  }
  EXPECT_NE(spelled, qwen2_expression);
  EXPECT_EQ(matcher_of(spelled), matcher_of(qwen2_expression));
  EXPECT_EQ(matcher_of("\\p{N}{1,4}"), nullptr);
}

}  // namespace
}  // namespace ftl
