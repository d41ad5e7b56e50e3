#include "law/laws.h"

#include "law/vector.h"

#include <math.h>
#include <string.h>

#define SURFACE (LAW_OF_PARAMS | LAW_OF_TOKENS)

const law laws[] = {
    {"chinchilla",
     "L = E + A / N^alpha + B / D^beta",
     5,
     SURFACE,
     {"E", "A", "B", "alpha", "beta"},
     {true, true, true},
     chinchilla_log_loss,
     chinchilla_start},
    {"data-constrained",
     "L = E + A / N'^alpha + B / D'^beta, N' and D' of repeated data",
     7,
     SURFACE | LAW_OF_UNIQUE,
     {"E", "A", "B", "alpha", "beta", "R_N", "R_D"},
     {true, true, true, false, false, true, true},
     constrained_log_loss,
     constrained_start},
    {"kaplan",
     "L = ((N_c / N)^(alpha_N / alpha_D) + D_c / D)^alpha_D",
     4,
     SURFACE,
     {"N_c", "D_c", "alpha_N", "alpha_D"},
     {true, true},
     kaplan_log_loss,
     kaplan_start},
    {"kaplan-params",
     "L = (N_c / N)^alpha_N",
     2,
     LAW_OF_PARAMS,
     {"N_c", "alpha_N"},
     {true},
     power_log_loss,
     power_start},
    {"kaplan-tokens",
     "L = (D_c / D)^alpha_D",
     2,
     LAW_OF_TOKENS,
     {"D_c", "alpha_D"},
     {true},
     power_log_loss,
     power_start},
    {"power",
     "L = (K / x)^gamma",
     2,
     LAW_OF_X,
     {"K", "gamma"},
     {true},
     power_log_loss,
     power_start},
    {"power-offset",
     "L = E + (K / x)^gamma",
     3,
     LAW_OF_X,
     {"K", "gamma", "E"},
     {true, false, true},
     power_log_loss,
     power_start},
    {"bnsl",
     "L = a + b x^-c0 (1 + (x / d1)^(1 / f1))^(-c1 f1)",
     6,
     LAW_OF_X,
     {"a", "b", "c0", "c1", "d1", "f1"},
     {true, true, false, false, true, true},
     bnsl_log_loss,
     bnsl_start},
    {"bnsl-2",
     "as bnsl, with two breaks",
     9,
     LAW_OF_X,
     {"a", "b", "c0", "c1", "d1", "f1", "c2", "d2", "f2"},
     {true, true, false, false, true, true, false, true, true},
     bnsl_log_loss,
     bnsl_start},
    {"bnsl-3",
     "as bnsl, with three breaks",
     12,
     LAW_OF_X,
     {"a", "b", "c0", "c1", "d1", "f1", "c2", "d2", "f2", "c3", "d3", "f3"},
     {true, true, false, false, true, true, false, true, true, false, true, true},
     bnsl_log_loss,
     bnsl_start},
};
const int32_t laws_count = sizeof laws / sizeof laws[0];

#define BEST_SIZES                                                                                 \
    "N = kN C^a, D = kD C^b", 4, 0, {"kN", "a", "kD", "b"}, { true, false, true }

const law law_lines[LAW_LINES] = {
    {"approach-1", BEST_SIZES, NULL, NULL},
    {"approach-2", BEST_SIZES, NULL, NULL},
};

static const law *find(const law *rows, int32_t count, const char *name)
{
    for (int32_t i = 0; i < count; i++)
        if (strcmp(rows[i].name, name) == 0) return &rows[i];
    return NULL;
}

const law *law_find(const char *name) { return find(laws, laws_count, name); }

const law *law_lines_find(const char *name) { return find(law_lines, LAW_LINES, name); }

int32_t law_constant(const law *form, const char *name)
{
    for (int32_t k = 0; k < form->constants; k++)
        if (strcmp(form->constant[k], name) == 0) return k;
    return -1;
}

void law_to_parameters(const law *form, const double *constant, double *parameter)
{
    for (int32_t k = 0; k < form->constants; k++)
        parameter[k] = form->logarithm[k] ? log(constant[k]) : constant[k];
}

void law_to_constants(const law *form, const double *parameter, double *constant)
{
    for (int32_t k = 0; k < form->constants; k++)
        constant[k] = form->logarithm[k] ? exp(parameter[k]) : parameter[k];
}

double law_loss(const law *form, const double *constant, law_case at, double *slope)
{
    /* one point, padded as the forms expect it */
    double column[5][LANES], value[LANES], slopes[LAW_CONSTANTS * LANES];
    double parameter[LAW_CONSTANTS], zeros[LANES] = {0};
    const double fields[5] = {at.params, at.tokens, at.unique > 0 ? at.unique : at.tokens, at.x, 1};
    for (int i = 0; i < 5; i++)
        for (int j = 0; j < LANES; j++) column[i][j] = fields[i] > 0 ? log(fields[i]) : 0;
    const law_points one = {1, LANES, column[0], column[1], column[2], column[3], column[4], zeros};
    law_to_parameters(form, constant, parameter);
    form->log_loss(form, &one, parameter, value, slope ? slopes : NULL);
    for (int32_t k = 0; slope && k < form->constants; k++) slope[k] = slopes[k * LANES];
    return exp(value[0]);
}

bool law_frontier_of(law_frontier *out, const law *form, const double *constant)
{
    const int32_t A = law_constant(form, "A"), B = law_constant(form, "B");
    const int32_t alpha = law_constant(form, "alpha"), beta = law_constant(form, "beta");
    if (A < 0 || B < 0 || alpha < 0 || beta < 0) return false;
    /* Hoffmann et al. 2022, eq. 4 */
    const double sum = constant[alpha] + constant[beta];
    out->a = constant[beta] / sum;
    out->b = constant[alpha] / sum;
    out->G = pow(constant[alpha] * constant[A] / (constant[beta] * constant[B]), 1 / sum);
    return true;
}

double law_frontier_params(const law_frontier *f, double flops)
{
    return f->G * pow(flops / 6, f->a);
}

double law_frontier_tokens(const law_frontier *f, double flops)
{
    return pow(flops / 6, f->b) / f->G;
}
