# The decision core: no clock, no file, no socket, no process.
add_library(ftl_supervisor INTERFACE)
target_link_libraries(ftl_supervisor INTERFACE ftl_comm ftl_configs ftl_failures)
