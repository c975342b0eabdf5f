// How the files of a run directory are written and read: whole or not at all, and in constant memory whatever their
// size. A launcher may have died in the middle of any line, and people edit files.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "failures/result.h"

namespace ftl {

// Of errno `error` while writing `path`: storage_full, or usage_error that says who may not write where.
Failure storage_failure(const std::string& path, int error);

Result<Done> make_directories(const std::string& path);
// By a temporary file and rename: readers see the old bytes or the new. Synced only when it must survive the machine.
Result<Done> replace_file(const std::string& path, std::string_view text, bool sync);
// The whole text, or nothing of it: what a full storage took of it is taken back.
Result<Done> append_text(const std::string& path, const std::string& text);
Result<Done> write_all(int file, std::string_view text, const std::string& path);  // `path`: for messages

// Every line, without its end; one that is longer than 1 MiB is none of ours and is left out. No file: no lines.
void for_each_line(const std::string& path, const std::function<void(std::string_view)>& take);
// Cuts off what follows the last end of a line, so that the next line stays whole.
void cut_torn_line(const std::string& path);

}  // namespace ftl
