/* tail.h — what a record holds beyond the checkpoint it is cut back to: work that is done again,
 * and events, which stay. */
#ifndef TRAIN_TAIL_H
#define TRAIN_TAIL_H

#include "base/status.h"

#include <stdint.h>

typedef struct record_tail {
    char *events;    /* event lines, newlines between them; "" none; owned        */
    int64_t resumes; /* resume events among them                                  */
    int64_t steps;   /* steps after the checkpoint                                */
    double seconds;  /* ... and the time they took                                */
    int64_t lines;   /* complete lines of any kind                                */
} record_tail;

/* Reads path from byte `from`; a file that is missing or shorter has an empty tail, a line that is
 * cut off or damaged is passed over. ERR_MEMORY, ERR_IO. The caller deinits. */
status record_tail_init(record_tail *out, const char *path, int64_t from);
void record_tail_deinit(record_tail *t);

#endif
