/* ref defines the ops, so its forward values are compared with another program's: PyTorch 2.15 in
 * f64 (gelu tanh, silu, rms_norm, layer_norm, scaled_dot_product_attention, cross_entropy, AdamW).
 */
#include "kernels/ops.h"

#include <criterion/criterion.h>
#include <math.h>

static device *d;
static double scratch[256];

static void open_ref(void)
{
    op_shapes shapes = {.B = 1, .T = 5, .C = 5, .F = 5, .V = 5, .NH = 1, .NKV = 1, .HS = 2};
    cr_assert(ref_ops.open(&d, NULL) == OK);
    cr_assert(ref_ops.reserve(d, scratch, sizeof scratch, &shapes) == OK);
}
static void close_ref(void) { ref_ops.close(d); }
TestSuite(known, .init = open_ref, .fini = close_ref);

static tensor vec(double *x, int64_t n) { return tensor_1(x, DTYPE_F64, n); }
static tensor mat(double *x, int64_t n, int64_t m) { return tensor_2(x, DTYPE_F64, n, m); }

static void expect(const double *got, const double *expected, int n)
{
    for (int i = 0; i < n; i++)
        cr_expect(fabs(got[i] - expected[i]) < 1e-9, "[%d] is %.12g, expected %.12g", i, got[i],
                  expected[i]);
}

Test(known, gelu_is_the_tanh_form)
{
    double x[5] = {-2, -0.5, 0, 1, 3}, one = 1, out[5], pre[5];
    linear_args a = {.out = mat(out, 5, 1),
                     .pre = mat(pre, 5, 1),
                     .x = mat(x, 5, 1),
                     .w = mat(&one, 1, 1),
                     .act = ACT_GELU};
    cr_assert(ref_ops.linear(d, &a) == OK);
    expect(out,
           (double[]){-0.04540230591222494, -0.15428599017485606, 0, 0.8411919906082768,
                      2.996362607918227},
           5);
    expect(pre, x, 5);
}

Test(known, swiglu_is_silu_of_the_gate_times_up)
{
    double x[10] = {-2, -0.5, 0, 1, 3, 1, 1, 1, 1, 2}, out[5];
    swiglu_args a = {.out = mat(out, 1, 5), .gate_up = mat(x, 1, 10)};
    cr_assert(ref_ops.swiglu(d, &a) == OK);
    expect(out,
           (double[]){-0.2384058440442351, -0.1887703343990727, 0, 0.7310585786300049,
                      2 * 2.8577223804672998},
           5);
}

Test(known, norms_are_those_of_the_literature)
{
    double x[3] = {1, 2, 4}, gain[3] = {1, 1, 1}, out[3];
    norm_args a = {.kind = NORM_RMS,
                   .eps = 1e-5f,
                   .out = mat(out, 1, 3),
                   .x = mat(x, 1, 3),
                   .gain = vec(gain, 3)};
    cr_assert(ref_ops.norm(d, &a) == OK);
    expect(out, (double[]){0.3779642030348929, 0.7559284060697858, 1.5118568121395717}, 3);
    a.kind = NORM_LAYER;
    cr_assert(ref_ops.norm(d, &a) == OK);
    expect(out, (double[]){-1.0690415314502977, -0.26726038286257453, 1.3363019143128718}, 3);
}

Test(known, attention_is_causal_softmax_attention)
{
    double qkv[18] = {1,   0,  0.5, 1, 1, 2, /* position 0: q k v */
                      0.5, -1, -1,  2, 3, -1, 2, 1, 1, 0, 0, 5};
    double out[6], lse[3];
    attention_args a = {mat(out, 3, 2), vec(lse, 3), mat(qkv, 3, 6), 1, 3, 1, 1, 2};
    cr_assert(ref_ops.attention(d, &a) == OK);
    expect(out,
           (double[]){1, 2, 1.4497649024250272, 1.3253526463624594, 0.7709586294619838,
                      3.0122744669684285},
           6);
    expect(lse, (double[]){0.35355339059327373, -0.2755895006143223, 2.222079860442001}, 3);
}

Test(known, losses_are_cross_entropies)
{
    double x[4] = {1, -1, 0.5, 2}, w[6] = {1, 2, 0, -1, 3, 0.5}, losses[2];
    int32_t targets[2] = {2, 0};
    head_args a = {.losses = vec(losses, 2),
                   .x = mat(x, 2, 2),
                   .w = mat(w, 3, 2),
                   .targets = tensor_1(targets, DTYPE_I32, 2),
                   .z_loss = 0.5f};
    cr_assert(ref_ops.head(d, &a) == OK);
    expect(losses, (double[]){0.22580204923159933, 0.12825135987861355}, 2);
}

/* two steps; the masters are f32 here */
Test(known, adamw_takes_the_steps_of_adamw)
{
    float w[3] = {1, -2, 0.5f}, m[3] = {0}, v[3] = {0},
          g[2][3] = {{0.1f, -0.3f, 2}, {0.2f, 0.5f, -1}};
    const double expected[2][3] = {{0.9890000009999999, -1.9880000003333334, 0.48950000005},
                                   {0.9784311429058733, -1.98893040336618, 0.48632680558621694}};
    for (int t = 0; t < 2; t++) {
        step_scalars s = {.learning_rate = 1e-2f,
                          .beta1 = 0.9f,
                          .beta2 = 0.95f,
                          .eps = 1e-8f,
                          .weight_decay = 0.1f,
                          .gradient_scale = 1};
        s.bias1 = 1 - powf(s.beta1, (float)(t + 1));
        s.bias2 = 1 - powf(s.beta2, (float)(t + 1));
        adamw_args a = {.weights = tensor_1(w, DTYPE_F32, 3),
                        .m = tensor_1(m, DTYPE_F32, 3),
                        .v = tensor_1(v, DTYPE_F32, 3),
                        .gradient = tensor_1(g[t], DTYPE_F32, 3),
                        .decay = true,
                        .rate = 1,
                        .scalars = &s};
        cr_assert(ref_ops.adamw(d, &a) == OK);
        for (int i = 0; i < 3; i++)
            cr_expect(fabs((double)w[i] - expected[t][i]) < 3e-7, "step %d [%d] is %.9g", t, i,
                      (double)w[i]);
    }
    cr_expect(fabs((double)m[2] - 0.08) < 1e-7 && fabs((double)v[1] - 0.016775) < 1e-8);
}

/* w after one step at 1/8 of the rate, with or without decay */
static float slower(float w, bool decay)
{
    float m = 0, v = 0, g = 0.3f;
    step_scalars s = {.learning_rate = 1e-2f,
                      .beta1 = 0.9f,
                      .beta2 = 0.95f,
                      .weight_decay = 0.1f,
                      .bias1 = 0.1f,
                      .bias2 = 0.05f,
                      .gradient_scale = 1};
    adamw_args a = {.weights = tensor_1(&w, DTYPE_F32, 1),
                    .m = tensor_1(&m, DTYPE_F32, 1),
                    .v = tensor_1(&v, DTYPE_F32, 1),
                    .gradient = tensor_1(&g, DTYPE_F32, 1),
                    .decay = decay,
                    .rate = 0.125f,
                    .scalars = &s};
    cr_assert(ref_ops.adamw(d, &a) == OK);
    return w;
}

/* the first step of Adam is the rate itself */
Test(known, the_factor_of_the_rate_leaves_the_decay_as_it_is)
{
    cr_expect(fabs((double)slower(2, false) - (2 - 1e-2 / 8)) < 3e-7);
    cr_expect(fabs((double)slower(2, true) - (2 - 1e-2 / 8 - 1e-2 * 0.1 * 2)) < 3e-7);
}

Test(known, embeddings_are_rows_plus_positions)
{
    double table[6] = {1, 2, 3, 4, 5, 6}, positions[4] = {10, 20, 30, 40}, out[8];
    int32_t tokens[4] = {2, 0, 1, 2};
    embed_args a = {mat(out, 4, 2), mat(table, 3, 2), mat(positions, 2, 2),
                    tensor_1(tokens, DTYPE_I32, 4), 2};
    cr_assert(ref_ops.embed(d, &a) == OK);
    expect(out, (double[]){15, 26, 31, 42, 13, 24, 35, 46}, 8);
}

Test(known, rope_rotates_halves_of_queries_and_keys_and_leaves_values)
{
    /* a quarter turn of (a, b) is (-b, a) */
    double qkv[6] = {1, 2, 3, 4, 5, 6}, quarter[2] = {0, 1};
    rope_args a = {
        .qkv = mat(qkv, 1, 6), .table = vec(quarter, 2), .T = 1, .NH = 1, .NKV = 1, .HS = 2};
    cr_assert(ref_ops.rope(d, &a) == OK);
    expect(qkv, (double[]){-2, 1, -4, 3, 5, 6}, 6);
    a.inverse = true;
    cr_assert(ref_ops.rope(d, &a) == OK);
    expect(qkv, (double[]){1, 2, 3, 4, 5, 6}, 6);
}

Test(known, ids_outside_the_table_are_refused)
{
    double table[4] = {0}, out[2];
    int32_t token = 2;
    embed_args a = {mat(out, 1, 2), mat(table, 2, 2), {0}, tensor_1(&token, DTYPE_I32, 1), 1};
    cr_expect(ref_ops.embed(d, &a) == ERR_INTERNAL);
    cr_expect(strstr(status_message(), "token 2 at 0 is outside [0, 2)") != NULL, "%s",
              status_message());
}

Test(known, ref_has_no_instruction_paths)
{
    device *other;
    cr_expect(ref_ops.open(&other, &(device_options){.path = "avx2"}) == ERR_CONFIG);
    cr_expect(ref_ops.burst(d, DTYPE_F32) == 0);
    ref_ops.close(NULL);
}
