# ebb_embed_text(<target> <file> <name>): the text of a data file as `std::string_view ebb::embedded::<name>()`,
# so that a binary needs no data folder beside it. The file stays the only place to edit.
function(ebb_embed_text target file name)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${file})
  file(READ ${file} text)
  set(source ${CMAKE_BINARY_DIR}/generated/${name}.cpp)
  file(CONFIGURE OUTPUT ${source} @ONLY CONTENT
"#include <string_view>
namespace ebb::embedded {
std::string_view @name@();
std::string_view @name@() { return R\"embedded(@text@)embedded\"; }
}  // namespace ebb::embedded
")
  target_sources(${target} PRIVATE ${source})
endfunction()
