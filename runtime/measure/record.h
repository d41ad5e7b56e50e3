/* record.h — record.jsonl: one JSON object per line, written by rank 0, append-only.
 * header, then step, eval and event lines; field names in CONTRACTS "Run directory". Floats
 * round-trip, a non-finite number is null. */
#ifndef MEASURE_RECORD_H
#define MEASURE_RECORD_H

#include "base/status.h"

#include <stdint.h>

typedef struct record record;

typedef struct step_line {
    int64_t step, tokens;
    double flops; /* cumulative, the `model` count           */
    double loss, grad_norm, learning_rate, step_time_s, tokens_per_s;
    double mfu, energy_j; /* NaN = not known                         */
    uint64_t digest, data_digest;
    int skipped;
} step_line;

/* Opens path for appending after cutting it at keep_bytes (0 = empty). ERR_IO. Caller closes. */
status record_open(record **out, const char *path, int64_t keep_bytes);
void record_close(record *r); /* NULL is a no-op */
status record_step(record *r, const step_line *line);
/* One finished JSON object without newline (header, eval, event). */
status record_text(record *r, const char *json);
/* Bytes so far, all handed to the system and synced. */
status record_sync(record *r, int64_t *bytes);

#endif
