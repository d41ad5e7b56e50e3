/* byte_stream.h — the bytes of a file from front to back: plain, gzip (also several members,
 * dictzip) or zstd, told by the name's ending. A compressed file that ends early is an error, not a
 * short text.                           */
#ifndef DATA_BYTE_STREAM_H
#define DATA_BYTE_STREAM_H

#include "base/status.h"

#include <stdint.h>

typedef struct byte_stream byte_stream;

/* ERR_IO if it cannot be opened; ERR_CONFIG for .zst in a build without zstd and for .xz, .bz2.
 * Caller closes. */
status byte_stream_open(byte_stream **out, const char *path);
void byte_stream_close(byte_stream *b);
/* Up to room bytes; *count 0 at the end. ERR_IO: unreadable, damaged or truncated. */
status byte_stream_read(byte_stream *b, uint8_t *out, int64_t room, int64_t *count);
/* Bytes of the file taken so far, as they lie on disk: for progress. */
int64_t byte_stream_taken(const byte_stream *b);
/* Length of a name without its compression ending: "a.txt.gz" -> 5. */
int64_t byte_stream_stem(const char *path);

#endif
