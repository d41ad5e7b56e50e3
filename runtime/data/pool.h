/* pool.h — worker threads that run the same function over 0 .. count-1. Which thread takes which
 * number is left to chance, so the function must not care; results are placed by number. */
#ifndef DATA_POOL_H
#define DATA_POOL_H

#include "base/status.h"

#include <stdint.h>

typedef struct pool pool;
typedef void (*pool_work)(void *context, int32_t worker, int64_t index);

/* Processors this process may run on. */
int32_t pool_processors(void);
/* workers >= 1 threads. Caller closes. */
status pool_open(pool **out, int32_t workers);
void pool_close(pool *p);
/* Starts work(context, worker, 0 .. count-1) and returns; one job at a time. */
void pool_start(pool *p, pool_work work, void *context, int64_t count);
/* Waits until the job is done. */
void pool_wait(pool *p);

#endif
