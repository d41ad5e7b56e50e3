/* amx_burst.c — how fast the AMX unit is now: it has a slow state while a neighbour uses the other
 * thread of its core, so rates mean little without this one beside them. */
#include "kernels/cpu/amx.h"

#include "kernels/cpu/amx_ops.h"

#include <time.h>

enum { BURST_STEPS = 2000 };

static double thread_s(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

double amx_burst(void)
{
    static const char zeros[TILE_BYTES] = {0};
    amx_begin();
    amx_zero_sums();
    _tile_loadd(4, zeros, 64);
    _tile_loadd(5, zeros, 64);
    _tile_loadd(6, zeros, 64);
    _tile_loadd(7, zeros, 64);
    double flop = 0, start = thread_s(), now = start;
    while (now - start < 0.005) {
        for (int i = 0; i < BURST_STEPS; i++) {
            _tile_dpbf16ps(0, 4, 6);
            _tile_dpbf16ps(1, 4, 7);
            _tile_dpbf16ps(2, 5, 6);
            _tile_dpbf16ps(3, 5, 7);
        }
        flop += 4.0 * 2 * 16 * 16 * 32 * BURST_STEPS;
        now = thread_s();
    }
    amx_end();
    return flop / (now - start);
}
