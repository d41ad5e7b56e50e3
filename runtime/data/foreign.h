/* foreign.h — what is not text, told by its first bytes: it would be trained on as it lies there.
 */
#ifndef DATA_FOREIGN_H
#define DATA_FOREIGN_H

#include "base/status.h"

#include <stdint.h>

/* The first bytes of a file (300 of them, if it has so many), decompressed if its name said so.
 * ERR_CONFIG: "PATH is a ...: what to do". */
status foreign_refuse(const char *path, const uint8_t *at, int64_t count);

#endif
