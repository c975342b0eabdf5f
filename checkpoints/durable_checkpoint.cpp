#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <map>
#include <memory>
#include <optional>

#include <fmt/format.h>

#include "checkpoints/manifest.h"
#include "checkpoints/safetensors.h"
#include "checkpoints/trainer_state.h"
#include "checkpoints/training_state.h"

namespace ftl {
namespace {

constexpr const char* optimizer_name = "optimizer.safetensors";
constexpr const char* state_name = "trainer_state.json";

Failure corrupt(std::string what, std::string where) {
  return {FaultKind::checkpoint_corrupt, std::move(what), std::move(where), ""};
}

std::string parent_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string::npos ? "." : path.substr(0, std::max<std::size_t>(slash, 1));
}

// ---- names: step-<n>, .step-<n>.attempt-<a>.tmp (being written), .step-<n>.attempt-<a>.old (being replaced)
struct StepDirectory {
  std::int64_t step = 0;
  std::int64_t attempt = -1;  // -1: step-<n> itself
  bool is_old = false;
};

std::string step_name(std::int64_t step) { return fmt::format("step-{}", step); }
std::string hidden_name(std::int64_t step, std::int32_t attempt, const char* suffix) {
  return fmt::format(".step-{}.attempt-{}.{}", step, attempt, suffix);
}

std::optional<std::int64_t> number_at(std::string_view& text) {
  std::int64_t value = 0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const auto digits = static_cast<std::size_t>(stop - text.data());
  if (error != std::errc() || value < 0 || (digits > 1 && text[0] == '0') || text[0] == '-') return std::nullopt;
  text.remove_prefix(digits);
  return value;
}

std::optional<StepDirectory> parse_name(std::string_view name) {
  StepDirectory parsed;
  const bool is_hidden = name.starts_with('.');
  if (is_hidden) name.remove_prefix(1);
  if (!name.starts_with("step-")) return std::nullopt;
  name.remove_prefix(5);
  const std::optional<std::int64_t> step = name.empty() ? std::nullopt : number_at(name);
  if (!step) return std::nullopt;
  parsed.step = *step;
  if (!is_hidden) return name.empty() ? std::optional(parsed) : std::nullopt;
  if (!name.starts_with(".attempt-")) return std::nullopt;
  name.remove_prefix(9);
  const std::optional<std::int64_t> attempt = name.empty() ? std::nullopt : number_at(name);
  if (!attempt || (name != ".tmp" && name != ".old")) return std::nullopt;
  parsed.attempt = *attempt;
  parsed.is_old = name == ".old";
  return parsed;
}

// ---- writing
class CheckpointWriter {
 public:
  CheckpointWriter(Files& files, std::string directory, Manifest manifest)
      : files_(files), directory_(std::move(directory)), manifest_(std::move(manifest)) {}

  Result<Done> write(const std::string& name, std::span<const std::span<const std::byte>> parts) {
    std::uint64_t bytes = 0;
    for (std::span<const std::byte> part : parts) bytes += part.size();
    // The checksum is of what was to be written, not of what lies there: a write torn on the way is found.
    manifest_.files.push_back({name, bytes, checksum_of(parts, files_)});
    return files_.write(directory_ + "/" + name, parts);
  }
  Result<Done> write(const std::string& name, const std::string& text) {
    const std::array<std::span<const std::byte>, 1> parts = {std::as_bytes(std::span(text))};
    return write(name, parts);
  }
  Result<Done> write(const std::string& name, std::vector<TensorToWrite> tensors) {
    const Result<SafetensorsImage> image = lay_out_safetensors(std::move(tensors));
    if (!image) return image.error();
    return write(name, image->parts());
  }
  // Last: from here on the directory is a checkpoint.
  Result<Done> finish() {
    const std::string text = to_json(manifest_);
    const std::array<std::span<const std::byte>, 1> parts = {std::as_bytes(std::span(text))};
    if (Result<Done> done = files_.write(directory_ + "/" + manifest_name, parts); !done) return done;
    return files_.sync_directory(directory_);
  }
  const Manifest& manifest() const { return manifest_; }

 private:
  Files& files_;
  std::string directory_;
  Manifest manifest_;
};

TensorToWrite tensor(const TrainableView& view, const char* suffix, std::span<const float> values) {
  return {view.name + suffix, DType::f32, view.shape, std::as_bytes(values)};
}

Result<Done> fill(CheckpointWriter& writer, std::span<const TrainableView> tensors, const TrainerState& state,
                  std::span<const std::pair<std::string, std::string>> extra_files) {
  std::vector<TensorToWrite> weights, moments;
  for (const TrainableView& view : tensors) {
    weights.push_back(tensor(view, "", view.values));
    moments.push_back(tensor(view, ".exp_avg", view.exp_avg));
    moments.push_back(tensor(view, ".exp_avg_sq", view.exp_avg_sq));
  }
  if (Result<Done> done = writer.write(writer.manifest().weights, std::move(weights)); !done) return done;
  if (Result<Done> done = writer.write(optimizer_name, std::move(moments)); !done) return done;
  if (Result<Done> done = writer.write(state_name, to_json(state)); !done) return done;
  for (const auto& [name, text] : extra_files) {
    if (Result<Done> done = writer.write(name, text); !done) return done;
  }
  return writer.finish();
}

// Moves the finished directory to its name. What stood there goes aside first and is removed last; list_checkpoints
// knows the name it has in between, so a complete checkpoint of this step or an older one is there at every moment.
Result<Done> install(Files& files, const std::string& parent, const std::string& temporary,
                     const std::string& final_name, const Manifest& manifest) {
  const bool replaces = files.exists(final_name);
  if (replaces) {
    const Result<Manifest> there = read_manifest(files, final_name);
    if (there && there->files == manifest.files && verify_checkpoint(files, final_name))
      return files.remove_all(temporary);
  }
  const std::string aside = parent + "/" + hidden_name(manifest.step, manifest.attempt, "old");
  if (replaces) {
    if (files.exists(aside)) {
      if (Result<Done> done = files.remove_all(aside); !done) return done;
    }
    if (Result<Done> done = files.rename(final_name, aside); !done) return done;
  }
  if (Result<Done> done = files.rename(temporary, final_name); !done) {
    if (replaces) (void)files.rename(aside, final_name);
    return done;
  }
  if (Result<Done> done = files.sync_directory(parent); !done) return done;
  return replaces ? files.remove_all(aside) : Result<Done>(Done{});
}

// ---- reading
struct VerifiedCheckpoint {
  Manifest manifest;
  TrainerState state;
  std::map<std::string, MappedFile> files;
};

Result<VerifiedCheckpoint> open_verified(Files& files, const std::string& directory) {
  Result<Manifest> manifest = read_manifest(files, directory);
  if (!manifest) return manifest.error();
  VerifiedCheckpoint checkpoint{std::move(*manifest), {}, {}};
  for (const ManifestFile& listed : checkpoint.manifest.files) {
    const std::string path = directory + "/" + listed.name;
    Result<MappedFile> file = files.map(path);
    if (!file) return corrupt(fmt::format("{} cannot be read: {}", listed.name, file.error().what), path);
    if (file->bytes.size() != listed.bytes)
      return corrupt(
          fmt::format("{} has {} bytes, the manifest says {}", listed.name, file->bytes.size(), listed.bytes), path);
    const std::array<std::span<const std::byte>, 1> parts = {file->bytes};
    if (const std::string sum = checksum_of(parts, files); sum != listed.xxh3_128) {
      return corrupt(fmt::format("{} has the checksum {}, the manifest says {}", listed.name, sum, listed.xxh3_128),
                     path);
    }
    checkpoint.files.emplace(listed.name, std::move(*file));
  }
  const std::span<const std::byte> text = checkpoint.files.at(state_name).bytes;
  std::optional<TrainerState> state =
      trainer_state_from_json(std::string(reinterpret_cast<const char*>(text.data()), text.size()));
  if (!state) return corrupt("trainer_state.json is garbage", directory);
  if (state->step != checkpoint.manifest.step) {
    return corrupt(fmt::format("trainer_state.json is of step {}, manifest.json of step {}", state->step,
                               checkpoint.manifest.step),
                   directory);
  }
  checkpoint.state = std::move(*state);
  return checkpoint;
}

struct Copy {
  std::span<const std::byte> from;
  std::span<float> to;
};

// Where each wanted tensor lies. Nothing is copied before all are found.
Result<Done> locate(const VerifiedCheckpoint& checkpoint, const std::string& directory, const std::string& file_name,
                    std::span<const std::pair<TensorInfo, std::span<float>>> wanted, std::vector<Copy>& copies) {
  const std::string path = directory + "/" + file_name;
  const std::span<const std::byte> file = checkpoint.files.at(file_name).bytes;
  const Result<SafetensorsHeader> header = parse_safetensors(file, path);
  if (!header) return corrupt(header.error().what, path);
  if (header->entries.size() != wanted.size())
    return corrupt(fmt::format("{} has {} tensors, the run has {}", file_name, header->entries.size(), wanted.size()),
                   path);
  for (const auto& [info, to] : wanted) {
    const auto entry = std::lower_bound(header->entries.begin(), header->entries.end(), info.name,
                                        [](const auto& e, const std::string& name) { return e.info.name < name; });
    if (entry == header->entries.end() || entry->info.name != info.name)
      return corrupt(fmt::format("{} lacks the tensor \"{}\"", file_name, info.name), path);
    if (entry->info.dtype != DType::f32 || !entry->info.unsupported_dtype.empty() || entry->info.shape != info.shape ||
        entry->end - entry->begin != to.size_bytes()) {
      return corrupt(fmt::format("\"{}\" in {} is [{}], the run's is F32 [{}]", info.name, file_name,
                                 fmt::join(entry->info.shape, ", "), fmt::join(info.shape, ", ")),
                     path);
    }
    copies.push_back({file.subspan(header->data_begin + entry->begin, to.size_bytes()), to});
  }
  return Done{};
}

// Sizes only: cheap enough for every start.
std::optional<Failure> damage_of(Files& files, const std::string& directory, std::int64_t step) {
  const Result<Manifest> manifest = read_manifest(files, directory);
  if (!manifest) return manifest.error();
  if (manifest->step != step)
    return corrupt(fmt::format("the directory is named for step {}, its manifest says {}", step, manifest->step),
                   directory);
  for (const ManifestFile& listed : manifest->files) {
    const Result<MappedFile> file = files.map(directory + "/" + listed.name);
    if (!file) return corrupt(fmt::format("{} cannot be read: {}", listed.name, file.error().what), directory);
    if (file->bytes.size() != listed.bytes)
      return corrupt(
          fmt::format("{} has {} bytes, the manifest says {}", listed.name, file->bytes.size(), listed.bytes),
          directory);
  }
  return std::nullopt;
}

}  // namespace

Result<DurableCheckpoint> write_checkpoint(Files& files, const std::string& checkpoints_directory, std::int32_t attempt,
                                           const std::string& kind_of_weights, std::span<const TrainableView> tensors,
                                           const TrainerState& state,
                                           std::span<const std::pair<std::string, std::string>> extra_files) {
  const bool is_adapter = kind_of_weights == "adapter";
  if ((!is_adapter && kind_of_weights != "model") || state.step < 0 || attempt < 0) {
    return Failure{
        FaultKind::internal_error,
        fmt::format("a checkpoint of \"{}\", step {}, attempt {} cannot be", kind_of_weights, state.step, attempt),
        checkpoints_directory, ""};
  }
  if (!files.exists(checkpoints_directory)) {
    if (Result<Done> done = files.make_directories(checkpoints_directory); !done) return done.error();
    if (Result<Done> done = files.sync_directory(parent_of(checkpoints_directory)); !done) return done.error();
  }
  const std::string temporary = checkpoints_directory + "/" + hidden_name(state.step, attempt, "tmp");
  const std::string final_name = checkpoints_directory + "/" + step_name(state.step);
  if (files.exists(temporary)) {
    if (Result<Done> done = files.remove_all(temporary); !done) return done.error();
  }
  if (Result<Done> done = files.make_directories(temporary); !done) return done.error();
  CheckpointWriter writer(files, temporary,
                          {state.step, attempt, is_adapter ? "adapter_model.safetensors" : "model.safetensors", {}});
  Result<Done> done = fill(writer, tensors, state, extra_files);
  if (done) done = install(files, checkpoints_directory, temporary, final_name, writer.manifest());
  if (!done) {
    (void)files.remove_all(temporary);  // storage that is full wants the bytes back
    return done.error();
  }
  return DurableCheckpoint{final_name, state.step};
}

Result<TrainerState> verify_checkpoint(Files& files, const std::string& directory) {
  Result<VerifiedCheckpoint> checkpoint = open_verified(files, directory);
  if (!checkpoint) return checkpoint.error();
  return std::move(checkpoint->state);
}

Result<TrainerState> read_checkpoint(Files& files, const std::string& directory,
                                     std::span<const TrainableView> tensors) {
  Result<VerifiedCheckpoint> checkpoint = open_verified(files, directory);
  if (!checkpoint) return checkpoint.error();
  std::vector<std::pair<TensorInfo, std::span<float>>> weights, moments;
  const auto want = [](const TrainableView& view, const char* suffix, std::span<float> to) {
    return std::pair(TensorInfo{view.name + suffix, DType::f32, view.shape, {}}, to);
  };
  for (const TrainableView& view : tensors) {
    weights.push_back(want(view, "", view.values));
    moments.push_back(want(view, ".exp_avg", view.exp_avg));
    moments.push_back(want(view, ".exp_avg_sq", view.exp_avg_sq));
  }
  std::vector<Copy> copies;
  if (Result<Done> found = locate(*checkpoint, directory, checkpoint->manifest.weights, weights, copies); !found)
    return found.error();
  if (Result<Done> found = locate(*checkpoint, directory, optimizer_name, moments, copies); !found)
    return found.error();
  for (const Copy& copy : copies) {
    if (!copy.to.empty()) std::memcpy(copy.to.data(), copy.from.data(), copy.to.size_bytes());
    files.sign_of_life();
  }
  return std::move(checkpoint->state);
}

Result<std::vector<CatalogEntry>> list_checkpoints(Files& files, const std::string& checkpoints_directory) {
  std::vector<CatalogEntry> entries;
  if (!files.exists(checkpoints_directory)) return entries;
  const Result<std::vector<std::string>> names = files.list(checkpoints_directory);
  if (!names) return names.error();
  for (const std::string& name : *names) {
    const std::optional<StepDirectory> parsed = parse_name(name);
    if (!parsed) continue;
    // A checkpoint on its way out counts only as long as nothing has its name: its replacement was cut short.
    if (parsed->attempt >= 0 &&
        (!parsed->is_old || files.exists(checkpoints_directory + "/" + step_name(parsed->step))))
      continue;
    const std::string directory = checkpoints_directory + "/" + name;
    entries.push_back({{directory, parsed->step}, damage_of(files, directory, parsed->step)});
  }
  std::stable_sort(entries.begin(), entries.end(),
                   [](const CatalogEntry& a, const CatalogEntry& b) { return a.checkpoint.step > b.checkpoint.step; });
  return entries;
}

Result<Done> retain_checkpoints(Files& files, const std::string& checkpoints_directory, int keep,
                                std::int32_t attempt) {
  if (!files.exists(checkpoints_directory)) return Done{};
  const Result<std::vector<CatalogEntry>> entries = list_checkpoints(files, checkpoints_directory);
  if (!entries) return entries.error();
  int complete = 0;
  std::vector<std::string> kept;
  for (const CatalogEntry& entry : *entries) {
    const bool stays = keep <= 0 || (!entry.damage && complete++ < keep);
    if (stays) {
      kept.push_back(entry.checkpoint.directory);
      continue;
    }
    if (Result<Done> done = files.remove_all(entry.checkpoint.directory); !done) return done;
  }
  const Result<std::vector<std::string>> names = files.list(checkpoints_directory);
  if (!names) return names.error();
  for (const std::string& name : *names) {
    const std::optional<StepDirectory> parsed = parse_name(name);
    const std::string directory = checkpoints_directory + "/" + name;
    if (!parsed || parsed->attempt < 0 || parsed->attempt >= attempt ||
        std::find(kept.begin(), kept.end(), directory) != kept.end())
      continue;
    if (Result<Done> done = files.remove_all(directory); !done) return done;
  }
  return Done{};
}

}  // namespace ftl
