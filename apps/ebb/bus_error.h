// What happens when a page of a mapped file cannot be read any more: the file was cut while it was
// in use, or its disk failed. Nothing can be saved then, but a person must hear which file it was.
#pragma once

#include <string_view>

namespace ebb::app {

// From now on such an error ends the process with a message and exit code 3, not with a signal.
void install_bus_error_handler();
// The file that the message names: the model that was mapped last.
void name_mapped_file(std::string_view path);

}  // namespace ebb::app
