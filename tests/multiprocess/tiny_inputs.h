// The smallest real thing to fine-tune: a Llama of two layers with random bf16 weights, the repository's own tokenizer,
// and 48 sentences. Written anew by every test program, shared by all its runs.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace ftl {

struct TinyInputs {
  std::filesystem::path model;  // a Hugging Face model directory
  std::filesystem::path data;   // JSON lines {"text": ...}
};

// Made at the first call, removed at the end of the program.
const TinyInputs& tiny_inputs();

// The same, somewhere else, for a test that damages them.
void write_tiny_model(const std::filesystem::path& directory);
void write_tiny_data(const std::filesystem::path& file);

void write_text(const std::filesystem::path& file, const std::string& text);
std::string read_text(const std::filesystem::path& file);  // "" when there is none
// "/tmp/ftl-test-XXXXXX", new and empty.
std::filesystem::path fresh_directory();

}  // namespace ftl
