// Configurations written down in a test, read as files are.
#pragma once

#include <string>
#include <vector>

#include "configs/config_reader.h"

namespace ftl {

inline const std::string smallest = "model_name_or_path: m\ndatasets: [{path: d.jsonl}]\n";

Result<ReadConfig> read(const std::string& text, std::vector<std::string> overrides = {},
                        std::vector<Failure>* all = nullptr);
// Fails the test when it is refused.
RunConfig good(const std::string& text, std::vector<std::string> overrides = {});

}  // namespace ftl
