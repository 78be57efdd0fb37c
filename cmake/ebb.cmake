# Helpers that keep every folder's CMakeLists to one line.

add_library(ebb_warnings INTERFACE)
target_compile_options(ebb_warnings INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Wconversion)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  # GCC 12 wrongly reports an overlapping copy in "literal" + std::string (its bug 105329).
  target_compile_options(ebb_warnings INTERFACE -Wno-restrict)
endif()
if(EBB_WERROR)
  target_compile_options(ebb_warnings INTERFACE -Werror)
endif()
if(EBB_SANITIZE)
  target_compile_options(ebb_warnings INTERFACE -fsanitize=${EBB_SANITIZE} -fno-omit-frame-pointer
                                                -fno-sanitize-recover=all)
  target_link_options(ebb_warnings INTERFACE -fsanitize=${EBB_SANITIZE})
endif()
# One rounding per fused multiply-add everywhere: the compiler may not fuse on its own, so that a
# result does not depend on what it chose to inline. Kernels ask for FMA explicitly.
target_compile_options(ebb_warnings INTERFACE -ffp-contract=off)

# All headers compiled one by one; not part of "all". ./dev check builds it.
add_custom_target(ebb_headers)

# ebb_add_part(<folder> <wanted>): add_subdirectory where the folder is wanted and has a CMakeLists.
function(ebb_add_part folder wanted)
  if(wanted AND EXISTS ${CMAKE_SOURCE_DIR}/${folder}/CMakeLists.txt)
    add_subdirectory(${folder})
  endif()
endfunction()

# ebb_check_headers(<folder> libs...): every header of src/<folder> as a translation unit of its own,
# with the include paths and warnings of the folder's library.
function(ebb_check_headers folder)
  file(GLOB headers CONFIGURE_DEPENDS RELATIVE ${CMAKE_SOURCE_DIR}/src ${CMAKE_SOURCE_DIR}/src/${folder}/*.h)
  set(units)
  foreach(header IN LISTS headers)
    set(unit ${CMAKE_BINARY_DIR}/headers/${header}.cpp)
    file(CONFIGURE OUTPUT ${unit} CONTENT "#include \"${header}\"\n")
    list(APPEND units ${unit})
  endforeach()
  if(units)
    add_library(headers_${folder} OBJECT EXCLUDE_FROM_ALL ${units})
    target_link_libraries(headers_${folder} PRIVATE ebb_warnings ${ARGN})
    add_dependencies(ebb_headers headers_${folder})
  endif()
endfunction()

# ebb_add_library(<folder> [PUBLIC libs...] [PRIVATE libs...]): all .cpp of src/<folder> as ebb_<folder>.
function(ebb_add_library folder)
  cmake_parse_arguments(ARG "" "" "PUBLIC;PRIVATE" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/${folder}/*.cpp)
  if(NOT sources)
    return()
  endif()
  add_library(ebb_${folder} STATIC ${sources})
  target_include_directories(ebb_${folder} PUBLIC ${CMAKE_SOURCE_DIR}/src ${CMAKE_SOURCE_DIR}/include)
  target_link_libraries(ebb_${folder} PUBLIC ${ARG_PUBLIC} PRIVATE ebb_warnings ${ARG_PRIVATE})
  ebb_check_headers(${folder} ebb_${folder} ${ARG_PRIVATE})
endfunction()

# ebb_add_tests(<folder> libs...): tests/<folder>/*_test.cpp. The file name says the label:
# *_tiny_test.cpp needs the tiny models of tests/fixtures, *_model_test.cpp the real ones,
# *_soak_test.cpp takes long and runs on demand (./dev soak), the rest (unit) needs nothing.
function(ebb_add_tests folder)
  file(GLOB all_sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${folder}/*_test.cpp)
  foreach(label unit tiny model soak)
    set(sources ${all_sources})
    if(label STREQUAL "unit")
      list(FILTER sources EXCLUDE REGEX "_(tiny|model|soak)_test\\.cpp$")
    else()
      list(FILTER sources INCLUDE REGEX "_${label}_test\\.cpp$")
    endif()
    if(NOT sources)
      continue()
    endif()
    set(target ${label}_${folder})
    add_executable(${target} ${sources})
    target_include_directories(${target} PRIVATE ${CMAKE_SOURCE_DIR}/tests)
    target_link_libraries(${target} PRIVATE ebb_warnings ${ARGN} GTest::gmock GTest::gtest_main)
    target_compile_definitions(${target} PRIVATE
      EBB_FIXTURES="${CMAKE_SOURCE_DIR}/tests/fixtures" EBB_SOURCE_DIR="${CMAKE_SOURCE_DIR}"
      EBB_BINARY_DIR="${CMAKE_BINARY_DIR}")
    add_dependencies(ebb_label_${label} ${target})
    set(timeout 600)
    if(label STREQUAL "soak")
      set(timeout 86400)
    endif()
    gtest_discover_tests(${target} TEST_PREFIX "${folder}." DISCOVERY_TIMEOUT 60
      PROPERTIES LABELS ${label} TIMEOUT ${timeout})
  endforeach()
endfunction()

# One target a label, so that ./dev check and ./dev soak build only what they run.
foreach(label unit tiny model soak)
  add_custom_target(ebb_label_${label})
endforeach()
