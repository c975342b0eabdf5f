add_executable(dummy_rank dummy_rank.cpp)
set_target_properties(dummy_rank PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
target_link_libraries(dummy_rank PRIVATE ftl_comm)

ftl_test(keeper_processes_test SOURCES keeper_processes_test.cpp DEPENDS ftl_engines Boost::headers LABELS multiprocess)
add_dependencies(keeper_processes_test ftkeeper dummy_rank)
