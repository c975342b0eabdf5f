#include "failures/verdict.h"

#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>

namespace ftl {
namespace {

using Json = nlohmann::ordered_json;

Json culprits_of(const Verdict& verdict) {
  Json list = Json::array();
  for (const Culprit& culprit : verdict.culprits) {
    list.push_back({{"rank", culprit.rank}, {"node", culprit.node}, {"pid", culprit.pid}});
  }
  return list;
}

std::string fix_of(const Verdict& verdict) {
  return verdict.fix.empty() ? std::string(info(verdict.kind).fix) : verdict.fix;
}

// Shown numbers need no more digits than the pulses that they come from justify.
double rounded(double value) { return std::round(value * 1000) / 1000; }

std::string in_words(const Culprit& culprit) {
  std::string text = culprit.rank >= 0 ? "rank " + std::to_string(culprit.rank) : std::string("the engine");
  if (!culprit.node.empty()) text += " on " + culprit.node;
  if (culprit.pid > 0) text += " (pid " + std::to_string(culprit.pid) + ")";
  return text;
}

std::string numbers_of(const Verdict& verdict) {
  char numbers[160];
  std::snprintf(numbers, sizeof numbers, "after step %lld of attempt %d, detected after %.2f s, confidence %.2f",
                static_cast<long long>(verdict.step), verdict.attempt, verdict.detected_after_s, verdict.confidence);
  return numbers;
}

}  // namespace

std::string to_json(const Verdict& verdict) {
  const FaultInfo& fault = info(verdict.kind);
  Json evidence = Json::array();
  for (const EvidenceFact& fact : verdict.evidence) evidence.push_back({{"source", fact.source}, {"fact", fact.fact}});
  Json rejected = Json::array();
  for (const RejectedKind& other : verdict.rejected)
    rejected.push_back({{"kind", info(other.kind).name}, {"why", other.why}});
  const Json json = {
      {"schema", "ftlaunch.verdict/1"},   {"kind", fault.name},
      {"symptom", fault.symptom},         {"root_cause", fault.root_cause},
      {"confidence", verdict.confidence}, {"culprits", culprits_of(verdict)},
      {"victims", verdict.victims},       {"step", verdict.step},
      {"attempt", verdict.attempt},       {"detected_after_s", rounded(verdict.detected_after_s)},
      {"evidence", std::move(evidence)},  {"rejected", std::move(rejected)},
      {"retryable", fault.retryable},     {"action", name_of(verdict.action)},
      {"fix", fix_of(verdict)},           {"time", verdict.time},
  };
  // Evidence quotes log lines, which may hold any bytes.
  return json.dump(2, ' ', false, Json::error_handler_t::replace);
}

std::string describe(const Verdict& verdict) {
  const FaultInfo& fault = info(verdict.kind);
  std::string text = std::string(fault.name) + ": " + std::string(fault.sentence) + "\n";
  if (!verdict.culprits.empty()) {
    text += "  who:      ";
    for (const Culprit& culprit : verdict.culprits)
      text += (&culprit == verdict.culprits.data() ? "" : ", ") + in_words(culprit);
    text += "\n";
  }
  text += "  when:     " + numbers_of(verdict) + "\n";
  for (const EvidenceFact& fact : verdict.evidence) text += "  evidence: " + fact.fact + " [" + fact.source + "]\n";
  text += "  action:   " + std::string(name_of(verdict.action)) + "\n";
  text += "  fix:      " + fix_of(verdict) + "\n";
  text += "  codes:    S:" + std::string(fault.symptom) + " R:" + std::string(fault.root_cause) +
          ", `ftlaunch explain " + std::string(fault.name) + "` says more\n";
  return text;
}

}  // namespace ftl
