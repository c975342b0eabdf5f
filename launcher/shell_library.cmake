# What surrounds the decision core: processes, sockets, the run directory, the terminal. Asio stays inside these sources.
ftl_library(ftl_control
  SOURCES control/sealed_frames.cpp control/messages.cpp
  DEPENDS ftl_comm ftl_failures
  PRIVATE_DEPENDS OpenSSL::Crypto nlohmann_json::nlohmann_json)

ftl_library(ftl_processes
  SOURCES engines/child_process.cpp engines/process_table.cpp keeper/line_splitter.cpp
  DEPENDS ftl_comm ftl_failures)

ftl_library(ftl_keeper
  SOURCES keeper/control_link.cpp keeper/oom_evidence.cpp keeper/rank_process.cpp keeper/keeper.cpp
  DEPENDS ftl_control ftl_processes)

add_executable(ftkeeper keeper/main.cpp)
target_link_libraries(ftkeeper PRIVATE ftl_keeper)

ftl_library(ftl_engines
  SOURCES control/server.cpp engines/engine.cpp engines/attempt_processes.cpp
  DEPENDS ftl_control ftl_processes
  PRIVATE_DEPENDS Boost::headers)

ftl_library(ftl_run_directory
  SOURCES metrics_file.cpp process_owner.cpp run_directory.cpp run_directory_state.cpp run_files.cpp run_status.cpp
  DEPENDS ftl_processes ftl_supervisor ftl_checkpoints ftl_comm ftl_failures
  PRIVATE_DEPENDS ftl_control nlohmann_json::nlohmann_json)

ftl_library(ftl_shell
  SOURCES progress.cpp shell.cpp
  DEPENDS ftl_engines ftl_run_directory ftl_supervisor
  PRIVATE_DEPENDS Boost::headers fmt::fmt)
