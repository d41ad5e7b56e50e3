/* near.h — how near two backends must be: one table, chosen from measured errors.
 * A row says, for outputs of one type in runs of one activation type, the allowed mean square error
 * relative to the mean square of the expected values, and the allowed largest error relative to
 * their root mean square plus the value itself (an element far above the others is rounded more).
 * A root mean square below NEAR_FLOOR counts as NEAR_FLOOR. Integers must be equal.
 * TOL_SCALE in the environment multiplies every row; TOL_SCALE=0 judges nothing and prints the
 * residuals on stderr, which is how the table is measured.                                      */
#ifndef SUPPORT_NEAR_H
#define SUPPORT_NEAR_H

#include "base/tensor.h"

#include <stdbool.h>
#include <stddef.h>

#define NEAR_FLOOR 1e-3

/* Outputs that stand behind a softmax carry more: in f32 the rounding of large scores, in bf16 also
 * that of weights rounded to be operands of the next product. An identity compares stored outputs
 * with what they would be unrounded. The lse of attention only weighs what is rounded to bf16 next,
 * and bf16 paths take it through shorter polynomials; losses are not in that row. */
typedef enum near_kind { NEAR_PLAIN, NEAR_SOFTMAX, NEAR_IDENTITY, NEAR_LSE } near_kind;

typedef struct near_row {
    dtype act; /* of the run             */
    dtype out; /* of the tensor compared */
    near_kind kind;
    double nmse, largest;
} near_row;

/* The row, scaled; no row allows nothing. */
near_row near_find(dtype act, dtype out, near_kind kind);
/* Compares; false writes what differs, and by how much, into text. what names the tensor. */
bool near_tensor(tensor got, tensor expected, dtype act, near_kind kind, const char *what,
                 char *text, size_t bytes);
/* The value of element i, whatever floating or integer type it has. */
double near_value(tensor t, int64_t i);
/* TOL_SCALE, or 1. */
double near_scale(void);

#endif
