#include "plan/rules.h"

#include "config/rows.h"

#include <math.h>
#include <string.h>

// clang-format off
#define RULE_FIELDS(I64, F64, TEXT, ENUM, BOOL)                                                     \
    TEXT(source, 160, REQUIRED,             NO, "paper and place")                                   \
    ENUM(status, "read|secondary|recalled|measured", REQUIRED, NO, "how the rule is known")          \
    ENUM(range_status, "read|secondary|recalled|measured", "recalled", NO, "how its range is known") \
    ENUM(count, "total|without_embedding", "total", NO, "which parameters N means")                  \
    F64(learning_rate_factor, 1e-30, 1e30, UNKNOWN, NO, "of the product")                            \
    F64(learning_rate_params, -5, 5, "0",   NO, "exponent of N / unit")                              \
    F64(learning_rate_tokens, -5, 5, "0",   NO, "exponent of D / unit")                              \
    F64(learning_rate_flops,  -5, 5, "0",   NO, "exponent of C / unit")                              \
    F64(batch_factor, 1e-30, 1e30, UNKNOWN, NO, "of the product, tokens")                            \
    F64(batch_params, -5, 5, "0",           NO, "exponent of N / unit")                              \
    F64(batch_tokens, -5, 5, "0",           NO, "exponent of D / unit")                              \
    F64(batch_flops,  -5, 5, "0",           NO, "exponent of C / unit")                              \
    F64(unit_params, 1, 1e30, "1",          NO, "unit of N")                                         \
    F64(unit_tokens, 1, 1e30, "1",          NO, "unit of D")                                         \
    F64(unit_flops,  1, 1e30, "1",          NO, "unit of C")                                         \
    F64(range_params_low,  0, 1e40, UNKNOWN, NO, "fitted on")                                        \
    F64(range_params_high, 0, 1e40, UNKNOWN, NO, "fitted on")                                        \
    F64(range_tokens_low,  0, 1e40, UNKNOWN, NO, "fitted on")                                        \
    F64(range_tokens_high, 0, 1e40, UNKNOWN, NO, "fitted on")                                        \
    F64(range_flops_low,   0, 1e40, UNKNOWN, NO, "fitted on")                                        \
    F64(range_flops_high,  0, 1e40, UNKNOWN, NO, "fitted on")

#define RECIPE_FIELDS(I64, F64, TEXT, ENUM, BOOL)                                                   \
    TEXT(family, 32, REQUIRED,              NO, "rows of one family: the nearest speaks")            \
    TEXT(source, 160, REQUIRED,             NO, "paper and place")                                   \
    ENUM(status, "read|secondary|recalled", REQUIRED, NO, "how the numbers are known")               \
    F64(params, 1, 1e15, REQUIRED,          NO, "parameters of the model")                           \
    F64(learning_rate, 1e-9, 10, REQUIRED,  NO, "peak")                                              \
    F64(batch_tokens, 1, 1e12, REQUIRED,    NO, "tokens of a step, the first where it grows")
// clang-format on

ROWS_STRUCT(rule_row, RULE_FIELDS)
ROWS_KIND(rule_rows, "rule", rule_row, RULE_FIELDS)
ROWS_STRUCT(recipe_row, RECIPE_FIELDS)
ROWS_KIND(recipe_rows, "recipe", recipe_row, RECIPE_FIELDS)

static const char *const statuses[] = {"read", "secondary", "recalled", "measured"};

typedef struct asking {
    rules *out;
    const rule_case *at;
    double distance[RULES_MAX]; /* |ln| between a recipe's N and ours */
} asking;

/* 1.5e9 as "1.5B" */
static void short_count(char out[16], double x)
{
    static const char *const units[] = {"", "K", "M", "B", "T"};
    int u = 0;
    for (; x >= 999.5 && u < 4; u++) x /= 1000;
    if (x >= 1e4)
        (void)snprintf(out, 16, "%.3g", x * pow(1000, u));
    else
        (void)snprintf(out, 16, "%.3g%s", x, units[u]);
}

/* Notes a range in words and whether x lies in it. */
static void add_range(rule_answer *r, const char *what, double low, double high, double x)
{
    char from[16], to[16];
    if (!isfinite(low) || !isfinite(high)) return;
    if (what[0] == 'C') {
        (void)snprintf(from, sizeof from, "%.3g", low);
        (void)snprintf(to, sizeof to, "%.3g", high);
    } else {
        short_count(from, low);
        short_count(to, high);
    }
    const size_t used = strlen(r->range);
    (void)snprintf(r->range + used, sizeof r->range - used, "%s%s %s to %s", used ? ", " : "", what,
                   from, to);
    if (!(x >= low && x <= high)) r->inside = false;
}

/* x, or the end of a range nearest to it; an end that is not known is none. */
static double nearest(double x, double low, double high)
{
    if (isfinite(low) && x < low) return low;
    return isfinite(high) && x > high ? high : x;
}

static double product(const rule_row *in, double n, double tokens, double flops)
{
    return in->learning_rate_factor * pow(n / in->unit_params, in->learning_rate_params) *
           pow(tokens / in->unit_tokens, in->learning_rate_tokens) *
           pow(flops / in->unit_flops, in->learning_rate_flops);
}

/* Outside its range a rule goes on only downwards: a rate too low costs a little loss, one too high
 * the run. Where it would rise, it gives what it says at the nearest point of its range. */
static void take_rate(rule_answer *r, const rule_row *in, double n, const rule_case *at)
{
    r->beyond = product(in, n, at->tokens, at->flops);
    const double edge = product(in, nearest(n, in->range_params_low, in->range_params_high),
                                nearest(at->tokens, in->range_tokens_low, in->range_tokens_high),
                                nearest(at->flops, in->range_flops_low, in->range_flops_high));
    r->capped = edge < r->beyond;
    r->learning_rate = r->capped ? edge : r->beyond;
}

static status take_rule(void *context, const char *place, const char *name, const void *row)
{
    asking *a = context;
    const rule_row *in = row;
    REQUIRE(a->out->count < RULES_MAX, ERR_CONFIG, "%s: more than %d rules", place, RULES_MAX);
    const double n = in->count ? a->at->params_without_embedding : a->at->params;
    const double N = n / in->unit_params, D = a->at->tokens / in->unit_tokens;
    const double C = a->at->flops / in->unit_flops;
    rule_answer *r = &a->out->row[a->out->count++];
    *r = (rule_answer){.inside = true};
    (void)snprintf(r->name, sizeof r->name, "%.47s", name);
    memcpy(r->source, in->source, sizeof r->source);
    (void)snprintf(r->status, sizeof r->status, "%s", statuses[in->status]);
    (void)snprintf(r->range_status, sizeof r->range_status, "%s", statuses[in->range_status]);
    take_rate(r, in, n, a->at);
    r->batch_tokens = in->batch_factor * pow(N, in->batch_params) * pow(D, in->batch_tokens) *
                      pow(C, in->batch_flops);
    add_range(r, "N", in->range_params_low, in->range_params_high, n);
    add_range(r, "D", in->range_tokens_low, in->range_tokens_high, a->at->tokens);
    add_range(r, "C", in->range_flops_low, in->range_flops_high, a->at->flops);
    return OK;
}

/* Of each family the row nearest to N; it holds within a factor of 2. */
static status take_recipe(void *context, const char *place, const char *name, const void *row)
{
    asking *a = context;
    const recipe_row *in = row;
    const double distance = fabs(log(in->params / a->at->params));
    char title[48], size[16];
    (void)name;
    short_count(size, in->params);
    (void)snprintf(title, sizeof title, "%.30s %s", in->family, size);
    const size_t family = strlen(in->family);
    int32_t i = 0;
    while (i < a->out->count &&
           !(a->out->row[i].recipe && strncmp(a->out->row[i].name, in->family, family) == 0))
        i++;
    REQUIRE(i < RULES_MAX, ERR_CONFIG, "%s: more than %d rules", place, RULES_MAX);
    if (i < a->out->count && a->distance[i] <= distance) return OK;
    if (i == a->out->count) a->out->count++;
    rule_answer *r = &a->out->row[i];
    *r = (rule_answer){.learning_rate = in->learning_rate,
                       .batch_tokens = in->batch_tokens,
                       .inside = distance <= log(2),
                       .recipe = true};
    memcpy(r->name, title, sizeof r->name);
    memcpy(r->source, in->source, sizeof r->source);
    (void)snprintf(r->status, sizeof r->status, "%s", statuses[in->status]);
    (void)snprintf(r->range_status, sizeof r->range_status, "%s", statuses[in->status]);
    (void)snprintf(r->range, sizeof r->range, "near its own N");
    a->distance[i] = distance;
    return OK;
}

status rules_ask(rules *out, const rule_case *at)
{
    const row_kind rule = rule_rows(), recipe = recipe_rows();
    asking a = {.out = out, .at = at};
    memset(out, 0, sizeof *out);
    TRY(rows_load("laws/rules", &rule, take_rule, &a));
    TRY(rows_load("laws/recipes", &recipe, take_recipe, &a));
    out->chosen = -1;
    for (int pass = 0; pass < 2 && out->chosen < 0; pass++)
        for (int32_t i = 0; i < out->count && out->chosen < 0; i++) {
            const rule_answer *r = &out->row[i];
            const bool both = isfinite(r->learning_rate) && isfinite(r->batch_tokens);
            if (both && (r->inside || pass == 1)) out->chosen = i;
        }
    REQUIRE(out->chosen >= 0, ERR_CONFIG,
            "laws/rules: no rule gives a learning rate and a batch for this plan");
    for (int i = 0; i < RULE_BRACKET; i++)
        out->bracket[i] = out->row[out->chosen].learning_rate * (i == 0 ? 0.5 : i);
    return OK;
}
