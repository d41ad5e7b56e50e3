#include "base/clock.h"

#include <math.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

static double read_clock(clockid_t id)
{
    struct timespec t;
    (void)clock_gettime(id, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

double clock_s(void) { return read_clock(CLOCK_MONOTONIC); }

double clock_process_s(void)
{
    static _Atomic double first = 0.0;
    double now = clock_s(), none = 0.0;
    atomic_compare_exchange_strong(&first, &none, now);
    return now - atomic_load(&first);
}

double clock_cpu_s(void) { return read_clock(CLOCK_PROCESS_CPUTIME_ID); }

double clock_stolen_of(FILE *stat)
{
    /* cpu user nice system idle iowait irq softirq steal ..., in ticks */
    unsigned long long steal;
    if (fscanf(stat, "cpu %*u %*u %*u %*u %*u %*u %*u %llu", &steal) != 1) return (double)NAN;
    return (double)steal / (double)sysconf(_SC_CLK_TCK);
}

double clock_stolen_s(void)
{
    FILE *stat = fopen("/proc/stat", "re");
    if (!stat) return (double)NAN;
    const double stolen = clock_stolen_of(stat);
    (void)fclose(stat);
    return stolen;
}

double clock_stolen_share(double stolen_s, double took_s)
{
    return stolen_s / (took_s * (double)sysconf(_SC_NPROCESSORS_ONLN));
}
