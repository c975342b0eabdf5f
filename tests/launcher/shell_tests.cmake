add_executable(dummy_rank dummy_rank.cpp)
set_target_properties(dummy_rank PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
target_link_libraries(dummy_rank PRIVATE ftl_comm)

ftl_test(keeper_processes_test SOURCES keeper_processes_test.cpp DEPENDS ftl_engines Boost::headers LABELS multiprocess)
add_dependencies(keeper_processes_test ftkeeper dummy_rank)

ftl_test(control_frames_test SOURCES control_frames_test.cpp DEPENDS ftl_control)
ftl_test(keeper_evidence_test SOURCES keeper_evidence_test.cpp DEPENDS ftl_keeper)
ftl_test(engines_test SOURCES engines_test.cpp DEPENDS ftl_engines)
ftl_test(run_directory_test SOURCES run_directory_test.cpp DEPENDS ftl_run_directory)
ftl_test(progress_test SOURCES progress_test.cpp DEPENDS ftl_shell)
ftl_test(shell_test SOURCES shell_test.cpp DEPENDS ftl_shell LABELS multiprocess)
add_dependencies(shell_test ftkeeper dummy_rank)
