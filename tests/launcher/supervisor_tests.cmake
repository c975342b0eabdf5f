ftl_test(supervisor_test
  SOURCES supervised_world.cpp supervisor_stories_test.cpp supervisor_fuzz_test.cpp stragglers_test.cpp watchdog_test.cpp
  DEPENDS ftl_supervisor)
