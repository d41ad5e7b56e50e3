/* bench_page.h — a result of isoflop bench for people: tables and pictures.
 * Flow: bench.h -> bench_page -> report/page.h -> launcher/cmd_bench.c */
#ifndef BENCH_BENCH_PAGE_H
#define BENCH_BENCH_PAGE_H

#include "bench/bench_compare.h"
#include "plan/cluster.h"
#include "report/page.h"

/* vendor: peaks to set beside the measured ones; NULL: none. The caller deinits. */
status bench_page(page *out, const json_t *result, const cluster *vendor);
/* Two results side by side: what changed beyond the spread, and what else is not the same. */
status bench_compare_page(page *out, const bench_comparison *c);

#endif
