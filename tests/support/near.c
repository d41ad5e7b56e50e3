#include "support/near.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

// clang-format off
/* measured over the case list on all paths of cpu (last columns), then about doubled. Rounding one
 * operand to bf16 costs an nmse of 2.6e-6, as the identity shows.                            */
static const near_row near_table[] = {
    /* act      out         kind          nmse    largest     measured          */
    {DTYPE_F32, DTYPE_F32,  NEAR_PLAIN,   2e-12,  3e-6},   /* 1.1e-12  1.3e-6   */
    {DTYPE_F32, DTYPE_F32,  NEAR_SOFTMAX, 1.5e-11, 4e-5},  /* 7.3e-12  1.7e-5   */
    {DTYPE_F32, DTYPE_BF16, NEAR_PLAIN,   0,      0},      /* 0        0        */
    {DTYPE_F32, DTYPE_F64,  NEAR_PLAIN,   1e-27,  3e-14},  /* 3.7e-28  1.5e-14  */
    {DTYPE_BF16, DTYPE_F32, NEAR_PLAIN,   5e-13,  2e-6},   /* 1.9e-13  7.8e-7   */
    {DTYPE_BF16, DTYPE_F32, NEAR_LSE,     1.6e-11, 6.5e-6}, /* 7.9e-12  4.4e-6  */
    {DTYPE_F32, DTYPE_F32,  NEAR_LSE,     5e-13,  2e-6},   /* 7.6e-15  3.4e-7   */
    {DTYPE_BF16, DTYPE_F32, NEAR_SOFTMAX, 1.5e-5, 0.02},   /* 6.9e-6   0.0049   */
    {DTYPE_BF16, DTYPE_BF16, NEAR_PLAIN,  5e-7,   0.01},   /* 2.2e-7   0.0059   */
    {DTYPE_BF16, DTYPE_BF16, NEAR_SOFTMAX, 3e-5,  0.04},  /* 1.4e-5   0.0193   */
    {DTYPE_F32, DTYPE_F32,  NEAR_IDENTITY, 5e-13, 0},      /* 2.5e-13           */
    {DTYPE_BF16, DTYPE_F32, NEAR_IDENTITY, 6e-14, 0},      /* 2.6e-14           */
    {DTYPE_BF16, DTYPE_BF16, NEAR_IDENTITY, 4e-6, 0},      /* 2.6e-6            */
};
// clang-format on

double near_scale(void)
{
    const char *text = getenv("TOL_SCALE");
    return text ? atof(text) : 1;
}

double near_value(tensor t, int64_t i)
{
    switch (t.type) {
    case DTYPE_F32:
        return (double)((const float *)t.data)[i];
    case DTYPE_BF16:
        return (double)f32_from_bf16(((const uint16_t *)t.data)[i]);
    case DTYPE_F64:
        return ((const double *)t.data)[i];
    case DTYPE_I32:
        return (double)((const int32_t *)t.data)[i];
    case DTYPE_I64:
        return (double)((const int64_t *)t.data)[i];
    case DTYPE_U64:
        return (double)((const uint64_t *)t.data)[i];
    }
    return 0;
}

static bool equal_bits(tensor got, tensor expected, const char *what, char *text, size_t bytes)
{
    int64_t size = dtype_bytes(got.type);
    for (int64_t i = 0; i < tensor_count(got); i++)
        if (memcmp((char *)got.data + i * size, (char *)expected.data + i * size, (size_t)size) !=
            0) {
            (void)snprintf(text, bytes, "%s[%lld] is %.17g, expected exactly %.17g", what,
                           (long long)i, near_value(got, i), near_value(expected, i));
            return false;
        }
    return true;
}

near_row near_find(dtype act, dtype out, near_kind kind)
{
    near_row row = {act, out, kind, 0, 0};
    for (size_t i = 0; i < sizeof near_table / sizeof *near_table; i++)
        if (near_table[i].act == act && near_table[i].out == out && near_table[i].kind == kind)
            row = near_table[i];
    row.nmse *= near_scale();
    row.largest *= near_scale();
    return row;
}

bool near_tensor(tensor got, tensor expected, dtype act, near_kind kind, const char *what,
                 char *text, size_t bytes)
{
    int64_t n = tensor_count(expected), worst = 0;
    double square = 0, error = 0, largest = 0, rms;
    if (got.type != DTYPE_F32 && got.type != DTYPE_BF16 && got.type != DTYPE_F64)
        return equal_bits(got, expected, what, text, bytes);
    for (int64_t i = 0; i < n; i++) {
        double g = near_value(got, i), e = near_value(expected, i);
        if (isfinite(g) && isfinite(e)) {
            square += e * e;
            error += (g - e) * (g - e);
        } else if (isnan(g) ? !isnan(e) : g != e) {
            /* what is not finite must be the same kind of not finite */
            (void)snprintf(text, bytes, "%s[%lld] is %g, expected %g", what, (long long)i, g, e);
            return false;
        }
    }
    if (n == 0) return true;
    rms = fmax(sqrt(square / (double)n), NEAR_FLOOR);
    for (int64_t i = 0; i < n; i++) {
        double e = near_value(expected, i), off = fabs(near_value(got, i) - e) / (rms + fabs(e));
        if (!(off > largest)) continue;
        largest = off;
        worst = i;
    }
    double nmse = error / (double)n / (rms * rms);
    near_row row = near_find(act, got.type, kind);
    if (near_scale() == 0) {
        (void)fprintf(stderr, "residual %d %d %d %s nmse %.3g largest %.3g\n", (int)act,
                      (int)got.type, (int)kind, what, nmse, largest);
        return true;
    }
    if (nmse <= row.nmse && largest <= row.largest) return true;
    (void)snprintf(text, bytes,
                   "%s: nmse %.3g (allowed %.3g), largest error %.3g (allowed %.3g) at [%lld]: "
                   "%.9g, expected %.9g",
                   what, nmse, row.nmse, largest, row.largest, (long long)worst,
                   near_value(got, worst), near_value(expected, worst));
    return false;
}
