#include "launcher/run_record.h"

#include <nlohmann/json.hpp>

#include "configs/config_reader.h"

namespace ftl {

using Json = nlohmann::ordered_json;

std::string to_json(const RunRecord& record) {
  const Placement& placement = record.placement;
  const Json json = {{"schema", "ftlaunch.run/1"},
                     {"version", FTL_VERSION},
                     {"started", record.started},
                     {"platform", record.platform},
                     {"inputs_hash", record.inputs_hash},
                     {"identity", run_identity(record.config, record.inputs_hash)},
                     {"placement",
                      {{"engine", placement.engine},
                       {"backend", placement.backend},
                       {"world_size", placement.world},
                       {"ranks_per_node", placement.ranks_per_node},
                       {"threads_per_rank", placement.threads_per_rank}}},
                     {"injected", record.injected},
                     {"config", Json::parse(to_json(record.config))}};
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

Result<RunRecord> run_record_from_json(const std::string& text) {
  try {
    const Json json = Json::parse(text);
    RunRecord record;
    Result<RunConfig> config = config_from_json(json.at("config").dump());
    if (!config) return config.error();
    record.config = std::move(*config);
    record.inputs_hash = json.at("inputs_hash").get<std::string>();
    record.platform = json.at("platform").get<std::string>();
    record.injected = json.at("injected").get<std::vector<std::string>>();
    record.started = json.value("started", "");
    return record;
  } catch (const Json::exception& error) {
    return Failure{FaultKind::run_identity_changed, std::string("run.json cannot be read: ") + error.what(), "run.json",
                   "use another output_dir, or --resume never to start over"};
  }
}

std::string run_identity(const RunConfig& config, const std::string& inputs_hash) {
  return identity_of(config) + "-" + inputs_hash;
}

}  // namespace ftl
