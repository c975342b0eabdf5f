// What a failed call of the file system is called: the one place that tells errno values apart, for every room that
// touches files. Room on the storage is told beside it, because a message about a full place needs both numbers.
#pragma once

#include <string>

#include "failures/failure.h"

namespace ftl {

// Of a file that the user named: file_not_found when the path is wrong or closed to us, storage_failed when the storage
// itself gave way (EIO, ESTALE ...), host_out_of_memory when there was no memory for it.
FaultKind kind_of_failed_read(int error);
// Of what a run makes and keeps: storage_full, host_out_of_memory, else storage_failed. A path of ours that vanishes or
// loses its permission is no mistake in a configuration.
FaultKind kind_of_failed_write(int error);

// Bytes that this user may still write on the storage that holds `path` or would hold it: "4096", or "an unknown number
// of" when nobody says.
std::string free_bytes_at(const std::string& path);

}  // namespace ftl
