#include "base/log.h"
#include "base/clock.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Process-wide by nature: where this process stands among the ranks. Written once by log_open. */
static int log_rank = 0, log_ranks = 1;

void log_open(int rank, int ranks)
{
    log_rank = rank;
    log_ranks = ranks;
}

/* What ISOFLOP_LOG asks for; -1: no level. */
static int threshold(void)
{
    static const char *const names[] = {"error", "warn", "info", "debug"};
    const char *wanted = getenv("ISOFLOP_LOG");
    if (!wanted || !wanted[0]) return LOG_INFO;
    for (int i = 0; i < 4; i++)
        if (strcmp(wanted, names[i]) == 0) return i;
    return -1;
}

status log_check(void)
{
    REQUIRE(threshold() >= 0, ERR_CONFIG, "ISOFLOP_LOG=%s; allowed: error, warn, info, debug",
            getenv("ISOFLOP_LOG"));
    return OK;
}

void log_line(log_level level, const char *area, const char *format, ...)
{
    static const char *const label[] = {"error ", "warn ", "", "debug "};
    if ((int)level > threshold() || (level == LOG_INFO && log_rank != 0)) return;
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
