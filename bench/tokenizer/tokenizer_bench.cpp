// Encodes a fixed set of texts as often as it is told, for bench/compare_tokenizers.py to time it beside another
// program. It loads, writes one line of JSON about that, then for each line of its input, a number of threads, encodes
// every text once and writes the seconds that this took.
//
//   tokenizer_bench TOKENIZER TEXTS IDS     TEXTS: {"text"} a line; IDS: where the ids go, a line a text
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "checkpoints/files.h"
#include "trainer/tokenizer/tokenizer.h"

namespace {

using Clock = std::chrono::steady_clock;
double seconds_since(Clock::time_point begin) { return std::chrono::duration<double>(Clock::now() - begin).count(); }

std::vector<std::string> read_texts(const char* path) {
  std::vector<std::string> texts;
  std::ifstream in(path);
  for (std::string line; std::getline(in, line);) texts.push_back(nlohmann::json::parse(line).at("text"));
  return texts;
}

void write_ids(const char* path, const ftl::Tokenizer& tokenizer, const std::vector<std::string>& texts) {
  std::ofstream out(path);
  for (const std::string& text : texts) out << nlohmann::json(tokenizer.encode(text)).dump() << '\n';
}

// Threads take the texts one after another; the ids are kept, as whoever asks for them would.
double encode_all(const ftl::Tokenizer& tokenizer, const std::vector<std::string>& texts, int threads) {
  std::vector<std::vector<std::int32_t>> ids(texts.size());
  std::atomic<std::size_t> next = 0;
  const auto work = [&] {
    for (std::size_t at; (at = next.fetch_add(1)) < texts.size();) ids[at] = tokenizer.encode(texts[at]);
  };
  const Clock::time_point begin = Clock::now();
  std::vector<std::thread> others;
  for (int i = 1; i < threads; ++i) others.emplace_back(work);
  work();
  for (std::thread& other : others) other.join();
  return seconds_since(begin);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) {
    std::cerr << "usage: tokenizer_bench TOKENIZER TEXTS IDS\n";
    return 2;
  }
  ftl::PosixFiles files;
  const Clock::time_point begin = Clock::now();
  const ftl::Result<ftl::Tokenizer> tokenizer = ftl::Tokenizer::load(files, argv[1]);
  const double load_seconds = seconds_since(begin);
  if (!tokenizer) {
    std::cerr << describe(tokenizer.error()) << '\n';
    return 1;
  }
  const std::vector<std::string> texts = read_texts(argv[2]);
  write_ids(argv[3], *tokenizer, texts);
  std::cout << nlohmann::json{{"load_seconds", load_seconds}}.dump() << std::endl;
  for (std::string line; std::getline(std::cin, line);)
    std::cout << encode_all(*tokenizer, texts, std::max(1, std::atoi(line.c_str()))) << std::endl;
}
