# The decision core: no clock, no file, no socket, no process.
ftl_library(ftl_supervisor
  SOURCES supervisor.cpp supervisor_events.cpp run_ledger.cpp recovery.cpp watchdog.cpp stragglers.cpp classifier.cpp collective_evidence.cpp evidence_sentences.cpp
  DEPENDS ftl_comm ftl_configs ftl_failures
  PRIVATE_DEPENDS fmt::fmt)
