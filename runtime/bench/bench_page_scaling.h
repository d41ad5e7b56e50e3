/* bench_page_scaling.h — the section scaling of a result on bench's page: both series, their laws,
 * time by part against ranks, efficiency beside plan's lines, and why points lie off them. */
#ifndef BENCH_BENCH_PAGE_SCALING_H
#define BENCH_BENCH_PAGE_SCALING_H

#include "report/page.h"

#include <jansson.h>

/* Adds nothing when the result has no such section. */
status bench_page_scaling(page *p, const json_t *result);

#endif
