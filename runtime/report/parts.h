/* parts.h — the sections of a report; what they share. Private to this folder.
 * Flow: report.c, compare.c -> parts_*.c -> page.h                                              */
#ifndef REPORT_PARTS_H
#define REPORT_PARTS_H

#include "report/report.h"
#include "report/run_points.h"

/* Colours from dark to light by the order of sizes; out has 8 bytes, "#21918c". */
const char *part_colour(char out[8], double place);

/* What study.json says beyond its runs; the known entropy of their data. */
status part_study(page *p, const run_set *set);
/* One line per run: what it was and how it ended; and what it cost. */
status part_runs(page *p, const run_set *set);
status part_cost(page *p, const run_set *set, const report_options *options);
/* Loss against tokens and FLOPs. */
status part_curves(page *p, const run_set *set);
/* Means over seeds; pairs of sizes at equal FLOPs. */
status part_seeds(page *p, const run_set *set);
/* Approach 2 and 3 where the runs allow. */
status part_laws(page *p, const run_set *set, const report_options *options);
/* Approach 2: its budgets, exponents and figures. */
status part_optima(page *p, const points *runs, const optima *o);
status part_parabolas(page *p, const points *runs, const optima *o, const char *name,
                      const char *title);
/* The variants of a study beside each other, each fitted by itself; nothing without variants. */
status part_variants(page *p, const run_set *set, const report_options *options);
/* A fitted number as a row of a table with these columns. */
enum { PART_VALUE_COLUMNS = 7 };
extern const table_column part_value_columns[PART_VALUE_COLUMNS];
status part_value(table *t, const char *name, const fit_value *v);
/* These runs among the systems of the article. */
status part_chart(page *p, const run_set *set);
status part_forecasts(page *p, const run_set *set);

/* The half width of a 95 % interval of a mean over count numbers with this spread. */
double part_half_width(double sd, int32_t count);

#endif
