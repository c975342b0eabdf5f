// Trainable tensors with recognisable values, and their views.
#pragma once

#include <string>
#include <vector>

#include "checkpoints/training_state.h"

namespace ftl {

class SomeTensors {
 public:
  explicit SomeTensors(float salt = 0, std::size_t width = 5) {
    for (std::size_t i = 0; i < 3; ++i) {
      names_.push_back("layer." + std::to_string(i) + ".weight");
      for (int part = 0; part < 3; ++part) {
        std::vector<float>& values = data_.emplace_back((i + 1) * width);
        for (std::size_t k = 0; k < values.size(); ++k)
          values[k] = salt + static_cast<float>(1000 * i + 100 * static_cast<std::size_t>(part) + k % 100);
      }
    }
  }
  std::vector<TrainableView> views() {
    std::vector<TrainableView> all;
    for (std::size_t i = 0; i < 3; ++i) {
      const auto rows = static_cast<std::int64_t>(i + 1);
      all.push_back({names_[i],
                     {rows, static_cast<std::int64_t>(data_[3 * i].size()) / rows},
                     data_[3 * i],
                     data_[3 * i + 1],
                     data_[3 * i + 2]});
    }
    return all;
  }
  bool operator==(const SomeTensors& other) const { return data_ == other.data_; }

 private:
  std::vector<std::string> names_;
  std::vector<std::vector<float>> data_;
};

}  // namespace ftl
