// Tokens that are found in the text as they stand, before BPE sees it. Leftmost match first, of those the longest.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace ftl {

struct AddedToken {
  std::int32_t id = 0;
  std::string content;
  bool special = false, normalized = false, lstrip = false, rstrip = false, single_word = false;
};

class AddedTokenFinder {
 public:
  // Tokens with empty content are never found.
  void add(const AddedToken& token, std::string_view content);

  struct Part {
    std::string_view text;
    std::int32_t id;  // -1: ordinary text
  };
  // The whole of `text` (well-formed UTF-8) in order; stripped white space belongs to the token beside it.
  void split(std::string_view text, std::vector<Part>& parts) const;  // `parts` is replaced

 private:
  struct Match {
    std::size_t length = 0;
    std::int32_t token = -1;
  };
  Match longest_at(std::string_view text) const;

  std::vector<AddedToken> tokens_;
  std::unordered_map<std::uint64_t, std::uint32_t> edges_;  // node << 8 | byte -> node
  std::vector<std::int32_t> ends_ = {-1};                   // by node: index of the token that ends there
  std::array<bool, 256> first_{};
};

}  // namespace ftl
