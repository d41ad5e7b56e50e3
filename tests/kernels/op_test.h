/* op_test.h — opening a target inside a Criterion test; a path this machine lacks is skipped.  */
#ifndef KERNELS_OP_TEST_H
#define KERNELS_OP_TEST_H

#include "support/op_cases.h"
#include "support/targets.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <stdio.h>
#include <stdlib.h>

static inline void op_test_free(struct criterion_test_params *params) { cr_free(params->params); }

/* parameters 0 .. n-1 */
static inline struct criterion_test_params op_test_indices(int n)
{
    int *index = cr_malloc((size_t)n * sizeof *index);
    for (int i = 0; i < n; i++) index[i] = i;
    return cr_make_param_array(int, index, (size_t)n, op_test_free);
}

typedef struct op_target {
    const ops *o;
    device *d;
    char name[64];
} op_target;

/* without ops where this machine lacks it */
static inline op_target op_target_try(int index, bool strict)
{
    op_target t = {0};
    bool missing;
    target_name(index, t.name, sizeof t.name);
    status s = target_open(index, strict, &t.o, &t.d, &missing);
    cr_assert(s == OK, "%s does not open: %s", t.name, status_message());
    return t;
}

static inline op_target op_target_open(int index, bool strict)
{
    op_target t = op_target_try(index, strict);
    if (!t.o) cr_skip("%s: this processor lacks it", t.name);
    return t;
}

#endif
