#include "comm/watch_process.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* This share of a processor, and two of the kernel's ticks, is hardly any. */
static const double hardly = 0.1, ticks_s = 0.02;

/* ran_s, unless NULL: the processor time */
static char state_in(const char *path, double *ran_s)
{
    char text[512] = "";
    unsigned long user = 0, kernel = 0;
    FILE *f = fopen(path, "r");
    if (!f) return 0;
    size_t bytes = fread(text, 1, sizeof text - 1, f);
    (void)fclose(f);
    text[bytes] = '\0';
    const char *after = strrchr(text, ')');
    if (!after || after[1] != ' ') return '?';
    /* ten numbers lie between the state and the two times */
    if (ran_s && sscanf(after + 3, "%*s%*s%*s%*s%*s%*s%*s%*s%*s%*s%lu%lu", &user, &kernel) == 2)
        *ran_s = (double)(user + kernel) / (double)sysconf(_SC_CLK_TCK);
    return after[2];
}

char watch_process_state(int32_t id)
{
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/%d/stat", (int)id);
    return state_in(path, NULL);
}

const char *watch_process_words(char state)
{
    return state == 'T' || state == 't' ? "stopped by a signal or a debugger"
           : state == 'D'               ? "held by the kernel, perhaps by a file system"
           : state == 0                 ? "not visible from here"
                                        : "running, but its threads do not";
}

double watch_ready_for(watch_ready *r, int32_t pid, double now_s)
{
    char path[64];
    double ran_s = r->ran_s;
    (void)snprintf(path, sizeof path, "/proc/%d/task/%d/stat", (int)pid, (int)pid);
    const char state = state_in(path, &ran_s);
    if (state != 'R' || ran_s - r->ran_s > ticks_s + hardly * (now_s - r->since_s))
        *r = (watch_ready){now_s, ran_s};
    return now_s - r->since_s;
}
