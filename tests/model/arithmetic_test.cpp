// The formula against the calls that are really made: a stream whose operations are the CPU's, and whose matrix
// products are counted on the way.
#include "trainer/model/arithmetic.h"

#include <algorithm>

#include <gtest/gtest.h>

#include "tests/model/tiny_model.h"

namespace ftl {
namespace {

class CountingStream final : public Stream {
 public:
  explicit CountingStream(Stream& inner) : device_(*this, inner.device()), inner_(inner) {}
  Device& device() override { return device_; }
  Result<Done> synchronize() override { return inner_.synchronize(); }
  double products = 0;

 private:
  template <class Args>
  using Entry = void (*KernelTable::*)(Stream&, const Args&);
  // What every entry but matmul does: the same on the CPU's stream.
  template <class Args, Entry<Args> entry>
  static void pass_on(Stream& stream, const Args& args) {
    Stream& inner = static_cast<CountingStream&>(stream).inner_;
    (inner.device().kernels().*entry)(inner, args);
  }
  static void count(Stream& stream, const MatMul& args) {
    static_cast<CountingStream&>(stream).products += 2.0 * static_cast<double>(args.m * args.n * args.k);
    pass_on<MatMul, &KernelTable::matmul>(stream, args);
  }

  class CountingDevice final : public Device {
   public:
    CountingDevice(CountingStream& stream, Device& inner) : stream_(stream), inner_(inner) {}
    const DeviceTraits& traits() const override { return inner_.traits(); }
    const KernelTable& kernels() const override { return table_; }
    Result<Buffer> allocate(std::size_t bytes) override { return inner_.allocate(bytes); }
    Result<std::unique_ptr<Stream>> make_stream(int threads) override { return inner_.make_stream(threads); }
    Result<Done> upload(Stream&, void* to, std::span<const std::byte> from) override {
      return inner_.upload(stream_.inner_, to, from);
    }
    Result<Done> download(Stream&, std::span<std::byte> to, const void* from) override {
      return inner_.download(stream_.inner_, to, from);
    }

   private:
    void release(void*, std::size_t) noexcept override {}  // what is allocated knows the inner device

    CountingStream& stream_;
    Device& inner_;
    static constexpr KernelTable table_{
        .embedding_forward = pass_on<EmbeddingForward, &KernelTable::embedding_forward>,
        .embedding_backward = pass_on<EmbeddingBackward, &KernelTable::embedding_backward>,
        .rms_norm_forward = pass_on<RmsNormForward, &KernelTable::rms_norm_forward>,
        .rms_norm_backward = pass_on<RmsNormBackward, &KernelTable::rms_norm_backward>,
        .matmul = count,
        .bias_forward = pass_on<BiasForward, &KernelTable::bias_forward>,
        .bias_backward = pass_on<BiasBackward, &KernelTable::bias_backward>,
        .rope = pass_on<Rope, &KernelTable::rope>,
        .attention_forward = pass_on<AttentionForward, &KernelTable::attention_forward>,
        .attention_backward = pass_on<AttentionBackward, &KernelTable::attention_backward>,
        .swiglu_forward = pass_on<GluForward, &KernelTable::swiglu_forward>,
        .swiglu_backward = pass_on<GluBackward, &KernelTable::swiglu_backward>,
        .geglu_forward = pass_on<GluForward, &KernelTable::geglu_forward>,
        .geglu_backward = pass_on<GluBackward, &KernelTable::geglu_backward>,
        .cross_entropy = pass_on<CrossEntropy, &KernelTable::cross_entropy>,
        .gather_rows = pass_on<GatherRows, &KernelTable::gather_rows>,
        .scatter_rows = pass_on<ScatterRows, &KernelTable::scatter_rows>,
        .fill = pass_on<Fill, &KernelTable::fill>,
        .add = pass_on<Add, &KernelTable::add>,
        .scale = pass_on<Scale, &KernelTable::scale>,
        .soft_cap = pass_on<SoftCap, &KernelTable::soft_cap>,
        .squared_norm = pass_on<SquaredNorm, &KernelTable::squared_norm>,
        .adamw = pass_on<AdamW, &KernelTable::adamw>};
  };

  CountingDevice device_;
  Stream& inner_;
};

double products_of_a_pass(tiny::Model& model, const tiny::Text& text, bool full) {
  const Adapter* adapter = full ? nullptr : &model.adapter;
  const auto rows = static_cast<std::int64_t>(text.ids.size());
  auto workspace = std::move(*model.llama.make_workspace(rows, true, full ? nullptr : &adapter->shape()));
  std::vector<float> gradient(static_cast<std::size_t>(full ? weight_count(model.config) : model.adapter.parameters()));
  CountingStream stream(*model.stream);
  EXPECT_TRUE(model.llama.loss(stream, *workspace, adapter, text.ids, text.targets, gradient.data()));
  return stream.products;
}

// Positions that are computed: none after the last target's.
std::int64_t rows_of(const tiny::Text& text) {
  std::size_t rows = text.targets.size();
  while (text.targets[rows - 1] < 0) --rows;
  return static_cast<std::int64_t>(rows);
}

TEST(Arithmetic, IsThatOfTheProductsThatAreMade) {
  for (const ModelConfig& config : {tiny::config_of(false), tiny::config_of(true), tiny::with_every_trait()}) {
    for (const std::vector<std::string>& target :
         std::vector<std::vector<std::string>>{{"all"},
                                               {"q_proj", "v_proj"},
                                               {"down_proj"},
                                               {"model.layers.1.mlp.up_proj"},
                                               {"model.layers.1.self_attn.o_proj"}}) {
      tiny::Model model(config, target);
      const tiny::Text text = tiny::text_of(70);
      const std::int64_t supervised = std::ranges::count_if(text.targets, [](std::int32_t id) { return id >= 0; });
      EXPECT_EQ(products_of_a_pass(model, text, false),
                arithmetic_of_pass(model.config, &model.adapter.shape(), rows_of(text), supervised).products)
          << target[0];
      EXPECT_EQ(products_of_a_pass(model, text, true),
                arithmetic_of_pass(model.config, nullptr, rows_of(text), supervised).products);
    }
  }
}

TEST(Arithmetic, OfAttentionIsDoneOnlyWhereAGradientGoes) {
  const ModelConfig config = tiny::config_of(false);
  const auto attention = [&](const char* target) {
    const auto shape = select_modules({.rank = 3, .target = {target}}, linear_modules(config));
    return arithmetic_of_pass(config, &*shape, 10, 5).attention;
  };
  const double one_product = 2.0 * 24 * (10 * 11 / 2);  // width of all heads x pairs of positions
  EXPECT_EQ(attention("q_proj"), 14 * one_product);
  EXPECT_EQ(attention("model.layers.1.self_attn.o_proj"), 4 * one_product);
  EXPECT_EQ(attention("model.layers.0.mlp.down_proj"), 9 * one_product);
}

TEST(Arithmetic, OfAttentionInAWindowIsThatOfThePairsThatAreSeen) {
  const ModelConfig config = tiny::with_every_trait();  // one of two layers sees 7 positions
  const double in_window = 2.0 * 24 * (7 * 8 / 2 + 3 * 7), all = 2.0 * 24 * (10 * 11 / 2);
  EXPECT_EQ(arithmetic_of_pass(config, nullptr, 10, 5).attention, 7 * (in_window + all));
  EXPECT_EQ(arithmetic_of_pass(config, nullptr, 6, 5).attention, 7 * 2 * (2.0 * 24 * (6 * 7 / 2)));
}

}  // namespace
}  // namespace ftl
