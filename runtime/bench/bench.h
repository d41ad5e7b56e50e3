/* bench.h — how fast this machine is and where the time goes, as one JSON object.
 * Sections: gemm (products of a model), memory (streams), collectives (and a latency + bandwidth
 * fit), io (checkpoints' bytes), step (one optimizer step by part), scaling (strong and weak).
 * Every rank takes part; the first one gets the object. Numbers are medians over repeats unless the
 * name says otherwise; `spread` is (p90 - p10) / median. On a virtual machine whose host gives the
 * processors to others at times, repeats during which it did so do not count (bench_undisturbed) in
 * gemm, memory, collectives and step; in io and scaling all count. Either way `stolen_share` is of
 * what counts.
 * Flow: config.h, run.h, comm.h -> bench -> bench_cluster.h, bench_compare.h, launcher/cmd_bench.c
 */
#ifndef BENCH_BENCH_H
#define BENCH_BENCH_H

#include "comm/comm.h"
#include "config/config.h"
#include "kernels/ops.h"

#include <jansson.h>

enum { BENCH_SCHEMA = 1, BENCH_REPEATS_MAX = 1001 };

typedef struct bench_options {
    const config *cfg;  /* model, batch and precision of gemm, step and scaling           */
    const char *folder; /* io writes and removes files here                               */
    double seconds;     /* aimed at per measurement of a section; >= 0                    */
    int64_t max_bytes;  /* largest collective and stream                                  */
    int32_t repeats;    /* of the step series in scaling                                  */
    const struct bench_rates *rates; /* of step's and scaling's stand-in; NULL: compute           */
    void *context;                   /* of progress                                               */
    void (*progress)(void *context, const char *section, const char *what); /* rank 0; or NULL */
} bench_options;

typedef struct bench {
    const bench_options *options;
    world *w;
    const ops *ops;
    device *device;
    bool first;                         /* rank 0                                              */
    double counted_s, counted_stolen_s; /* of this section so far: repeats that count, and what
                                         * hosts gave to others then, of all their processors */
} bench;

typedef struct bench_section {
    const char *name, *does;
    status (*run)(bench *b, json_t **out); /* COLLECTIVE; *out on rank 0 only */
} bench_section;
extern const bench_section bench_sections[]; /* ends with name NULL */

/* Runs the sections named in `chosen` (NULL-terminated; none: all) in the order of the table.
 * *out is rank 0's; the caller frees it with json_decref. COLLECTIVE */
status bench_run(json_t **out, world *w, const bench_options *options, const char *const *chosen);
/* ERR_CONFIG names the sections there are. */
status bench_find(const bench_section **out, const char *name);

/* --- for the sections ----------------------------------------------------- */

void bench_say(const bench *b, const char *section, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Seconds of repeats, sorted. */
typedef struct bench_times {
    double s[BENCH_REPEATS_MAX];
    int32_t count;
} bench_times;
void bench_sort(bench_times *t);
double bench_quantile(const bench_times *sorted, double q); /* q in [0, 1] */
double bench_spread(const bench_times *sorted);

/* Which repeats count, by the share of the processors that hosts gave to others during each: those
 * with at most BENCH_DISTURBED, and at least the half with the smallest shares. NaN, unknown: it
 * counts. count <= BENCH_REPEATS_MAX. */
#define BENCH_DISTURBED 0.02
void bench_undisturbed(bool *counts, const double *stolen_share, int32_t count);
/* A repeat, or a step, that counts: took so long, with this share stolen. */
void bench_count(bench *b, double took_s, double stolen_share);

/* Calls run until the undisturbed calls have taken `seconds`, or all of them four times as long,
 * and at least five times; the slowest rank counts, and decides how often for all. *out: those that
 * count. One call goes unmeasured before. COLLECTIVE */
status bench_time(bench *b, bench_times *out, double seconds, status (*run)(void *context),
                  void *context);

/* y = a + b x with weights 1 / y^2 (relative errors count alike), a >= 0. count >= 2. Returns the
 * median |relative residual|. */
double bench_line(double *a, double *b, const double *x, const double *y, int32_t count);

status bench_gemm(bench *b, json_t **out);
status bench_memory(bench *b, json_t **out);
status bench_collectives(bench *b, json_t **out);
status bench_io(bench *b, json_t **out);
status bench_step(bench *b, json_t **out);
status bench_scaling(bench *b, json_t **out);

#endif
