// Golden vectors: where they lie and how they are compared.
#pragma once

#include <gtest/gtest.h>
#include <zlib.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>

#include "trainer/tokenizer/tokenizer.h"

namespace ftl {

inline const std::filesystem::path golden_tokenizers =
    std::filesystem::path(FTL_SOURCE_DIR) / "tests" / "golden" / "data" / "tokenizer";
// Real tokenizers lie beside some checkouts, packed.
inline const std::filesystem::path real_tokenizers =
    std::filesystem::path(FTL_SOURCE_DIR) / ".." / "shared" / "tokenizers";

inline std::string read_plain(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

inline std::string read_gzip(const std::filesystem::path& path) {
  const std::unique_ptr<gzFile_s, int (*)(gzFile)> file(gzopen(path.c_str(), "rb"), gzclose);
  std::string out;
  char block[1 << 14];
  for (int got; file && (got = gzread(file.get(), block, sizeof block)) > 0;)
    out.append(block, static_cast<std::size_t>(got));
  return out;
}

// Lines of {"text", "ids", "ids_with_special"?, "decoded"}.
inline void expect_vectors(const Tokenizer& tokenizer, const std::string& lines, std::size_t at_least,
                           bool special = true) {
  std::istringstream in(lines);
  std::size_t seen = 0;
  for (std::string line; std::getline(in, line); ++seen) {
    const auto vector = nlohmann::json::parse(line);
    const auto text = vector.at("text").get<std::string>();
    const auto ids = vector.at("ids").get<std::vector<std::int32_t>>();
    ASSERT_EQ(tokenizer.encode(text), ids) << "line " << seen + 1 << ": " << vector.at("text").dump().substr(0, 300);
    if (special && vector.contains("ids_with_special")) {
      ASSERT_EQ(tokenizer.encode_with_special(text), vector["ids_with_special"].get<std::vector<std::int32_t>>())
          << "line " << seen + 1;
    }
    ASSERT_EQ(tokenizer.decode(ids), vector.at("decoded").get<std::string>()) << "line " << seen + 1;
  }
  EXPECT_GE(seen, at_least);
}

}  // namespace ftl
