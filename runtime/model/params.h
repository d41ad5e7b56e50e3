/* params.h — the flat weight and gradient vectors, seen as named tensors, and how weights start. */
#ifndef MODEL_PARAMS_H
#define MODEL_PARAMS_H

#include "base/tensor.h"
#include "plan/layout.h"

/* Views into arrays owned by the run. Both vectors are physical (padded buckets). */
typedef struct params {
    const layout *layout;
    dtype act;        /* type of weights: f32 or bf16                    */
    void *weights;    /* (physical) act: what ops read                   */
    float *gradients; /* (physical) f32 of one micro-batch; NULL without backward */
} params;

/* The tensor of this role; layer -1 outside layers; none if the architecture has no such tensor. */
tensor params_weight(const params *p, param_role role, int32_t layer);
tensor params_gradient(const params *p, param_role role, int32_t layer);
/* Adjacent tensors first..last as one matrix (or vector): q, k, v; gate, up. */
tensor params_weight_span(const params *p, param_role first, param_role last, int32_t layer);
tensor params_gradient_span(const params *p, param_role first, param_role last, int32_t layer);

/* Initial values of logical elements [first, first + count): normal with standard deviation
 * init_std (residual projections divided by sqrt(2 L), Radford et al. 2019), zeros, ones; each
 * times the row's spread. Element e of row i is a function of (seed, i, e) alone. */
void params_initial(const layout *l, const model_config *m, uint64_t seed, int64_t first,
                    int64_t count, float *out);

#endif
