#include "law/published.h"

#include <math.h>
#include <string.h>

#define PF_DAY 8.64e19

/* 44M to 16B parameters, 6e18 to 3e21 FLOPs: Table A9 and the nine budgets */
#define HOFFMANN_RANGE                                                                             \
    .flop_count = "six_nd", .range_params = {44e6, 16.2e9}, .range_flops = {6e18, 3e21}
#define HOFFMANN  "Hoffmann et al. 2022, arXiv 2203.15556, "
#define BESIROGLU "Besiroglu et al. 2024, arXiv 2404.10102, "
#define EPOCH_RANGE                                                                                \
    .flop_count = "six_nd", .range_params = {57.3e6, 16.2e9}, .range_tokens = {8.19e8, 3.18e11},   \
    .range_flops = {6e18, 3e21}

#define MUENNIGHOFF "Muennighoff et al. 2023, arXiv 2305.16264, constants of their repository: "
#define MUENNIGHOFF_RANGE                                                                          \
    .flop_count = "six_nd", .range_params = {7e6, 8.7e9}, .range_tokens = {1e8, 9e11}

const published_law published_laws[] = {
    {.name = "kaplan",
     .source = "Kaplan et al. 2020, arXiv 2001.08361, eq. 1.5 and table 2; lines of section 6",
     .data = "WebText2",
     .form = "kaplan",
     .constant = {6.4e13, 1.8e13, 0.076, 0.103},
     .params = {1.3e9, 0.73, PF_DAY},
     .tokens = {2e10, 0.27, PF_DAY},
     .without_embedding = true,
     .no_pair = true,
     .flop_count = "six_nd_nonemb",
     .range_params = {768, 1.5e9},
     .range_tokens = {2.2e7, 2.3e10},
     .note = "early-stopped runs; 6 N D of the two lines is 1.81 times the budget"},
    {.name = "hoffmann-1",
     .source = HOFFMANN "table 3 (approach 1), a line through its rows",
     .data = "MassiveText",
     .params = {0.099159, 0.4981, 1},
     .tokens = {1.6961, 0.5019, 1},
     .a_interval = {0.488, 0.502},
     HOFFMANN_RANGE,
     .note = "interval: 10th and 90th percentile, as printed"},
    {.name = "hoffmann-2",
     .source = HOFFMANN "table A3 (approach 2), a line through its rows",
     .data = "MassiveText",
     .params = {0.14488, 0.4899, 1},
     .tokens = {1.1528, 0.5100, 1},
     .a_interval = {0.462, 0.534},
     HOFFMANN_RANGE,
     .note = "interval: 10th and 90th percentile, as printed"},
    {.name = "hoffmann-3-table",
     .source = HOFFMANN "table A3 (approach 3), a line through its rows without the misprint",
     .data = "MassiveText",
     .params = {0.53512, 0.4586, 1},
     .tokens = {0.31555, 0.5410, 1},
     .a_interval = {0.454, 0.455},
     HOFFMANN_RANGE,
     .note = "no published constants reproduce this table"},
    {.name = "hoffmann-3",
     .source = HOFFMANN "constants of approach 3 before rounding, from the TeX source",
     .data = "MassiveText",
     .form = "chinchilla",
     .constant = {1.6933736809989528, 406.4010175194737, 410.7228269450398, 0.33917084, 0.2849083},
     .a_interval = {0.454, 0.455},
     HOFFMANN_RANGE,
     .note = "agrees with figure 4, not with table A3; its interval is too narrow"},
    {.name = "hoffmann-3-rounded",
     .source = HOFFMANN "eq. 10, as printed",
     .data = "MassiveText",
     .form = "chinchilla",
     .constant = {1.69, 406.4, 410.7, 0.34, 0.28},
     .a_interval = {0.454, 0.455},
     HOFFMANN_RANGE,
     .note = "rounded: 20 % fewer parameters at 5.76e23 than the constants before rounding"},
    {.name = "besiroglu",
     .source = BESIROGLU "least absolute deviations of 240 points",
     .data = "MassiveText",
     .form = "chinchilla",
     .constant = {1.8168640400416654, 482.0057194215438, 2085.434195928221, 0.34781303, 0.36585412},
     EPOCH_RANGE,
     .note = "the printed row mixes this minimum (A, B, alpha, beta) with huber-refit (E)"},
    {.name = "huber-refit",
     .source = BESIROGLU "their 240 points under Hoffmann's objective, Huber 1e-3",
     .data = "MassiveText",
     .form = "chinchilla",
     .constant = {1.8172181086642936, 477.8259094592067, 2143.4172924231675, 0.3473105, 0.36717243},
     EPOCH_RANGE,
     .note = ""},
    {.name = "muennighoff",
     .source = MUENNIGHOFF "the law of fresh tokens",
     .data = "C4",
     .form = "chinchilla",
     .constant = {1.8691436784054858, 520.8249516599187, 1487.716093782861, 0.3526596, 0.3526596},
     MUENNIGHOFF_RANGE,
     .note = ""},
    {.name = "muennighoff-repeated",
     .source = MUENNIGHOFF "the law of repeated tokens",
     .data = "C4",
     .form = "data-constrained",
     .constant = {1.8691436784054858, 520.8249516599187, 1487.716093782861, 0.3526596, 0.3526596,
                  5.309743, 15.387756},
     MUENNIGHOFF_RANGE,
     .note = "R_N and R_D lie on a flat ridge: other values fit the same runs as well"},
    {.name = "deepseek",
     .source = "DeepSeek-AI 2024, arXiv 2401.02954, eq. 4",
     .data = "DeepSeek's own, in-house",
     .tokens = {5.8316, 0.4757, 1},
     .without_embedding = true,
     .flop_count = "model",
     .range_flops = {1e17, 3e20},
     .note = "its model scale is FLOPs per token, 0.1715 C^0.5243; params here are a sixth of it"},
    {.name = "llama3",
     .source = "Llama team 2024, arXiv 2407.21783, section 3.2.1",
     .data = "Llama 3's own",
     .tokens = {0.299, 0.537, 1},
     .flop_count = "six_nd",
     .range_flops = {6e18, 1e22},
     .note = "tokens are stated; params follow from C = 6 N D"},
};
const int32_t published_laws_count = sizeof published_laws / sizeof published_laws[0];

const published_law *published_find(const char *name)
{
    for (int32_t i = 0; i < published_laws_count; i++)
        if (strcmp(published_laws[i].name, name) == 0) return &published_laws[i];
    return NULL;
}

static double line_at(const published_line *l, double flops)
{
    return l->factor > 0 ? l->factor * pow(flops / l->unit, l->exponent) : NAN;
}

/* Ranges that are not stated (0, 0) hold everything. */
static bool within(const double *range, double x)
{
    return range[1] <= 0 || (x >= range[0] && x <= range[1]);
}

published_optimum published_optimum_of(const published_law *row, double flops)
{
    published_optimum out = {line_at(&row->params, flops), line_at(&row->tokens, flops), false};
    const law *form = row->form ? law_find(row->form) : NULL;
    law_frontier f;
    if (form && law_frontier_of(&f, form, row->constant)) {
        out.params = law_frontier_params(&f, flops);
        out.tokens = law_frontier_tokens(&f, flops);
    }
    if (isnan(out.params)) out.params = flops / (6 * out.tokens);
    out.inside = within(row->range_params, out.params) && within(row->range_tokens, out.tokens) &&
                 within(row->range_flops, flops);
    return out;
}

double published_loss(const published_law *row, law_case at)
{
    const law *form = row->form ? law_find(row->form) : NULL;
    return form ? law_loss(form, row->constant, at, NULL) : NAN;
}
