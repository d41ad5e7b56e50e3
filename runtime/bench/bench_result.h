/* bench_result.h — results of isoflop bench, read back. */
#ifndef BENCH_BENCH_RESULT_H
#define BENCH_BENCH_RESULT_H

#include "config/config.h"

#include <jansson.h>

/* Reads a result. ERR_IO: unreadable, ERR_CONFIG: no result of isoflop bench, of another schema, or
 * its ranks are no number. The caller json_decrefs. */
status bench_result_read(json_t **out, const char *path);
/* The config that was measured, as the result holds it. ERR_CONFIG: it holds none. */
status bench_result_config(config *out, const json_t *result);

#endif
