# ftl_backend(NAME SOURCES ... DEPENDS ...): a shared object that is opened at run time and exports its maker alone.
function(ftl_backend name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPENDS" ${ARGN})
  add_library(${name} SHARED ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE ftl_options ${ARG_DEPENDS})
  set_target_properties(${name} PROPERTIES CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON)
  target_link_options(${name} PRIVATE -Wl,--exclude-libs,ALL -Wl,--no-undefined)
  set_property(GLOBAL APPEND PROPERTY FTL_LISTED_SOURCES ${ARG_SOURCES})
endfunction()
