// A checkpoint's manifest.json. Accepted: its files are names beside it, none twice, the needed ones among them;
// written again it is accepted and equal.
#include "checkpoints/manifest.h"

#include <algorithm>

#include "tests/fuzz/fuzz_target.h"
#include "tests/tokenizer/memory_files.h"

namespace ftl {
namespace {

Result<Manifest> read(std::string text) {
  MemoryFiles files({{"step-1/manifest.json", std::move(text)}});
  return read_manifest(files, "step-1");
}

bool run(std::string_view input) {
  const Result<Manifest> manifest = read(std::string(input));
  if (!manifest) {
    must(manifest.error().kind == FaultKind::checkpoint_corrupt && !manifest.error().what.empty(),
         "a refusal says why");
    return false;
  }
  must(manifest->step >= 0 && manifest->attempt >= 0, "steps and attempts count from 0");
  for (const ManifestFile& file : manifest->files) {
    must(!file.name.empty() && file.name != "." && file.name != ".." && file.name != manifest_name &&
             file.name.find_first_of(std::string_view("/\0", 2)) == std::string::npos,
         "files lie beside the manifest");
    must(std::ranges::count(manifest->files, file.name, &ManifestFile::name) == 1, "no file is named twice");
  }
  must(std::ranges::count(manifest->files, manifest->weights, &ManifestFile::name) == 1, "the weights are a file");
  const Result<Manifest> again = read(to_json(*manifest));
  must(static_cast<bool>(again), "a manifest that is written again is accepted");
  must(again->step == manifest->step && again->attempt == manifest->attempt && again->weights == manifest->weights &&
           again->files == manifest->files,
       "a manifest that is written again is the same");
  return true;
}

const FuzzTarget target("manifest", run);

}  // namespace
}  // namespace ftl
