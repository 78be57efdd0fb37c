# Everything that ebb builds on. ./dev setup installs all of it; nothing is downloaded from here.
# Includes of these packages are SYSTEM (they are imported targets), so that our warnings stay ours.

find_package(Threads REQUIRED)

# Finds a package or says which one is missing and what to do about it, instead of CMake's page of hints.
macro(ebb_require package)
  find_package(${package} ${ARGN} QUIET)
  if(NOT ${package}_FOUND)
    message(FATAL_ERROR "${package} was not found. Run ./dev setup (it installs all packages).")
  endif()
endmacro()

ebb_require(OpenSSL)
ebb_require(ZLIB)
ebb_require(CURL)
ebb_require(fmt)
ebb_require(nlohmann_json)
ebb_require(CLI11)
ebb_require(Boost)
ebb_require(SQLite3)
ebb_require(SQLiteCpp)
ebb_require(tomlplusplus)
ebb_require(ICU COMPONENTS uc i18n)

# CLD2 (libcld2-dev) comes without a CMake package.
find_library(cld2_LIBRARY cld2)
find_path(cld2_INCLUDE_DIR cld2/public/compact_lang_det.h)
if(NOT cld2_LIBRARY OR NOT cld2_INCLUDE_DIR)
  message(FATAL_ERROR "cld2 was not found. Run ./dev setup (it installs all packages).")
endif()
add_library(cld2::cld2 UNKNOWN IMPORTED)
set_target_properties(cld2::cld2 PROPERTIES IMPORTED_LOCATION ${cld2_LIBRARY}
                                            INTERFACE_INCLUDE_DIRECTORIES ${cld2_INCLUDE_DIR})

find_package(hwy CONFIG QUIET)
if(NOT TARGET hwy::hwy)
  find_package(PkgConfig REQUIRED)
  pkg_check_modules(hwy REQUIRED IMPORTED_TARGET GLOBAL libhwy)
  add_library(hwy::hwy ALIAS PkgConfig::hwy)
endif()

# ggml and libllama: built into the project's .venv by ./dev setup; a system copy (Debian 13's
# libggml-dev and libllama-dev, Homebrew's llama.cpp) or a CMAKE_PREFIX_PATH serves as well.
file(GLOB ebb_venv_site ${CMAKE_SOURCE_DIR}/.venv/lib/python3*/site-packages)
list(APPEND CMAKE_PREFIX_PATH ${ebb_venv_site})
# The packages cache the paths of their libraries. A .venv that moved or changed its Python version
# would otherwise leave paths that no longer exist in the cache.
foreach(variable ggml_DIR llama_DIR llama_LIBRARY)
  if(DEFINED CACHE{${variable}} AND NOT EXISTS "$CACHE{${variable}}")
    unset(${variable} CACHE)
  endif()
endforeach()
find_package(ggml CONFIG QUIET)
find_package(llama CONFIG QUIET)
if(NOT TARGET ggml::ggml OR NOT TARGET llama)
  message(FATAL_ERROR "ggml and libllama were not found. Run ./dev setup (it builds them into .venv), "
                      "or point CMAKE_PREFIX_PATH at an installed copy.")
endif()
# The packages export plain include directories; headers that we do not own must not warn.
foreach(target ggml::ggml ggml::ggml-base ggml::ggml-cpu llama)
  if(TARGET ${target})
    get_target_property(includes ${target} INTERFACE_INCLUDE_DIRECTORIES)
    set_target_properties(${target} PROPERTIES INTERFACE_SYSTEM_INCLUDE_DIRECTORIES "${includes}")
  endif()
endforeach()
message(STATUS "ggml ${ggml_VERSION}: ${ggml_DIR}")

# Binaries run from the build folder without LD_LIBRARY_PATH (CMake's own build rpath), and do so
# after an install as well.
set(CMAKE_INSTALL_RPATH_USE_LINK_PATH ON)

if(EBB_TESTS)
  ebb_require(GTest)
  include(GoogleTest)
endif()
