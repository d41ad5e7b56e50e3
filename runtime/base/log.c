#include "base/log.h"
#include "base/clock.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Process-wide by nature: where this process stands among the ranks. Written once by log_open. */
static int log_rank = 0, log_ranks = 1;

/* *known false: ISOFLOP_LOG is set, and to no level. */
static log_level threshold(bool *known)
{
    static const char *const names[] = {"error", "warn", "info", "debug"};
    const char *wanted = getenv("ISOFLOP_LOG");
    *known = true;
    for (int i = 0; wanted && i < 4; i++)
        if (strcmp(wanted, names[i]) == 0) return (log_level)i;
    *known = !wanted || !wanted[0];
    return LOG_INFO;
}

void log_open(int rank, int ranks)
{
    bool known;
    log_rank = rank;
    log_ranks = ranks;
    (void)threshold(&known);
    if (!known && rank == 0)
        log_warn("log", "ISOFLOP_LOG=%s is no level (error, warn, info, debug): info is taken",
                 getenv("ISOFLOP_LOG"));
}

void log_line(log_level level, const char *area, const char *format, ...)
{
    static const char *const label[] = {"error ", "warn ", "", "debug "};
    bool known;
    if (level > threshold(&known) || (level == LOG_INFO && log_rank != 0)) return;
    char text[2048];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (log_ranks > 1 && level != LOG_INFO)
        (void)fprintf(stderr, "[rank %d +%.3fs] %s%s: %s\n", log_rank, clock_process_s(),
                      label[level], area, text);
    else
        (void)fprintf(stderr, "%s%s: %s\n", label[level], area, text);
}
