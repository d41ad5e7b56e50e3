#include "model/params.h"
#include "base/rng.h"

#include <math.h>

/* View of rows first..last (adjacent in memory) of a flat vector. */
static tensor span(const params *p, char *base, dtype type, param_role first, param_role last,
                   int32_t layer)
{
    const param_row *a = layout_row(p->layout, first, layer),
                    *b = layout_row(p->layout, last, layer);
    if (!a || !b || !base) return (tensor){0};
    int64_t rows = 0;
    for (const param_row *r = a; r <= b; r++) rows += r->dim[0];
    char *data = base + layout_physical(p->layout, a->offset) * dtype_bytes(type);
    return a->axes == 2 ? tensor_2(data, type, rows, a->dim[1]) : tensor_1(data, type, rows);
}

tensor params_weight_span(const params *p, param_role first, param_role last, int32_t layer)
{
    return span(p, p->weights, p->act, first, last, layer);
}

tensor params_gradient_span(const params *p, param_role first, param_role last, int32_t layer)
{
    return span(p, (char *)p->gradients, DTYPE_F32, first, last, layer);
}

tensor params_weight(const params *p, param_role role, int32_t layer)
{
    return params_weight_span(p, role, role, layer);
}

tensor params_gradient(const params *p, param_role role, int32_t layer)
{
    return params_gradient_span(p, role, role, layer);
}

/* Elements [first, first + count) of one row. */
static void initial_row(const param_row *row, int64_t row_index, double std, uint64_t seed,
                        int64_t first, int64_t count, float *out)
{
    const float one = (float)row->spread;
    for (int64_t i = 0; i < count; i++) {
        if (row->init == INIT_ZERO || row->init == INIT_ONE) {
            out[i] = row->init == INIT_ONE ? one : 0.0f;
            continue;
        }
        /* one block gives the normals of elements 2j and 2j + 1 */
        double pair[2];
        uint64_t element = (uint64_t)(first + i);
        rng_normal2(seed, RNG_INIT, (uint64_t)row_index, element / 2, pair);
        out[i] = (float)(std * pair[element % 2]);
        if (element % 2 == 0 && i + 1 < count) out[++i] = (float)(std * pair[1]);
    }
}

void params_initial(const layout *l, const model_config *m, uint64_t seed, int64_t first,
                    int64_t count, float *out)
{
    for (int32_t r = 0; r < l->row_count; r++) {
        const param_row *row = &l->rows[r];
        int64_t elements = row->dim[0] * row->dim[1];
        int64_t low = first > row->offset ? first : row->offset;
        int64_t high =
            first + count < row->offset + elements ? first + count : row->offset + elements;
        if (low >= high) continue;
        double std =
            m->init_std / (row->init == INIT_RESIDUAL ? sqrt(2.0 * (double)m->layers) : 1.0);
        initial_row(row, r, std * row->spread, seed, low - row->offset, high - low,
                    out + (low - first));
    }
}
