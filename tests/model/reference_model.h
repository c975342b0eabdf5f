// The Llama of the papers, in double, one plain loop after another and nothing shared with the production code: what
// finite differences are taken of.
#pragma once

#include <cmath>
#include <map>
#include <string>
#include <vector>

#include "trainer/model/model_config.h"

namespace ftl::reference {

using Matrix = std::vector<std::vector<double>>;            // [rows][columns]
using Values = std::map<std::string, std::vector<double>>;  // flat tensors by name

struct Model {
  ModelConfig config;
  Values weights;
  Values adapter;  // PEFT names; may be empty
  std::int64_t rank = 0;
  double scaling = 0;

  Matrix linear(const std::string& name, const Matrix& x, std::int64_t in, std::int64_t out) const {
    const std::vector<double>& w = weights.at(name + ".weight");
    const auto a = adapter.find("base_model.model." + name + ".lora_A.weight");
    Matrix y(x.size(), std::vector<double>(static_cast<std::size_t>(out)));
    for (std::size_t row = 0; row < x.size(); ++row) {
      for (std::int64_t o = 0; o < out; ++o) {
        for (std::int64_t i = 0; i < in; ++i) y[row][at(o)] += x[row][at(i)] * w[at(o * in + i)];
        if (a == adapter.end()) continue;
        const std::vector<double>& b = adapter.at("base_model.model." + name + ".lora_B.weight");
        for (std::int64_t r = 0; r < rank; ++r) {
          double low = 0;
          for (std::int64_t i = 0; i < in; ++i) low += x[row][at(i)] * a->second[at(r * in + i)];
          y[row][at(o)] += scaling * low * b[at(o * rank + r)];
        }
      }
    }
    return y;
  }

  Matrix norm(const std::string& name, const Matrix& x) const {
    const std::vector<double>& gain = weights.at(name);
    Matrix y = x;
    for (std::vector<double>& row : y) {
      double squares = 0;
      for (const double value : row) squares += value * value;
      const double scale = 1 / std::sqrt(squares / static_cast<double>(row.size()) + config.rms_norm_epsilon);
      for (std::size_t i = 0; i < row.size(); ++i) row[i] *= scale * gain[i];
    }
    return y;
  }

  void rotate(Matrix& x, std::int64_t heads) const {
    const std::int64_t half = config.head_dim / 2;
    for (std::size_t position = 0; position < x.size(); ++position) {
      for (std::int64_t head = 0; head < heads; ++head) {
        for (std::int64_t i = 0; i < half; ++i) {
          const double angle =
              static_cast<double>(position) /
              std::pow(config.rope.theta, 2.0 * static_cast<double>(i) / static_cast<double>(config.head_dim));
          double& first = x[position][at(head * config.head_dim + i)];
          double& second = x[position][at(head * config.head_dim + i + half)];
          const double kept = first;
          first = kept * std::cos(angle) - second * std::sin(angle);
          second = second * std::cos(angle) + kept * std::sin(angle);
        }
      }
    }
  }

  Matrix attend(const Matrix& q, const Matrix& k, const Matrix& v) const {
    const std::int64_t dim = config.head_dim, group = config.heads / config.kv_heads;
    Matrix out(q.size(), std::vector<double>(q[0].size()));
    for (std::int64_t head = 0; head < config.heads; ++head) {
      for (std::size_t row = 0; row < q.size(); ++row) {
        std::vector<double> weight(row + 1);
        double total = 0;
        for (std::size_t other = 0; other <= row; ++other) {
          double dot = 0;
          for (std::int64_t i = 0; i < dim; ++i)
            dot += q[row][at(head * dim + i)] * k[other][at(head / group * dim + i)];
          weight[other] = std::exp(dot / std::sqrt(static_cast<double>(dim)));
          total += weight[other];
        }
        for (std::size_t other = 0; other <= row; ++other) {
          for (std::int64_t i = 0; i < dim; ++i)
            out[row][at(head * dim + i)] += weight[other] / total * v[other][at(head / group * dim + i)];
        }
      }
    }
    return out;
  }

  Matrix layer(std::int64_t index, Matrix x) const {
    const std::string at_layer = "model.layers." + std::to_string(index) + ".";
    const std::int64_t width = config.width, ffn = config.ffn_width;
    Matrix n = norm(at_layer + "input_layernorm.weight", x);
    Matrix q = linear(at_layer + "self_attn.q_proj", n, width, config.query_width());
    Matrix k = linear(at_layer + "self_attn.k_proj", n, width, config.kv_width());
    const Matrix v = linear(at_layer + "self_attn.v_proj", n, width, config.kv_width());
    rotate(q, config.heads);
    rotate(k, config.kv_heads);
    add(x, linear(at_layer + "self_attn.o_proj", attend(q, k, v), config.query_width(), width));
    n = norm(at_layer + "post_attention_layernorm.weight", x);
    Matrix gate = linear(at_layer + "mlp.gate_proj", n, width, ffn);
    const Matrix up = linear(at_layer + "mlp.up_proj", n, width, ffn);
    for (std::size_t row = 0; row < gate.size(); ++row) {
      for (std::size_t i = 0; i < gate[row].size(); ++i) gate[row][i] *= up[row][i] / (1 + std::exp(-gate[row][i]));
    }
    add(x, linear(at_layer + "mlp.down_proj", gate, ffn, width));
    return x;
  }

  // Sum of -log p over the targets.
  double loss(const std::vector<std::int32_t>& ids, const std::vector<std::int32_t>& targets) const {
    const std::vector<double>& table = weights.at("model.embed_tokens.weight");
    const std::vector<double>& head = config.tied_embeddings ? table : weights.at("lm_head.weight");
    const auto width = static_cast<std::size_t>(config.width);
    Matrix x;
    for (const std::int32_t id : ids)
      x.emplace_back(table.begin() + id * config.width, table.begin() + (id + 1) * config.width);
    for (std::int64_t i = 0; i < config.layers; ++i) x = layer(i, x);
    x = norm("model.norm.weight", x);
    double sum = 0;
    for (std::size_t row = 0; row < ids.size(); ++row) {
      if (targets[row] < 0) continue;
      double total = 0, chosen = 0;
      for (std::size_t word = 0; word < static_cast<std::size_t>(config.vocabulary); ++word) {
        double logit = 0;
        for (std::size_t i = 0; i < width; ++i) logit += x[row][i] * head[word * width + i];
        total += std::exp(logit);
        if (word == static_cast<std::size_t>(targets[row])) chosen = logit;
      }
      sum += std::log(total) - chosen;
    }
    return sum;
  }

  static std::size_t at(std::int64_t i) { return static_cast<std::size_t>(i); }
  static void add(Matrix& x, const Matrix& y) {
    for (std::size_t row = 0; row < x.size(); ++row) {
      for (std::size_t i = 0; i < x[row].size(); ++i) x[row][i] += y[row][i];
    }
  }
};

}  // namespace ftl::reference
