#include "train/gpu_watch.h"

#include "base/clock.h"
#include "base/digest.h"

#include <math.h>

enum { EVERY_S = 60, UNTROUBLED = 0x103 /* idle, application clocks, display */ };

static uint64_t errors(double count) { return isfinite(count) ? 1 + (uint64_t)count : 0; }

bool gpu_watch_due(gpu_watch *w, const run *r)
{
    if (!r->meter.gpu) return false;
    uint64_t alarms = 1;
    for (int32_t rank = 0; rank < r->layout.ranks; rank++) {
        const nvml_sample g = run_gpu(r, rank);
        alarms = digest_fold(alarms, (uint64_t)(g.throttle & ~UNTROUBLED));
        alarms = digest_fold(alarms, (uint64_t)g.xid);
        alarms = digest_fold(alarms, errors(g.ecc_corrected));
        alarms = digest_fold(alarms, errors(g.ecc_uncorrected));
    }
    double now = clock_s();
    if (alarms == w->alarms && now - w->written_s < EVERY_S) return false;
    *w = (gpu_watch){.written_s = now, .alarms = alarms};
    return true;
}
