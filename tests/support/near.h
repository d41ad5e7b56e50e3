/* near.h — how near two backends must be: one table, chosen from measured errors.
 * A row says, for outputs of one type in runs of one activation type, the allowed normalised mean
 * square error and the allowed largest error, both relative to the root mean square of the expected
 * values (or to NEAR_FLOOR, whichever is larger). Integers must be equal.
 * TOL_SCALE in the environment multiplies every row; TOL_SCALE=0 judges nothing and prints the
 * residuals on stderr, which is how the table is measured.                                      */
#ifndef SUPPORT_NEAR_H
#define SUPPORT_NEAR_H

#include "base/tensor.h"

#include <stdbool.h>
#include <stddef.h>

#define NEAR_FLOOR 1e-4

typedef struct near_row {
    dtype act;    /* of the run                                                          */
    dtype out;    /* of the tensor compared                                              */
    bool rounded; /* the contract lets the op round an intermediate value to act (head dw)  */
    double nmse, largest;
} near_row;

/* Compares; false writes what differs, and by how much, into text. what names the tensor. */
bool near_tensor(tensor got, tensor expected, dtype act, bool rounded, const char *what, char *text,
                 size_t bytes);
/* The value of element i, whatever floating or integer type it has. */
double near_value(tensor t, int64_t i);
/* TOL_SCALE, or 1. */
double near_scale(void);

#endif
