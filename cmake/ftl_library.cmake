# One target a room. Sources are listed by name; a source file in the room that no target lists fails the configure.
add_library(ftl_options INTERFACE)
target_include_directories(ftl_options INTERFACE ${PROJECT_SOURCE_DIR})
# No contraction differences between translation units, no reassociation: equal source means equal bits.
target_compile_options(ftl_options INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-Wall;-Wextra;-Wshadow;-Wnon-virtual-dtor;-ffp-contract=off>)
if(FTL_WERROR)
  # g++ 12 sees an overlap in "literal" + std::string where there is none (GCC bug 105651).
  target_compile_options(ftl_options INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-Werror> $<$<COMPILE_LANG_AND_ID:CXX,GNU>:-Wno-error=restrict>)
endif()
if(FTL_SANITIZE)
  target_compile_options(ftl_options INTERFACE -fsanitize=${FTL_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=undefined)
  target_link_options(ftl_options INTERFACE -fsanitize=${FTL_SANITIZE})
endif()
if(FTL_FUZZ)  # everything of ours tells libFuzzer which branches an input took
  target_compile_options(ftl_options INTERFACE -fsanitize=fuzzer-no-link)
endif()

# ftl_library(NAME SOURCES a.cpp ... DEPENDS targets... PRIVATE_DEPENDS targets...)
function(ftl_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPENDS;PRIVATE_DEPENDS" ${ARGN})
  add_library(${name} STATIC ${ARG_SOURCES})
  target_link_libraries(${name} PUBLIC ftl_options ${ARG_DEPENDS} PRIVATE ${ARG_PRIVATE_DEPENDS})
  set_property(GLOBAL APPEND PROPERTY FTL_LISTED_SOURCES ${ARG_SOURCES})
endfunction()

# What `make sanitize` builds: tests that start no real ranks, and those of them (label "threads") that start threads.
add_custom_target(single_process_tests)
add_custom_target(threaded_tests)

# ftl_test(NAME SOURCES ... DEPENDS ... [LABELS ...] [TIMEOUT seconds]): a GoogleTest binary, one ctest entry.
function(ftl_test name)
  cmake_parse_arguments(ARG "" "TIMEOUT" "SOURCES;DEPENDS;LABELS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  target_compile_options(${name} PRIVATE $<$<CONFIG:Release>:-O1>)  # what is tested is optimised, the tests need not be
  if(FTL_SANITIZE)  # half the time to compile; and g++ 12, optimising, finds an uninitialised value in its own <regex>
    target_compile_options(${name} PRIVATE -O0)
  endif()
  target_link_libraries(${name} PRIVATE ftl_options ${ARG_DEPENDS} GTest::gtest_main GTest::gmock)
  target_compile_definitions(${name} PRIVATE FTL_SOURCE_DIR="${PROJECT_SOURCE_DIR}" FTL_BINARY_DIR="${CMAKE_BINARY_DIR}")
  add_test(NAME ${name} COMMAND ${name})
  if(NOT "multiprocess" IN_LIST ARG_LABELS)
    add_dependencies(single_process_tests ${name})
  endif()
  if("threads" IN_LIST ARG_LABELS)
    add_dependencies(threaded_tests ${name})
  endif()
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 300)
  endif()
  set_tests_properties(${name} PROPERTIES TIMEOUT ${ARG_TIMEOUT} LABELS "${ARG_LABELS}")
endfunction()
