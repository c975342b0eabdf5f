#include "trainer/final_files.h"

#include <array>
#include <charconv>
#include <functional>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "checkpoints/convert.h"
#include "checkpoints/safetensors.h"
#include "lora/peft_files.h"

namespace ftl {
namespace {

constexpr std::size_t largest_companion = 256u << 20;  // tokenizer.json of large vocabularies

// "adapter.attempt-2.tmp" and ".old": what this attempt has set aside, and what earlier ones left when they were
// killed. Only once the directory itself is whole: until then one of them may be the last good copy.
Result<Done> remove_leftovers(Files& files, const std::string& directory, std::int32_t attempt) {
  const std::size_t slash = directory.rfind('/');
  const std::string parent = directory.substr(0, slash), prefix = directory.substr(slash + 1) + ".attempt-";
  const Result<std::vector<std::string>> names = files.list(parent);
  if (!names) return names.error();
  for (const std::string& name : *names) {
    if (!name.starts_with(prefix)) continue;
    std::int32_t number = 0;
    const char* const end = name.data() + name.size();
    const auto [rest, error] = std::from_chars(name.data() + prefix.size(), end, number);
    const std::string_view suffix(rest, static_cast<std::size_t>(end - rest));
    if (error != std::errc() || number > attempt || (suffix != ".tmp" && suffix != ".old")) continue;
    if (Result<Done> removed = files.remove_all(parent + "/" + name); !removed) return removed;
  }
  return Done{};
}

Result<Done> replace_directory(Files& files, const std::string& directory, std::int32_t attempt,
                               const std::function<Result<Done>(const std::string&)>& fill) {
  const std::string temporary = fmt::format("{}.attempt-{}.tmp", directory, attempt);
  const std::string aside = fmt::format("{}.attempt-{}.old", directory, attempt);
  for (const std::string& leftover : {temporary, aside}) {
    if (files.exists(leftover)) {
      if (Result<Done> removed = files.remove_all(leftover); !removed) return removed;
    }
  }
  if (Result<Done> made = files.make_directories(temporary); !made) return made;
  if (Result<Done> filled = fill(temporary); !filled) return filled;
  if (Result<Done> synced = files.sync_directory(temporary); !synced) return synced;
  if (files.exists(directory)) {
    if (Result<Done> moved = files.rename(directory, aside); !moved) return moved;
  }
  if (Result<Done> renamed = files.rename(temporary, directory); !renamed) return renamed;
  const std::string parent = directory.substr(0, directory.rfind('/'));
  if (Result<Done> synced = files.sync_directory(parent); !synced) return synced;
  return remove_leftovers(files, directory, attempt);
}

Result<Done> copy_file(Files& files, const std::string& from, const std::string& to) {
  Result<std::string> text = files.read(from, largest_companion);
  if (!text) return text.error();
  const std::array<std::span<const std::byte>, 1> parts = {std::as_bytes(std::span(*text))};
  return files.write(to, parts);
}

}  // namespace

Result<Done> write_final_adapter(Files& files, const std::string& run_directory, Adapter& adapter,
                                 const RunConfig& config, std::int32_t attempt) {
  return replace_directory(files, run_directory + "/adapter", attempt, [&](const std::string& directory) {
    return write_peft_adapter(files, directory, adapter, config.model_name_or_path);
  });
}

Result<Done> write_final_model(Files& files, const std::string& run_directory, Llama& model, const RunConfig& config,
                               std::int32_t attempt) {
  return replace_directory(files, run_directory + "/model", attempt, [&](const std::string& directory) -> Result<Done> {
    std::vector<std::vector<std::uint16_t>> halves;
    halves.reserve(model.weights().size());
    std::vector<TensorToWrite> tensors;
    for (const TrainableTensor& weight : model.weights()) {
      std::vector<std::uint16_t>& half = halves.emplace_back(static_cast<std::size_t>(weight.count));
      for (std::size_t i = 0; i < half.size(); ++i) half[i] = f32_to_bf16(weight.values[i]);
      tensors.push_back({weight.name, DType::bf16, weight.shape, std::as_bytes(std::span(half))});
      files.sign_of_life();
    }
    if (Result<Done> written = write_safetensors(files, directory + "/model.safetensors", std::move(tensors)); !written)
      return written;
    for (const char* name : {"config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json",
                             "special_tokens_map.json"}) {
      const std::string from = config.model_name_or_path + "/" + name;
      if (!files.exists(from)) continue;
      if (Result<Done> copied = copy_file(files, from, directory + "/" + name); !copied) return copied;
    }
    return Done{};
  });
}

}  // namespace ftl
