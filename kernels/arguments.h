/* arguments.h — what the tensors of an op must be: the checks that backends make before they
 * compute. */
#ifndef KERNELS_ARGUMENTS_H
#define KERNELS_ARGUMENTS_H

#include "base/tensor.h"

#include <stdbool.h>

static inline bool is_act(tensor t) { return t.type == DTYPE_F32 || t.type == DTYPE_BF16; }
static inline bool has_shape(tensor t, int64_t rows, int64_t columns)
{
    return t.data && t.dim[0] == rows && t.dim[1] == columns && t.dim[2] == 1 && t.dim[3] == 1;
}
/* none, or this shape */
static inline bool may_have_shape(tensor t, int64_t rows, int64_t columns)
{
    return !t.data || has_shape(t, rows, columns);
}
static inline bool has_count(tensor t, int64_t n) { return t.data && tensor_count(t) == n; }
static inline bool may_have_count(tensor t, int64_t n) { return !t.data || tensor_count(t) == n; }

#endif
