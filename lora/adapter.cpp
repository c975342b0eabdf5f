#include "lora/adapter.h"

#include <cassert>
#include <cmath>
#include <unordered_map>

#include "lora/philox.h"

namespace ftl {
namespace {

std::string peft_name(const LinearModule& module, const char* factor) {
  return "base_model.model." + module.name + "." + factor + ".weight";
}

// The four words of one counter are four neighbouring elements.
void fill_uniform(std::span<float> values, float bound, std::uint64_t seed, std::uint32_t module) {
  const PhiloxKey key = philox_key(seed);
  for (std::size_t i = 0; i < values.size(); i += 4) {
    const std::uint64_t block = i / 4;
    const auto words = philox4x32({static_cast<std::uint32_t>(block), static_cast<std::uint32_t>(block >> 32), module,
                                   static_cast<std::uint32_t>(RandomPurpose::adapter_initialisation)},
                                  key);
    for (std::size_t j = 0; j < 4 && i + j < values.size(); ++j)
      values[i + j] = (2.0f * uniform_float(words[j]) - 1.0f) * bound;
  }
}

}  // namespace

std::vector<TrainableTensor> adapter_layout(const AdapterShape& shape) {
  std::vector<TrainableTensor> layout;
  std::int64_t offset = 0;
  const auto add = [&](const LinearModule& module, const char* factor, std::int64_t rows, std::int64_t columns) {
    layout.push_back({peft_name(module, factor), {rows, columns}, offset, rows * columns, nullptr, true});
    offset += rows * columns;
  };
  for (const LinearModule& module : shape.modules) {
    add(module, "lora_A", shape.options.rank, module.in);
    add(module, "lora_B", module.out, shape.options.rank);
  }
  return layout;
}

struct Adapter::Impl {
  AdapterShape shape;
  Device* device = nullptr;
  Buffer buffer;
  std::vector<TrainableTensor> layout;
  std::unordered_map<std::string, Pair> pairs;
  std::int64_t parameters = 0;
};

Adapter::Adapter(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Adapter::Adapter(Adapter&&) noexcept = default;
Adapter& Adapter::operator=(Adapter&&) noexcept = default;
Adapter::~Adapter() = default;

Result<Adapter> Adapter::allocate(Device& device, const AdapterShape& shape) {
  auto impl = std::make_unique<Impl>();
  impl->shape = shape;
  impl->device = &device;
  Result<Buffer> buffer = device.allocate(static_cast<std::size_t>(shape.parameters()) * sizeof(float));
  if (!buffer) return buffer.error();
  impl->buffer = std::move(*buffer);
  impl->parameters = shape.parameters();
  impl->layout = adapter_layout(shape);
  for (TrainableTensor& tensor : impl->layout) tensor.values = impl->buffer.floats() + tensor.offset;
  for (std::size_t i = 0; i < shape.modules.size(); ++i) {
    const TrainableTensor& a = impl->layout[2 * i];
    const TrainableTensor& b = impl->layout[2 * i + 1];
    impl->pairs[shape.modules[i].name] = Pair{a.values, b.values, a.offset, b.offset};
  }
  return Adapter(std::move(impl));
}

Result<Adapter> Adapter::initialise(Device& device, const AdapterShape& shape, std::uint64_t seed) {
  Result<Adapter> adapter = allocate(device, shape);
  if (!adapter) return adapter;
  std::vector<float> values(static_cast<std::size_t>(shape.parameters()));  // B stays zero
  std::uint32_t index = 0;
  for (const LinearModule& module : shape.modules) {
    const auto offset = static_cast<std::size_t>(adapter->pair(module.name).offset_a);
    const auto count = static_cast<std::size_t>(shape.options.rank * module.in);
    fill_uniform(std::span(values).subspan(offset, count),
                 static_cast<float>(1.0 / std::sqrt(static_cast<double>(module.in))), seed, index++);
  }
  if (auto assigned = adapter->assign(values); !assigned) return assigned.error();
  return adapter;
}

Result<Done> Adapter::assign(std::span<const float> values) {
  assert(static_cast<std::int64_t>(values.size()) == impl_->parameters);
  Result<std::unique_ptr<Stream>> stream = impl_->device->make_stream(1);
  if (!stream) return stream.error();
  if (auto sent = impl_->device->upload(**stream, impl_->buffer.data(), std::as_bytes(values)); !sent)
    return sent.error();
  return (*stream)->synchronize();
}

Result<std::vector<float>> Adapter::copy() const {
  std::vector<float> values(static_cast<std::size_t>(impl_->parameters));
  Result<std::unique_ptr<Stream>> stream = impl_->device->make_stream(1);
  if (!stream) return stream.error();
  auto got = impl_->device->download(**stream, std::as_writable_bytes(std::span(values)), impl_->buffer.data());
  if (!got) return got.error();
  if (auto finished = (*stream)->synchronize(); !finished) return finished.error();
  return values;
}

const AdapterShape& Adapter::shape() const { return impl_->shape; }
std::span<const TrainableTensor> Adapter::layout() const { return impl_->layout; }
std::int64_t Adapter::parameters() const { return impl_->parameters; }
float* Adapter::values() { return impl_->buffer.floats(); }

Adapter::Pair Adapter::pair(const std::string& module_name) const {
  const auto found = impl_->pairs.find(module_name);
  return found == impl_->pairs.end() ? Pair{} : found->second;
}

}  // namespace ftl
