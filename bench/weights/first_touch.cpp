// How fast the bytes of a weights file arrive when they are first touched in the mapping that the trainer uses, beside
// read() of the same file: each from the disk (its pages dropped from the cache first) and from the page cache.
//
//   first_touch FILE [rounds]       one line a way: best and median of the rounds, in GB/s
//
// The ways take turns, so that whatever else the machine does falls on all of them.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "checkpoints/descriptor.h"
#include "checkpoints/files.h"

namespace {

using Seconds = std::chrono::duration<double>;

bool drop_from_cache(const std::string& path) {
  const ftl::Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  return file && ::fdatasync(file.get()) == 0 && ::posix_fadvise(file.get(), 0, 0, POSIX_FADV_DONTNEED) == 0;
}

// One word of every page, summed, so that nothing is left out.
std::uint64_t touch(const std::string& path) {
  ftl::PosixFiles files;
  const ftl::Result<ftl::MappedFile> file = files.map(path);
  if (!file) return 0;
  std::uint64_t sum = 0;
  for (std::size_t at = 0; at < file->bytes.size(); at += 4096) sum += static_cast<std::uint64_t>(file->bytes[at]);
  return sum;
}

std::uint64_t read(const std::string& path) {
  const ftl::Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  std::vector<char> block(std::size_t{1} << 20);
  std::uint64_t sum = 0;
  for (ssize_t got = 0; (got = ::read(file.get(), block.data(), block.size())) > 0;) {
    for (ssize_t at = 0; at < got; at += 4096) sum += static_cast<unsigned char>(block[static_cast<std::size_t>(at)]);
  }
  return sum;
}

struct Way {
  const char* name;
  std::uint64_t (*run)(const std::string&);
  bool cold;
  std::vector<double> seconds = {};
};

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) return std::fputs("first_touch FILE [rounds]\n", stderr), 2;
  const std::string path = argv[1];
  const int rounds = argc > 2 ? std::max(1, std::atoi(argv[2])) : 5;
  Way ways[] = {{"mapped, from the disk", touch, true},
                {"read(), from the disk", read, true},
                {"mapped, page cache", touch, false},
                {"read(), page cache", read, false}};
  const ftl::Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  const double bytes = static_cast<double>(::lseek(file.get(), 0, SEEK_END));
  const std::uint64_t expected = read(path);
  for (int round = 0; round < rounds; ++round) {
    for (Way& way : ways) {
      if (way.cold && !drop_from_cache(path)) return std::perror(path.c_str()), 1;
      const auto begin = std::chrono::steady_clock::now();
      if (way.run(path) != expected) return std::fprintf(stderr, "%s: other bytes\n", way.name), 1;
      way.seconds.push_back(Seconds(std::chrono::steady_clock::now() - begin).count());
    }
  }
  for (Way& way : ways) {
    std::sort(way.seconds.begin(), way.seconds.end());
    std::printf("%-22s best %6.2f GB/s  median %6.2f GB/s\n", way.name, bytes / way.seconds.front() / 1e9,
                bytes / way.seconds[way.seconds.size() / 2] / 1e9);
  }
  return 0;
}
