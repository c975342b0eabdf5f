#include "checkpoints/meta_checkpoint.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <set>
#include <string_view>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "checkpoints/mapped_checkpoint.h"
#include "checkpoints/printable.h"
#include "checkpoints/torch_file.h"

namespace ftl {
namespace {

constexpr std::int64_t most_parts = 100;  // two digits
constexpr std::int64_t largest_vocabulary = 1 << 24;

enum class Split : std::uint8_t { none, rows, columns };

// One tensor: its two names, its whole shape, and how model-parallel ranks divide it.
struct Role {
  std::string meta, ours;
  std::vector<std::int64_t> shape;
  Split split = Split::none;
  std::int64_t heads_to_permute = 0;  // 0: rows stay in their order
};

std::string part_name(std::int64_t part) { return fmt::format("consolidated.{:02}.pth", part); }

Failure incomplete(const std::string& where, std::string what, std::string fix = "") {
  return {FaultKind::checkpoint_incomplete, std::move(what), where, std::move(fix)};
}

std::vector<Role> roles_of(const MetaShape& s) {
  const std::int64_t queries = s.heads * s.head_dim, keys = s.kv_heads * s.head_dim;
  std::vector<Role> roles = {
      {"tok_embeddings.weight", "model.embed_tokens.weight", {s.vocabulary, s.width}, Split::columns},
      {"norm.weight", "model.norm.weight", {s.width}},
      {"output.weight", "lm_head.weight", {s.vocabulary, s.width}, Split::rows}};
  for (std::int64_t layer = 0; layer < s.layers; ++layer) {
    const auto add = [&](const char* meta, const char* ours, std::vector<std::int64_t> shape, Split split = Split::none,
                         std::int64_t heads = 0) {
      roles.push_back({fmt::format("layers.{}.{}.weight", layer, meta),
                       fmt::format("model.layers.{}.{}.weight", layer, ours), std::move(shape), split, heads});
    };
    add("attention.wq", "self_attn.q_proj", {queries, s.width}, Split::rows, s.heads);
    add("attention.wk", "self_attn.k_proj", {keys, s.width}, Split::rows, s.kv_heads);
    add("attention.wv", "self_attn.v_proj", {keys, s.width}, Split::rows);
    add("attention.wo", "self_attn.o_proj", {s.width, queries}, Split::columns);
    add("feed_forward.w1", "mlp.gate_proj", {s.ffn_width, s.width}, Split::rows);
    add("feed_forward.w2", "mlp.down_proj", {s.width, s.ffn_width}, Split::columns);
    add("feed_forward.w3", "mlp.up_proj", {s.ffn_width, s.width}, Split::rows);
    add("attention_norm", "input_layernorm", {s.width});
    add("ffn_norm", "post_attention_layernorm", {s.width});
  }
  return roles;
}

const TorchTensor* find(const TorchFile& part, const std::string& name) {
  const auto place = std::lower_bound(part.tensors.begin(), part.tensors.end(), name,
                                      [](const TorchTensor& t, const std::string& n) { return t.info.name < n; });
  return place != part.tensors.end() && place->info.name == name ? &*place : nullptr;
}

// Frequencies of RoPE follow from rope_theta.
bool is_computed(const std::string& name) { return name.ends_with("rope.freqs"); }

class Merger {
 public:
  Merger(const std::string& directory, const MetaShape& shape, std::vector<TorchFile> parts)
      : directory_(directory), shape_(shape), parts_(std::move(parts)), roles_(roles_of(shape)) {}

  // Before anything else.
  std::optional<Failure> check() {
    if (auto strange = tensor_of_no_role()) return strange;
    for (Role& role : roles_) {
      if (auto failure = check(role)) return failure;
    }
    std::erase_if(roles_, [&](const Role& role) { return find(parts_.front(), role.meta) == nullptr; });
    return std::nullopt;
  }

  std::vector<TensorInfo> tensors() const {
    std::vector<TensorInfo> infos;
    for (const Role& role : roles_) infos.push_back(info_of(role));
    return infos;
  }

  std::unique_ptr<CheckpointReader> merge() {
    std::size_t copied = 0;
    for (const Role& role : roles_) copied += is_copied(role) ? bytes_of(role) : 0;
    auto reader = std::make_unique<MappedCheckpoint>();
    std::span<std::byte> room = reader->hold(copied);  // no more than the files have
    for (const Role& role : roles_) {
      std::span<const std::byte> bytes = find(parts_.front(), role.meta)->bytes;
      if (is_copied(role)) {
        const std::span<std::byte> own = room.first(bytes_of(role));
        room = room.subspan(own.size());
        copy(role, own);
        bytes = own;
      }
      reader->add(info_of(role), bytes);
    }
    for (TorchFile& part : parts_) reader->keep(std::move(part.file));
    reader->finish();
    return reader;
  }

 private:
  std::int64_t count() const { return static_cast<std::int64_t>(parts_.size()); }
  bool is_copied(const Role& role) const {
    return role.heads_to_permute > 0 || (parts_.size() > 1 && role.split != Split::none);
  }
  std::size_t bytes_of(const Role& role) const {
    const std::size_t part = find(parts_.front(), role.meta)->bytes.size();
    return role.split == Split::none ? part : part * parts_.size();
  }
  static std::vector<std::int64_t> part_shape(const Role& role, Split split, std::int64_t parts) {
    std::vector<std::int64_t> shape = role.shape;
    if (split != Split::none) shape[split == Split::rows ? 0 : 1] /= parts;
    return shape;
  }

  TensorInfo info_of(const Role& role) const {
    const TensorInfo& first = find(parts_.front(), role.meta)->info;
    return {role.ours, first.dtype, role.shape, first.file};
  }

  std::optional<Failure> tensor_of_no_role() const {
    std::set<std::string_view> known;
    for (const Role& role : roles_) known.insert(role.meta);
    for (const TorchFile& part : parts_) {
      for (const TorchTensor& tensor : part.tensors) {
        if (known.count(tensor.info.name) || is_computed(tensor.info.name)) continue;
        return Failure{FaultKind::model_family_unsupported,
                       fmt::format("tensor \"{}\" has no place in a Llama of {} layers", printable(tensor.info.name),
                                   shape_.layers),
                       tensor.info.file, "use the params.json that belongs to the weights"};
      }
    }
    return std::nullopt;
  }

  // Every part has the tensor in the shape that its share calls for. Decides how the embedding is split: Llama 1 and 2
  // split its columns, Llama 3 its rows.
  std::optional<Failure> check(Role& role) const {
    const TorchTensor* first = find(parts_.front(), role.meta);
    if (role.meta == "tok_embeddings.weight" && first != nullptr &&
        first->info.shape == part_shape(role, Split::rows, count()))
      role.split = Split::rows;
    const std::vector<std::int64_t> expected = part_shape(role, role.split, count());
    std::int64_t whole = 1, share = role.split == Split::none ? 1 : count();
    for (const std::int64_t extent : role.shape) whole *= extent;
    for (const std::int64_t extent : expected) share *= extent;
    for (const TorchFile& part : parts_) {
      const TorchTensor* tensor = find(part, role.meta);
      if (tensor == nullptr || first == nullptr) {
        // A tied output layer may be left out; whoever needs it says that it is missing.
        if (tensor == first && role.meta == "output.weight") continue;
        const std::int64_t lacking = first == nullptr ? 0 : &part - parts_.data();
        return incomplete(directory_, fmt::format("{} of {} lacks the tensor \"{}\", which params.json calls for",
                                                  part_name(lacking), count(), role.meta));
      }
      if (tensor->info.shape != expected || whole != share) {
        return incomplete(tensor->info.file,
                          fmt::format("{} is [{}], a share of 1/{} of [{}] by params.json has another shape", role.meta,
                                      fmt::join(tensor->info.shape, ", "), role.split == Split::none ? 1 : count(),
                                      fmt::join(role.shape, ", ")));
      }
      if (tensor->info.dtype != first->info.dtype) {
        return incomplete(tensor->info.file,
                          fmt::format("{} is {} here and {} in {}", role.meta, name_of(tensor->info.dtype),
                                      name_of(first->info.dtype), first->info.file));
      }
      if (role.split == Split::none && !std::ranges::equal(tensor->bytes, first->bytes)) {
        return incomplete(
            tensor->info.file,
            fmt::format("{} is not the same as in {}, and all parts have it", role.meta, first->info.file),
            "fetch all parts again: these are not of one checkpoint");
      }
    }
    return std::nullopt;
  }

  // The row of Meta's order that Hugging Face has at `row`: halves instead of pairs, within each head.
  std::int64_t source_row(const Role& role, std::int64_t row) const {
    if (role.heads_to_permute == 0) return row;
    const std::int64_t half = shape_.head_dim / 2, in_head = row % shape_.head_dim;
    return row - in_head + 2 * (in_head % half) + in_head / half;
  }

  void copy(const Role& role, std::span<std::byte> into) const {
    std::vector<const TorchTensor*> shares;
    for (const TorchFile& part : parts_) shares.push_back(find(part, role.meta));
    const auto rows = static_cast<std::size_t>(shares.front()->info.shape[0]);  // of a share
    if (rows == 0) return;
    const std::size_t row_bytes = shares.front()->bytes.size() / rows;
    std::byte* next = into.data();
    for (std::int64_t row = 0; row < role.shape[0]; ++row) {
      const auto from = static_cast<std::size_t>(source_row(role, row));
      for (std::size_t i = 0; i < shares.size(); ++i) {
        if (role.split == Split::rows && i != from / rows) continue;
        std::memcpy(next, shares[i]->bytes.data() + from % rows * row_bytes, row_bytes);
        next += row_bytes;
      }
    }
  }

  std::string directory_;
  MetaShape shape_;
  std::vector<TorchFile> parts_;
  std::vector<Role> roles_;
};

// How many parts there are: a part has 1/n of the rows of wq.
Result<std::int64_t> parts_by_shape(const TorchFile& part, const std::string& path, const MetaShape& shape) {
  const TorchTensor* wq = find(part, "layers.0.attention.wq.weight");
  if (wq == nullptr || wq->info.shape.size() != 2)
    return incomplete(path, "the file has no matrix layers.0.attention.wq.weight, so it is no part of a Llama by Meta");
  const std::int64_t rows = wq->info.shape[0], all = shape.heads * shape.head_dim;
  if (rows < 1 || all % rows != 0 || all / rows > most_parts) {
    return incomplete(
        path, fmt::format("layers.0.attention.wq.weight has {} rows, params.json calls for {} in all parts", rows, all),
        "use the params.json that belongs to the weights");
  }
  return all / rows;
}

Result<std::int64_t> vocabulary_by_shape(const TorchFile& part, std::int64_t parts, const std::string& directory) {
  const TorchTensor* output = find(part, "output.weight");
  if (output == nullptr || output->info.shape.size() != 2 || output->info.shape[0] > largest_vocabulary) {
    return incomplete(directory,
                      "params.json leaves vocab_size to the tensors, and no matrix output.weight of sane size tells it",
                      "set vocab_size in params.json");
  }
  return output->info.shape[0] * parts;
}

struct Parts {
  std::vector<std::int64_t> here;  // numbers, ascending, at least one
  std::int64_t all = 0;            // how many the shapes call for
  TorchFile first;                 // the first that is here
};

Result<Parts> survey_parts(Files& files, const std::string& directory, const MetaShape& shape) {
  Parts parts;
  for (std::int64_t part = 0; part < most_parts; ++part) {
    if (files.exists(directory + "/" + part_name(part))) parts.here.push_back(part);
  }
  if (parts.here.empty()) return incomplete(directory, "the directory has params.json and no consolidated.00.pth");
  const std::string path = directory + "/" + part_name(parts.here.front());
  Result<TorchFile> first = open_torch_file(files, path);
  if (!first) return first.error();
  parts.first = std::move(*first);
  const Result<std::int64_t> all = parts_by_shape(parts.first, path, shape);
  if (!all) return all.error();
  parts.all = *all;
  return parts;
}

std::optional<Failure> missing_or_too_many(const Parts& parts, const std::string& directory) {
  std::vector<std::string> missing;
  for (std::int64_t part = 0; part < parts.all; ++part) {
    if (!std::ranges::binary_search(parts.here, part)) missing.push_back(part_name(part));
  }
  if (!missing.empty()) {
    return incomplete(directory,
                      fmt::format("{} of {} is missing; {} of {} parts are here", fmt::join(missing, ", "), parts.all,
                                  parts.here.size(), parts.all),
                      "fetch the missing parts into the same directory");
  }
  if (parts.here.back() < parts.all) return std::nullopt;
  return incomplete(directory,
                    fmt::format("{} is there, and the shapes of {} call for {} parts", part_name(parts.here.back()),
                                part_name(parts.here.front()), parts.all),
                    "fetch the checkpoint into an empty directory");
}

Result<Merger> open_parts(Files& files, const std::string& directory, const MetaShape& shape) {
  Result<Parts> parts = survey_parts(files, directory, shape);
  if (!parts) return parts.error();
  if (auto failure = missing_or_too_many(*parts, directory)) return *failure;
  std::vector<TorchFile> opened;
  opened.push_back(std::move(parts->first));
  for (std::int64_t part = 1; part < parts->all; ++part) {
    Result<TorchFile> file = open_torch_file(files, directory + "/" + part_name(part));
    if (!file) return file.error();
    opened.push_back(std::move(*file));
  }
  MetaShape known = shape;
  if (known.vocabulary == 0) {
    const Result<std::int64_t> vocabulary = vocabulary_by_shape(opened.front(), parts->all, directory);
    if (!vocabulary) return vocabulary.error();
    known.vocabulary = *vocabulary;
  }
  Merger merger(directory, known, std::move(opened));
  if (auto failure = merger.check()) return *failure;
  return merger;
}

}  // namespace

bool is_meta_directory(Files& files, const std::string& directory) {
  return files.exists(directory + "/params.json") && !files.exists(directory + "/config.json");
}

Result<std::int64_t> vocabulary_of_meta_checkpoint(Files& files, const std::string& directory, const MetaShape& shape) {
  const Result<Parts> parts = survey_parts(files, directory, shape);
  if (!parts) return parts.error();
  return vocabulary_by_shape(parts->first, parts->all, directory);
}

Result<std::unique_ptr<CheckpointReader>> open_meta_checkpoint(Files& files, const std::string& directory,
                                                               const MetaShape& shape) {
  Result<Merger> merger = open_parts(files, directory, shape);
  if (!merger) return merger.error();
  return merger->merge();
}

Result<std::vector<TensorInfo>> tensors_of_meta_checkpoint(Files& files, const std::string& directory,
                                                           const MetaShape& shape) {
  const Result<Merger> merger = open_parts(files, directory, shape);
  if (!merger) return merger.error();
  return merger->tensors();
}

}  // namespace ftl
