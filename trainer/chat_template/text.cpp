#include "trainer/chat_template/text.h"

#include <algorithm>
#include <utility>

namespace ftl::chat {
namespace {

bool continues(char byte) { return (static_cast<unsigned char>(byte) & 0xC0) == 0x80; }

Source within(Source inner, Source around) {
  if (inner.message < 0) inner.message = around.message;
  if (inner.generation < 0) inner.generation = around.generation;
  return inner;
}

}  // namespace

Text::Text(std::string bytes, Source source) : bytes_(std::move(bytes)) { add({0, bytes_.size(), source}); }

void Text::add(Run run) {
  if (run.source == Source{}) return;
  if (!runs_.empty() && runs_.back().end == run.begin && runs_.back().source == run.source) {
    runs_.back().end = run.end;
  } else {
    runs_.push_back(run);
  }
}

void Text::append(std::string_view bytes, Source around) {
  const std::size_t begin = bytes_.size();
  bytes_ += bytes;
  if (!bytes.empty()) add({begin, bytes_.size(), around});
}

void Text::append(const Text& more, Source around) {
  const std::size_t offset = bytes_.size();
  bytes_ += more.bytes_;
  std::size_t told = 0;  // of the bytes of `more`
  for (const Run& run : more.runs_) {
    if (told < run.begin) add({offset + told, offset + run.begin, around});
    add({offset + run.begin, offset + run.end, within(run.source, around)});
    told = run.end;
  }
  if (told < more.size()) add({offset + told, bytes_.size(), around});
}

Text Text::slice(std::size_t begin, std::size_t end) const {
  Text part(bytes_.substr(begin, end - begin));
  const auto first = std::ranges::lower_bound(runs_, begin, {}, &Run::end);
  for (const Run& run : std::ranges::subrange(first, runs_.end())) {
    if (run.begin > end) break;
    // A part that merely touches a run of a longer text has nothing of it; an emptied text keeps its mark.
    const bool touches = (run.end == begin || run.begin == end) && run.begin != run.end;
    if (touches && begin != end) continue;
    part.add({std::max(run.begin, begin) - begin, std::min(run.end, end) - begin, run.source});
  }
  return part;
}

Text Text::remade(std::string bytes) const {
  if (runs_.empty()) return Text(std::move(bytes));
  const Source first = runs_.front().source;
  const bool is_one = std::ranges::all_of(runs_, [&](const Run& run) { return run.source == first; });
  return is_one ? Text(std::move(bytes), first) : Text(std::move(bytes));
}

std::size_t code_points(std::string_view text) {
  return text.size() - static_cast<std::size_t>(std::ranges::count_if(text, continues));
}

std::size_t byte_of_code_point(std::string_view text, std::size_t index) {
  std::size_t at = 0;
  for (; index > 0 && at < text.size(); --index) {
    do ++at;
    while (at < text.size() && continues(text[at]));
  }
  return at;
}

}  // namespace ftl::chat
