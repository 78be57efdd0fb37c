# cmake -D SOURCE=<root> -D OUT=<folder> -P new_policy_page.cmake
# Takes the policy of docs/new-policy.md out of the page and adds it as the page says: its file, and
# one line in specs.h and in catalogue.cpp. The copies go to OUT/policy; the tests build with them.
cmake_minimum_required(VERSION 3.25)
set(page_name docs/new-policy.md)
file(READ ${SOURCE}/${page_name} page)

# take(<out> <regex> <what>): the first group of the regex in the page.
function(take out regex what)
  if(NOT page MATCHES "${regex}")
    message(FATAL_ERROR "${page_name} has no ${what} any more: see cmake/new_policy_page.cmake")
  endif()
  set(${out} "${CMAKE_MATCH_1}" PARENT_SCOPE)
endfunction()

# insert(<text> <line> <mark>): `line` in front of the last `mark`, on a line of its own.
function(insert text line mark)
  string(FIND "${${text}}" "${mark}" at REVERSE)
  if(at LESS 0)
    message(FATAL_ERROR "found no '${mark}' to put '${line}' in front of")
  endif()
  string(SUBSTRING "${${text}}" 0 ${at} head)
  string(SUBSTRING "${${text}}" ${at} -1 tail)
  set(${text} "${head}${line}\n${tail}" PARENT_SCOPE)
endfunction()

take(file_name "The file `src/(policy/[a-z_]+\\.cpp)`" "name of the policy's file")
take(spec_line "`([^`]+)` in `src/policy/specs\\.h`" "line for specs.h")
take(list_line "`([^`]+)` in `src/policy/catalogue\\.cpp`" "line for catalogue.cpp")

# Only the first block of C++ is the policy.
string(FIND "${page}" "\n```cpp\n" begin)
if(begin LESS 0)
  message(FATAL_ERROR "${page_name} has no block of C++ any more")
endif()
string(SUBSTRING "${page}" 0 ${begin} before)
math(EXPR begin "${begin} + 8")
string(SUBSTRING "${page}" ${begin} -1 rest)
string(FIND "${rest}" "\n```" end)
string(SUBSTRING "${rest}" 0 ${end} code)
# Compilers name the page and its line.
string(REGEX REPLACE "[^\n]" "" newlines "${before}")
string(LENGTH "${newlines}" n_lines)
math(EXPR first_line "${n_lines} + 3")

file(READ ${SOURCE}/src/policy/specs.h specs)
insert(specs "${spec_line}" "\n}  // namespace ebb::policy")
file(READ ${SOURCE}/src/policy/catalogue.cpp catalogue)
insert(catalogue "      ${list_line}" "  };\n  return kPolicies;")

file(WRITE ${OUT}/${file_name} "#line ${first_line} \"${page_name}\"\n${code}\n")
file(WRITE ${OUT}/policy/specs.h "${specs}")
file(WRITE ${OUT}/policy/catalogue.cpp "${catalogue}")
