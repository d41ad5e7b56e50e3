/* file.h — whole reads and writes, directories, durable renames. Every failure is ERR_IO with path
 * and reason. */
#ifndef BASE_FILE_H
#define BASE_FILE_H

#include "base/status.h"

#include <stdint.h>

status file_read_at(int fd, const char *path, int64_t offset, void *out, int64_t bytes);
status file_write_at(int fd, const char *path, int64_t offset, const void *from, int64_t bytes);
/* Opens a regular file for reading. Anything else is refused at once: opening a pipe would wait for
 * a writer. */
status file_open(int *fd, const char *path);
/* Opens a regular file for reading and writing; a missing one is made. how: 0, O_TRUNC, O_APPEND.
 * What is there and no regular file (pipe, device, folder, socket) is refused at once. */
status file_open_write(int *fd, const char *path, int how);
/* The whole file as a NUL-terminated malloc'ed text. ERR_IO above limit bytes. */
status file_read_text(char **out, int64_t *bytes, const char *path, int64_t limit);
/* Writes a small file durably: temporary name, fsync, rename, fsync of the folder. Several
 * processes may write one file at once: the last one's text stands there, whole. A link stays: the
 * file it leads to is written. Whatever is no regular file is refused, not replaced.      */
status file_write_text(const char *path, const char *text, int64_t bytes);
/* A new file `to` with the first `bytes` bytes of another (-1: all), synced. Not for a file that
 * others may read meanwhile. */
status file_copy(const char *to, const char *from, int64_t bytes);
/* mkdir -p */
status file_make_folder(const char *path);
/* fsync, whatever signals come meanwhile. path is for the message. */
status file_sync(int fd, const char *path);
status file_sync_folder(const char *path);
/* rm -r of a folder made by us; a missing one is fine. */
status file_remove_folder(const char *path);
bool file_exists(const char *path);
/* Called before something is said to be missing. OK: it is there, or surely not. ERR_IO, with the
 * reason: it cannot be told (a folder on the way may not be entered), or it is a folder that may
 * not be listed and entered. */
status file_reach(const char *path);
/* Free bytes of the file system that holds path, or would if it were made; -1 unknown. */
int64_t file_free_bytes(const char *path);

#endif
