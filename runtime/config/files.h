/* files.h — where configs lie and reading one whole. Private to runtime/config. */
#ifndef CONFIG_FILES_H
#define CONFIG_FILES_H

#include "base/status.h"

#include <stdint.h>

enum { FILES_ROOTS = 3, FILES_PATH = 1024 };

/* The folders that hold configs, the first to be asked first: $ISOFLOP_CONFIGS, the source tree's,
 * the installed one; those that are not set are left out. Returns how many. */
int32_t files_roots(char out[FILES_ROOTS][FILES_PATH]);
/* Reads a regular file of at most CONFIG_BYTES_MAX bytes; the caller frees *out. */
status files_read(char **out, int64_t *size, const char *path);

#endif
