#include "launcher/verbs/loaded_model.h"

#include <algorithm>
#include <thread>

#include "lora/peft_files.h"
#include "trainer/model/meta_params.h"

namespace ftl {

Result<LoadedModel> load_model_directory(Files& files, const std::string& model_directory,
                                         const std::string& adapter_directory) {
  LoadedModel loaded;
  Result<std::unique_ptr<Device>> device = make_cpu_device();
  if (!device) return device.error();
  loaded.device = std::move(*device);
  Result<std::unique_ptr<Stream>> stream =
      loaded.device->make_stream(static_cast<int>(std::max(1U, std::thread::hardware_concurrency())));
  if (!stream) return stream.error();
  loaded.stream = std::move(*stream);
  Result<ModelConfig> config = read_model_config(files, model_directory);
  if (!config) return config.error();
  Result<std::unique_ptr<CheckpointReader>> reader = open_base_weights(files, model_directory, *config);
  if (!reader) return reader.error();
  loaded.reader = std::move(*reader);
  Result<Llama> model = Llama::map(*loaded.device, *config, *loaded.reader);
  if (!model) return model.error();
  loaded.model.emplace(std::move(*model));
  if (!adapter_directory.empty()) {
    const std::vector<LinearModule> modules = linear_modules(*config);
    Result<Adapter> adapter = read_peft_adapter(files, *loaded.device, adapter_directory, modules);
    if (!adapter) return adapter.error();
    loaded.adapter.emplace(std::move(*adapter));
  }
  return loaded;
}

}  // namespace ftl
