/* Laws of block.h: counts agree with the published ones and with the rows. */
#include "model/block.h"

#include "plan/table_a9.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The architecture behind Table A9 and the Gopher family: relative positions, tied embeddings,
 * biases. */
static model_config gopher_like(int64_t layers, int64_t width, int64_t heads, int64_t head_width)
{
    return (model_config){.layers = layers,
                          .width = width,
                          .heads = heads,
                          .head_width = head_width,
                          .kv_heads = heads,
                          .ffn = 4 * width,
                          .vocab = 32000,
                          .context = 2048,
                          .norm = MODEL_LAYERNORM,
                          .positions = POSITIONS_RELATIVE,
                          .mlp = MLP_GELU,
                          .bias = true,
                          .tied_embeddings = true};
}

static model_config a9(int i)
{
    model_config m = gopher_like(table_a9[i].layers, table_a9[i].width, table_a9[i].heads,
                                 table_a9[i].head_width);
    m.ffn = table_a9[i].ffn;
    return m;
}

Test(block, parameter_counts_match_all_rows_of_hoffmann_table_a9)
{
    cr_assert_eq(TABLE_A9_ROWS, 50);
    int exact = 0, close = 0;
    double worst = 0;
    for (int i = 0; i < TABLE_A9_ROWS; i++) {
        const model_config m = a9(i);
        const double millions = (double)block_param_count(&m) / 1e6;
        const double off = millions / table_a9[i].millions - 1;
        if (fabs(off) > fabs(worst)) worst = off;
        exact += (int)lround(millions) == table_a9[i].millions;
        close += fabs(off) < 0.004;
    }
    cr_assert_eq(exact, 37, "%d rows agree to 1M", exact);
    cr_assert_eq(close, 48, "%d rows agree to 0.4 %%", close);
    cr_assert_float_eq(worst, -0.0066, 0.00005, "worst row %.4f", worst);
}

Test(block, parameter_counts_match_published_integers)
{
    /* exact counts of six rows in the nanoGPT scaling-laws notebook */
    static const struct {
        int row;
        int64_t count;
    } known[] = {
        {2, 73825280},    {17, 552604160},  {25, 1143453696},
        {29, 1593126912}, {42, 6796274688}, {13, 305707008},
    };
    for (int i = 0; i < 6; i++) {
        const model_config m = a9(known[i].row);
        cr_assert_eq(block_param_count(&m), known[i].count, "row %dM",
                     table_a9[known[i].row].millions);
    }
}

Test(block, parameter_counts_match_the_gopher_family)
{
    static const struct {
        int64_t layers, heads, head_width, width;
        double millions, within;
    } known[] = {
        {8, 16, 32, 512, 43.7, 0.05},     {12, 12, 64, 768, 116.7, 0.05},
        {12, 12, 128, 1536, 417.5, 0.05}, {24, 16, 128, 2048, 1375, 0.5},
        {32, 32, 128, 4096, 7110, 5},     {80, 128, 128, 16384, 279700, 50},
        {80, 64, 128, 8192, 70070, 5},
    };
    for (int i = 0; i < 7; i++) {
        const model_config m =
            gopher_like(known[i].layers, known[i].width, known[i].heads, known[i].head_width);
        cr_assert_float_eq((double)block_param_count(&m) / 1e6, known[i].millions, known[i].within);
    }
}

Test(block, parameter_counts_match_gpt2_and_llama)
{
    model_config m = {.layers = 12,
                      .width = 768,
                      .heads = 12,
                      .head_width = 64,
                      .kv_heads = 12,
                      .ffn = 3072,
                      .vocab = 50257,
                      .context = 1024,
                      .norm = MODEL_LAYERNORM,
                      .positions = POSITIONS_LEARNED,
                      .bias = true,
                      .tied_embeddings = true};
    cr_assert_eq(block_param_count(&m), 124439808);
    m.positions = POSITIONS_NONE;
    cr_assert_eq(block_param_count(&m), 123653376);
    m = (model_config){.layers = 32,
                       .width = 4096,
                       .heads = 32,
                       .head_width = 128,
                       .kv_heads = 32,
                       .ffn = 11008,
                       .vocab = 32000,
                       .context = 2048,
                       .mlp = MLP_SWIGLU};
    cr_assert_eq(block_param_count(&m), 6738415616);
}

Test(block, rows_add_up_to_the_count_in_every_architecture)
{
    for (int bits = 0; bits < 1 << 5; bits++)
        for (int positions = 0; positions < 5; positions++)
            for (int mlp = 0; mlp < 4; mlp++) {
                const model_config m = {.layers = 3,
                                        .width = 24,
                                        .heads = 4,
                                        .head_width = 6,
                                        .kv_heads = 2,
                                        .ffn = 36,
                                        .vocab = 50,
                                        .context = 16,
                                        .norm = bits & 1,
                                        .positions = positions,
                                        .mlp = mlp,
                                        .bias = bits & 2,
                                        .tied_embeddings = bits & 4,
                                        .qk_norm = bits & 8,
                                        .parallel_block = bits & 16};
                param_row rows[128];
                const int32_t n = block_params(&m, NULL, 0);
                cr_assert_leq(n, 128);
                cr_assert_eq(block_params(&m, rows, 128), n);
                int64_t sum = 0, tables = 0;
                for (int32_t i = 0; i < n; i++) {
                    const int64_t elements = rows[i].dim[0] * rows[i].dim[1];
                    cr_assert_eq(rows[i].offset, sum);
                    sum += elements;
                    if (rows[i].role >= PARAM_HEAD) tables += elements;
                    cr_assert_eq(rows[i].decay, rows[i].axes == 2);
                    cr_assert_eq(rows[i].axes == 1, rows[i].dim[1] == 1);
                    for (int32_t j = 0; j < i; j++)
                        cr_assert_neq(strcmp(rows[i].name, rows[j].name), 0, "%s", rows[i].name);
                }
                cr_assert_eq(sum, block_param_count(&m));
                cr_assert_eq(sum - tables, block_param_count_without_embedding(&m));
            }
}

Test(block, rows_carry_hugging_face_names_in_backward_order)
{
    const model_config m = {.layers = 2,
                            .width = 8,
                            .heads = 2,
                            .head_width = 4,
                            .kv_heads = 1,
                            .ffn = 16,
                            .vocab = 32,
                            .context = 8,
                            .norm = MODEL_LAYERNORM,
                            .positions = POSITIONS_LEARNED,
                            .mlp = MLP_SWIGLU,
                            .bias = true};
    static const char *const layer[] = {"input_layernorm.weight",
                                        "input_layernorm.bias",
                                        "self_attn.q_proj.weight",
                                        "self_attn.k_proj.weight",
                                        "self_attn.v_proj.weight",
                                        "self_attn.q_proj.bias",
                                        "self_attn.k_proj.bias",
                                        "self_attn.v_proj.bias",
                                        "self_attn.o_proj.weight",
                                        "self_attn.o_proj.bias",
                                        "post_attention_layernorm.weight",
                                        "post_attention_layernorm.bias",
                                        "mlp.gate_proj.weight",
                                        "mlp.up_proj.weight",
                                        "mlp.gate_proj.bias",
                                        "mlp.up_proj.bias",
                                        "mlp.down_proj.weight",
                                        "mlp.down_proj.bias"};
    enum { LAYER = sizeof layer / sizeof layer[0] };
    param_row rows[64];
    const int32_t n = block_params(&m, rows, 64);
    cr_assert_eq(n, 3 + 2 * LAYER + 2);
    cr_assert_str_eq(rows[0].name, "lm_head.weight");
    cr_assert_str_eq(rows[1].name, "model.norm.weight");
    cr_assert_str_eq(rows[2].name, "model.norm.bias");
    for (int l = 0; l < 2; l++)
        for (int i = 0; i < LAYER; i++) {
            char name[64];
            (void)snprintf(name, sizeof name, "model.layers.%d.%s", 1 - l, layer[i]);
            cr_assert_str_eq(rows[3 + l * LAYER + i].name, name);
            cr_assert_eq(rows[3 + l * LAYER + i].layer, 1 - l);
        }
    cr_assert_str_eq(rows[n - 2].name, "model.embed_positions.weight");
    cr_assert_str_eq(rows[n - 1].name, "model.embed_tokens.weight");
    /* k has one head of four; weights are (out, in) */
    cr_assert_eq(rows[6].dim[0], 4);
    cr_assert_eq(rows[6].dim[1], 8);
    cr_assert_eq(rows[11].role, PARAM_O);
    cr_assert_eq(rows[11].init, INIT_RESIDUAL);
}

Test(block, flops_match_hoffmann_table_a4)
{
    /* FLOPs of a sequence of 2048 tokens by appendix F without embedding and logit terms */
    static const struct {
        int row;
        double flops;
        double ratio;
    } known[] = {
        {2, 929877196800., 1.0250},    {13, 4135248199680., 1.1008},  {17, 7353453772800., 1.0829},
        {25, 14670316437504., 1.0441}, {29, 20220437594112., 1.0329}, {42, 83021046743040., 0.9941},
    };
    for (int i = 0; i < 6; i++) {
        const model_config m = a9(known[i].row);
        flop_counts f;
        block_flops(&f, &m);
        cr_assert_eq(f.hoffmann_a4 * 2048, known[i].flops);
        cr_assert_float_eq(f.hoffmann_a4 / f.six_nd, known[i].ratio, 5e-5);
    }
}

Test(block, flops_of_the_small_shape_add_up_by_hand)
{
    /* r1: 4 layers x (4 C^2 + 8 C^2) products, logits over 512, 256 keys and values per query */
    const model_config m = {.layers = 4,
                            .width = 128,
                            .heads = 4,
                            .head_width = 32,
                            .kv_heads = 4,
                            .ffn = 512,
                            .vocab = 512,
                            .context = 256,
                            .norm = MODEL_LAYERNORM,
                            .positions = POSITIONS_LEARNED,
                            .bias = true,
                            .tied_embeddings = true};
    flop_counts f;
    block_flops(&f, &m);
    const double linear = 4.0 * 12 * 128 * 128, logits = 128.0 * 512,
                 attention = 4.0 * 2 * 128 * 256;
    cr_assert_eq(f.model, 6 * (linear + logits + attention));
    cr_assert_eq(block_param_count(&m), 891648);
    cr_assert_eq(f.six_nd, 6.0 * 891648);
    cr_assert_eq(f.six_nd_nonemb, 6.0 * (891648 - 512 * 128 - 256 * 128));
    cr_assert_eq(f.palm, 6.0 * (891648 - 256 * 128) + 12.0 * 4 * 128 * 256);
}

Test(block, flops_are_six_per_element_of_every_matrix_that_is_multiplied)
{
    /* gated and plain, grouped heads, tied and not; scores and sums beside the matrices */
    for (int bits = 0; bits < 1 << 3; bits++)
        for (int mlp = 0; mlp < 4; mlp++) {
            const model_config m = {.layers = 3,
                                    .width = 24,
                                    .heads = 4,
                                    .head_width = 10,
                                    .kv_heads = bits & 1 ? 4 : 1,
                                    .ffn = 36,
                                    .vocab = 50,
                                    .context = 16,
                                    .positions = POSITIONS_LEARNED,
                                    .mlp = mlp,
                                    .bias = bits & 2,
                                    .tied_embeddings = bits & 4};
            param_row rows[128];
            const int32_t n = block_params(&m, rows, 128);
            int64_t multiplied = m.tied_embeddings ? m.vocab * m.width : 0;
            for (int32_t i = 0; i < n; i++)
                if (rows[i].axes == 2 && rows[i].role < PARAM_POSITIONS)
                    multiplied += rows[i].dim[0] * rows[i].dim[1];
            flop_counts f;
            block_flops(&f, &m);
            const double attention = 12.0 * 3 * 40 * 16;
            cr_assert_eq(f.model, 6.0 * (double)multiplied + attention);
            cr_assert_eq(f.hoffmann_a4, f.model - 6.0 * 50 * 24 + 9.0 * 3 * 4 * 16);
        }
}
