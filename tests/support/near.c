#include "support/near.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* measured over the case list on every path, then about twice that: see tests/README.md */
static const near_row near_table[] = {
    {DTYPE_F32, DTYPE_F32, false, 1e-12, 1e-5},  {DTYPE_F32, DTYPE_F32, true, 1e-12, 1e-5},
    {DTYPE_F32, DTYPE_BF16, false, 1e-5, 0.02},  {DTYPE_F32, DTYPE_F64, false, 1e-28, 1e-14},
    {DTYPE_BF16, DTYPE_F32, false, 1e-12, 1e-5}, {DTYPE_BF16, DTYPE_F32, true, 1e-5, 0.05},
    {DTYPE_BF16, DTYPE_BF16, false, 1e-5, 0.05}, {DTYPE_BF16, DTYPE_F64, false, 1e-28, 1e-14},
};

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

static const near_row *find_row(dtype act, dtype out, bool rounded)
{
    for (size_t i = 0; i < sizeof near_table / sizeof *near_table; i++)
        if (near_table[i].act == act && near_table[i].out == out &&
            near_table[i].rounded == rounded)
            return &near_table[i];
    return NULL;
}

bool near_tensor(tensor got, tensor expected, dtype act, bool rounded, const char *what, char *text,
                 size_t bytes)
{
    int64_t n = tensor_count(expected), worst = 0;
    double square = 0, error = 0, largest = 0, scale = near_scale();
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
    const near_row *row = find_row(act, got.type, rounded && act == DTYPE_BF16);
    if (scale == 0) {
        (void)fprintf(stderr, "residual %d %d %d %s nmse %.3g largest %.3g\n", (int)act,
                      (int)got.type, rounded, what, nmse, largest / rms);
        return true;
    }
    if (row && nmse <= row->nmse * scale && largest / rms <= row->largest * scale) return true;
    (void)snprintf(text, bytes,
                   "%s: nmse %.3g (allowed %.3g), largest error %.3g (allowed %.3g) at [%lld]: "
                   "%.9g, expected %.9g",
                   what, nmse, row ? row->nmse * scale : 0, largest / rms,
                   row ? row->largest * scale : 0, (long long)worst, near_value(got, worst),
                   near_value(expected, worst));
    return false;
}
