/* overlap.h — how much held-out text also stands in the training text: the share of its bytes
 * that lie inside some string of 50 bytes which occurs in train. Held-out strings go into a table
 * of 64-bit rolling hashes (two different strings are taken for equal with probability 2^-64 each
 * time); train is then scanned against it. Strings do not reach across documents. At most 16 MiB
 * of held-out text, the first that comes, are measured; how much is said. */
#ifndef DATA_OVERLAP_H
#define DATA_OVERLAP_H

#include "base/status.h"

#include <stdint.h>

enum { OVERLAP_BYTES = 50, OVERLAP_GROUPS = 3 };
typedef struct overlap overlap;

typedef struct overlap_share {
    int64_t measured, inside; /* bytes                          */
    double share;             /* inside / measured; 0 of nothing */
} overlap_share;

status overlap_open(overlap **out);
void overlap_close(overlap *o);
/* Takes held-out text of a group (0 .. OVERLAP_GROUPS-1); before overlap_seal. */
status overlap_hold(overlap *o, int32_t group, const uint8_t *text, int64_t bytes);
/* Builds the table. */
status overlap_seal(overlap *o);
/* Marks what occurs in this training document. Thread-safe. */
void overlap_scan(overlap *o, const uint8_t *text, int64_t bytes);
overlap_share overlap_measure(const overlap *o, int32_t group);

#endif
