#include "support/near.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

// clang-format off
/* measured over the case list on all paths of cpu (last column), then about doubled;
 * bf16 behind a softmax: half a unit of bf16 squared, 2^-18                                      */
static const near_row near_table[] = {
    /* act      out         kind          nmse    largest     measured          */
    {DTYPE_F32, DTYPE_F32,  NEAR_PLAIN,   2e-12,  6e-6},   /* 1.1e-12  3.2e-6   */
    {DTYPE_F32, DTYPE_F32,  NEAR_SOFTMAX, 1.5e-11, 1e-4},  /* 7.2e-12  5.3e-5   */
    {DTYPE_F32, DTYPE_BF16, NEAR_PLAIN,   0,      0},      /* 0        0        */
    {DTYPE_F32, DTYPE_F64,  NEAR_PLAIN,   1e-27,  7e-14},  /* 3.7e-28  3.2e-14  */
    {DTYPE_BF16, DTYPE_F32, NEAR_PLAIN,   5e-13,  3e-6},   /* 1.9e-13  1.4e-6   */
    {DTYPE_BF16, DTYPE_F32, NEAR_SOFTMAX, 4e-6,   0.03},   /* 2.9e-14  2.9e-6   */
    {DTYPE_BF16, DTYPE_BF16, NEAR_PLAIN,  5e-7,   0.05},   /* 2.2e-7   0.0231   */
    {DTYPE_BF16, DTYPE_BF16, NEAR_SOFTMAX, 4e-6,  0.05},   /* 1.3e-9   0.0081   */
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
    double square = 0, error = 0, largest = 0;
    if (got.type != DTYPE_F32 && got.type != DTYPE_BF16 && got.type != DTYPE_F64)
        return equal_bits(got, expected, what, text, bytes);
    for (int64_t i = 0; i < n; i++) {
        double g = near_value(got, i), e = near_value(expected, i), off = fabs(g - e);
        /* what is not finite must be the same kind of not finite */
        if (!isfinite(g) || !isfinite(e)) {
            if (isnan(g) ? isnan(e) : g == e) continue;
            (void)snprintf(text, bytes, "%s[%lld] is %g, expected %g", what, (long long)i, g, e);
            return false;
        }
        square += e * e;
        error += off * off;
        if (off > largest) {
            largest = off;
            worst = i;
        }
    }
    if (n == 0) return true;
    double rms = fmax(sqrt(square / (double)n), NEAR_FLOOR), nmse = error / (double)n / (rms * rms);
    near_row row = near_find(act, got.type, kind);
    if (near_scale() == 0) {
        (void)fprintf(stderr, "residual %d %d %d %s nmse %.3g largest %.3g\n", (int)act,
                      (int)got.type, (int)kind, what, nmse, largest / rms);
        return true;
    }
    if (nmse <= row.nmse && largest / rms <= row.largest) return true;
    (void)snprintf(text, bytes,
                   "%s: nmse %.3g (allowed %.3g), largest error %.3g (allowed %.3g) at [%lld]: "
                   "%.9g, expected %.9g",
                   what, nmse, row.nmse, largest / rms, row.largest, (long long)worst,
                   near_value(got, worst), near_value(expected, worst));
    return false;
}
