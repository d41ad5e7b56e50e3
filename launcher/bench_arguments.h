/* bench_arguments.h — what isoflop bench was asked on the command line, checked: words that are
 * sections or overrides, and options; what the chosen sections would ignore is refused.
 * Flow: argv -> bench_arguments -> cmd_bench.c */
#ifndef LAUNCHER_BENCH_ARGUMENTS_H
#define LAUNCHER_BENCH_ARGUMENTS_H

#include "base/status.h"

#include <stdbool.h>
#include <stdint.h>

enum { BENCH_SECTIONS_MAX = 16, BENCH_OVERRIDES_MAX = 64 };

/* Texts are as typed, NULL: not given. */
typedef struct bench_arguments {
    const char *config, *out, *write, *cluster, *folder, *from, *stand_in;
    bool json;
    const char *compare[2];                       /* two results; measures nothing */
    const char *sections[BENCH_SECTIONS_MAX + 1]; /* none: all                     */
    const char *overrides[BENCH_OVERRIDES_MAX];   /* key=value                     */
    int section_count, override_count;
    double seconds;
    int64_t repeats, max_bytes; /* max_bytes 0: as memory allows */
} bench_arguments;

/* ERR_CONFIG names the option or the word. */
status bench_arguments_read(bench_arguments *out, int argc, char **argv);

#endif
