// The first look at a model file from somewhere: everything that could crash is tried in a child
// process, weights included; a file that passed is remembered and not tried again.
#pragma once

#include <filesystem>
#include <string>

namespace ebb::model {

class GgufFile;

enum class FirstTouch { kChecked, kKnown };  // kKnown: it was checked before

// notes: a folder that remembers files by path, size and time of change; "" = remember nothing.
// A folder that cannot be written is no error: then the file is checked again next time.
// Throws: as Model::load and Tokenizer::load; kBadModel where the child died.
// Requires: no other threads.  Cost: reads the whole file once.
FirstTouch check_first_touch(const std::filesystem::path& path, const std::filesystem::path& notes);

// Whether every number and every block scale is finite.  Throws: kBadModel with the tensor's name.
// Cost: reads all weights.
void check_weights_finite(const GgufFile& file);

}  // namespace ebb::model
