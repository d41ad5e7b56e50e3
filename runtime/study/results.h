/* results.h — the study as a table: what every run is and gave, from the ledger and the run
 * directories alone. Written as
 *   table.csv    one line per finished run, the columns that `fit` reads; the same bytes however
 *                often the study was interrupted and on however many ranks it ran
 *   study.json   {schema, name, scale, runs [], comparison, sweep [], trunks, fits [], measured
 *                []}: the figures that depend on the machine and the moment stand in `measured`
 *                alone
 * Flow: execute.h -> results -> fit, report                                                      */
#ifndef STUDY_RESULTS_H
#define STUDY_RESULTS_H

#include "study/expand.h"
#include "study/outcome.h"
#include "study/paired.h"

#include <jansson.h>

typedef struct result {
    bool done, failed;
    int32_t exit;
    outcome got; /* NaN where nothing is known */
} result;

/* (runs->count) results by the ledger and the folders; malloc'ed. */
status results_read(result **out, const study_runs *runs, const char *folder);

/* One row of a comparison of two arms. */
enum { COMPARE_ROWS = 16 };
typedef struct compare_arm {
    const study_run *like;                       /* any of its runs                             */
    double loss, bits_per_byte, validation_loss; /* means over the seeds   */
    double tokens_per_s;                         /* mean, measured                              */
    double energy_j;                             /* sum; NaN not measured                       */
    double time_s;                               /* of steps, sum, measured                     */
} compare_arm;
typedef struct compare_row {
    const char *row;
    compare_arm arm[2];
    paired difference; /* loss of the first arm minus the second's, nats/token, by seed */
    int32_t winner;    /* the arm with the lower loss; -1: the interval holds 0, or is not there */
} compare_row;
typedef struct comparison {
    compare_row row[COMPARE_ROWS];
    int32_t rows;
    int32_t winner; /* of all rows; -1: they do not agree          */
    bool on_test;   /* the losses are of the test part             */
} comparison;
void results_compare(comparison *out, const study *s, const study_runs *runs, const result *r);

/* What a learning-rate sweep chose for a cell: the lowest validation loss at the first seed. */
typedef struct sweep_choice {
    int32_t run;     /* the chosen one; -1: none of them finished        */
    bool interior;   /* not the smallest or the largest factor           */
    int32_t missing; /* factors whose run is not done                  */
} sweep_choice;
/* (cells) choices, malloc'ed; *cells is how many. */
status results_choose(sweep_choice **out, int32_t *cells, const study_runs *runs, const result *r);
/* Runs that count: points, twins left out, and of a sweep what was chosen. (runs->count) flags,
 * malloc'ed. */
status results_points(bool **out, const study_runs *runs, const result *r);

/* FLOPs of branched runs against separate ones; 0 without trunks. */
typedef struct trunk_costs {
    double branched, separate;
} trunk_costs;
trunk_costs results_trunks(const study_runs *runs);

/* Writes both files, durable. fits: an array of what was fitted; borrowed; NULL none yet. */
status results_write(const char *folder, const study *s, const study_runs *runs, const result *r,
                     json_t *fits);

#endif
