#include "law/published.h"

#include "config/rows.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

// clang-format off
/* covariance: upper triangle, in the order ln E (e), ln A (a), ln B (b), alpha (x), beta (y) */
#define LAW_FIELDS(I64, F64, TEXT, ENUM, BOOL)                                                                          \
    TEXT(source, 200, REQUIRED,          NO, "paper and place")                                                          \
    TEXT(data,   96, REQUIRED,           NO, "what the losses belong to")                                                \
    TEXT(note,   200, "",                NO, "what a reader must know")                                                  \
    TEXT(form,   32, "",                 NO, "a form of runtime/law/laws.h")                                             \
    ENUM(variable, "params|tokens|flops", "flops", NO, "variable of a form of one variable")                             \
    ENUM(count, "total|without_embedding|flops_per_token", "total", NO, "which parameters N means")                      \
    ENUM(flop_count, "six_nd|six_nd_nonemb|model", "six_nd", NO, "which FLOPs C means")                                  \
    BOOL(pair, "true",                   NO, "N and D of the lines spend the budget together")                           \
    F64(constants_E,       1e-9, 1e9,  UNKNOWN, NO, "constant of the form")                                              \
    F64(constants_A,       1e-9, 1e30, UNKNOWN, NO, "constant of the form")                                              \
    F64(constants_B,       1e-9, 1e30, UNKNOWN, NO, "constant of the form")                                              \
    F64(constants_alpha,   1e-9, 10,   UNKNOWN, NO, "constant of the form")                                              \
    F64(constants_beta,    1e-9, 10,   UNKNOWN, NO, "constant of the form")                                              \
    F64(constants_R_N,     1e-9, 1e30, UNKNOWN, NO, "constant of the form")                                              \
    F64(constants_R_D,     1e-9, 1e30, UNKNOWN, NO, "constant of the form")                                              \
    F64(constants_N_c,     1e-9, 1e40, UNKNOWN, NO, "constant of the form")                                              \
    F64(constants_D_c,     1e-9, 1e40, UNKNOWN, NO, "constant of the form")                                              \
    F64(constants_alpha_N, 1e-9, 10,   UNKNOWN, NO, "constant of the form")                                              \
    F64(constants_alpha_D, 1e-9, 10,   UNKNOWN, NO, "constant of the form")                                              \
    F64(constants_K,       1e-9, 1e40, UNKNOWN, NO, "constant of the form")                                              \
    F64(constants_gamma,   1e-9, 10,   UNKNOWN, NO, "constant of the form")                                              \
    F64(params_factor,     1e-30, 1e30, UNKNOWN, NO, "N = factor (C / unit)^exponent")                                   \
    F64(params_exponent,   0, 2,       "0",     NO, "of that line")                                                      \
    F64(params_unit,       1, 1e30,    "1",     NO, "of that line")                                                      \
    F64(tokens_factor,     1e-30, 1e30, UNKNOWN, NO, "D = factor (C / unit)^exponent")                                   \
    F64(tokens_exponent,   0, 2,       "0",     NO, "of that line")                                                      \
    F64(tokens_unit,       1, 1e30,    "1",     NO, "of that line")                                                      \
    F64(a_interval_low,    0, 2,       UNKNOWN, NO, "of the exponent of N, as printed")                                  \
    F64(a_interval_high,   0, 2,       UNKNOWN, NO, "of the exponent of N, as printed")                                  \
    F64(range_params_low,  0, 1e40,    UNKNOWN, NO, "fitted on")                                                         \
    F64(range_params_high, 0, 1e40,    UNKNOWN, NO, "fitted on")                                                         \
    F64(range_tokens_low,  0, 1e40,    UNKNOWN, NO, "fitted on")                                                         \
    F64(range_tokens_high, 0, 1e40,    UNKNOWN, NO, "fitted on")                                                         \
    F64(range_flops_low,   0, 1e40,    UNKNOWN, NO, "fitted on")                                                         \
    F64(range_flops_high,  0, 1e40,    UNKNOWN, NO, "fitted on")                                                         \
    F64(residual_sd,       0, 10,      UNKNOWN, NO, "spread of ln loss around the law")                                  \
    F64(covariance_ee, -1e6, 1e6, UNKNOWN, NO, "of the parameters") F64(covariance_ea, -1e6, 1e6, UNKNOWN, NO, "of the parameters") \
    F64(covariance_eb, -1e6, 1e6, UNKNOWN, NO, "of the parameters") F64(covariance_ex, -1e6, 1e6, UNKNOWN, NO, "of the parameters") \
    F64(covariance_ey, -1e6, 1e6, UNKNOWN, NO, "of the parameters") F64(covariance_aa, -1e6, 1e6, UNKNOWN, NO, "of the parameters") \
    F64(covariance_ab, -1e6, 1e6, UNKNOWN, NO, "of the parameters") F64(covariance_ax, -1e6, 1e6, UNKNOWN, NO, "of the parameters") \
    F64(covariance_ay, -1e6, 1e6, UNKNOWN, NO, "of the parameters") F64(covariance_bb, -1e6, 1e6, UNKNOWN, NO, "of the parameters") \
    F64(covariance_bx, -1e6, 1e6, UNKNOWN, NO, "of the parameters") F64(covariance_by, -1e6, 1e6, UNKNOWN, NO, "of the parameters") \
    F64(covariance_xx, -1e6, 1e6, UNKNOWN, NO, "of the parameters") F64(covariance_xy, -1e6, 1e6, UNKNOWN, NO, "of the parameters") \
    F64(covariance_yy, -1e6, 1e6, UNKNOWN, NO, "of the parameters")
// clang-format on

ROWS_STRUCT(law_row, LAW_FIELDS)
ROWS_KIND(law_rows, "law", law_row, LAW_FIELDS)

/* The constant called name; not a number where the row does not give it. */
static double constant_of(const law_row *in, const char *name)
{
    const row_kind kind = law_rows();
    char key[64];
    (void)snprintf(key, sizeof key, "constants_%s", name);
    const int32_t i = table_field(&kind.fields, key);
    if (i < 0) return NAN;
    double value;
    memcpy(&value, (const char *)in + kind.fields.fields[i].offset, sizeof value);
    return value;
}

/* What a forecast needs of the row, so that one function makes all intervals. */
static void set_file(published_law *out, const law_row *in)
{
    const double upper[15] = {in->covariance_ee, in->covariance_ea, in->covariance_eb,
                              in->covariance_ex, in->covariance_ey, in->covariance_aa,
                              in->covariance_ab, in->covariance_ax, in->covariance_ay,
                              in->covariance_bb, in->covariance_bx, in->covariance_by,
                              in->covariance_xx, in->covariance_xy, in->covariance_yy};
    law_file *f = &out->file;
    *f = (law_file){.form = out->form, .residual_sd = in->residual_sd, .x = out->x};
    memcpy(f->constant, out->constant, sizeof f->constant);
    memcpy(f->range_params, out->range_params, sizeof f->range_params);
    memcpy(f->range_tokens, out->range_tokens, sizeof f->range_tokens);
    f->origin.without_embedding = out->without_embedding;
    f->has_covariance = out->form && strcmp(out->form->name, "chinchilla") == 0;
    for (int32_t i = 0, k = 0; i < 5 && f->has_covariance; i++)
        for (int32_t j = i; j < 5; j++, k++) {
            f->covariance[i * 5 + j] = f->covariance[j * 5 + i] = upper[k];
            if (!isfinite(upper[k])) f->has_covariance = false;
        }
}

static status law_of_row(published_law *out, const char *place, const char *name, const law_row *in)
{
    static const char *const counts[] = {"six_nd", "six_nd_nonemb", "model"};
    static const points_x variables[] = {X_PARAMS, X_TOKENS, X_FLOPS};
    *out = (published_law){
        .params = {in->params_factor, in->params_exponent, in->params_unit},
        .tokens = {in->tokens_factor, in->tokens_exponent, in->tokens_unit},
        .without_embedding = in->count > 0,
        .per_token = in->count == 2,
        .pair = in->pair,
        .x = variables[in->variable],
        .a_interval = {in->a_interval_low, in->a_interval_high},
        .range_params = {in->range_params_low, in->range_params_high},
        .range_tokens = {in->range_tokens_low, in->range_tokens_high},
        .range_flops = {in->range_flops_low, in->range_flops_high},
    };
    REQUIRE(strlen(name) < sizeof out->name, ERR_CONFIG, "%s: the name is too long", place);
    (void)snprintf(out->name, sizeof out->name, "%s", name);
    memcpy(out->source, in->source, sizeof out->source);
    memcpy(out->data, in->data, sizeof out->data);
    memcpy(out->note, in->note, sizeof out->note);
    (void)snprintf(out->flop_count, sizeof out->flop_count, "%s", counts[in->flop_count]);
    const bool lines = isfinite(in->params_factor) || isfinite(in->tokens_factor);
    REQUIRE(in->form[0] || lines, ERR_CONFIG, "%s: neither a form nor lines", place);
    if (in->form[0]) {
        out->form = law_find(in->form);
        REQUIRE(out->form, ERR_CONFIG, "%s: form: '%s' is not known", place, in->form);
        for (int32_t k = 0; k < out->form->constants; k++) {
            out->constant[k] = constant_of(in, out->form->constant[k]);
            REQUIRE(isfinite(out->constant[k]), ERR_CONFIG, "%s: constants.%s is missing", place,
                    out->form->constant[k]);
        }
    }
    set_file(out, in);
    return OK;
}

/* A place for one more row. */
static status grow(published *p, published_law **out)
{
    if (p->count == p->capacity) {
        const int32_t capacity = p->capacity ? 2 * p->capacity : 16;
        published_law *more = realloc(p->row, (size_t)capacity * sizeof *more);
        REQUIRE(more, ERR_MEMORY, "no memory for the published laws");
        p->row = more;
        p->capacity = capacity;
    }
    *out = &p->row[p->count];
    return OK;
}

static status take_row(void *context, const char *place, const char *name, const void *row)
{
    published *p = context;
    published_law *out = NULL;
    TRY(grow(p, &out));
    TRY(law_of_row(out, place, name, row));
    p->count++;
    return OK;
}

status published_read(published *out)
{
    const row_kind kind = law_rows();
    *out = (published){0};
    return rows_load("laws/published", &kind, take_row, out);
}

status published_parse(published *out, const char *path, const char *bytes, int64_t size)
{
    const row_kind kind = law_rows();
    *out = (published){0};
    return rows_parse(path, bytes, size, &kind, take_row, out);
}

status published_add(published *p, const char *name, const law_file *file)
{
    published_law *out = NULL;
    TRY(grow(p, &out));
    const bool lines = !file->form->log_loss;
    *out = (published_law){.form = lines ? NULL : file->form,
                           .params = {NAN, 0, 1},
                           .tokens = {NAN, 0, 1},
                           .without_embedding = file->origin.without_embedding,
                           .pair = true,
                           .x = file->x,
                           .a_interval = {NAN, NAN},
                           .fitted = true,
                           .file = *file};
    const char *slash = strrchr(name, '/');
    (void)snprintf(out->name, sizeof out->name, "%.47s", slash ? slash + 1 : name);
    (void)snprintf(out->source, sizeof out->source, "%.120s",
                   file->origin.source[0] ? file->origin.source : "a law file");
    (void)snprintf(out->data, sizeof out->data, "%.95s",
                   file->origin.data[0] ? file->origin.data : "not said");
    /* a surface is minimised along 6 N D; lines were drawn over the FLOPs of their runs */
    (void)snprintf(out->flop_count, sizeof out->flop_count, "%.23s",
                   lines && file->origin.flop_count[0] ? file->origin.flop_count
                   : out->without_embedding            ? "six_nd_nonemb"
                                                       : "six_nd");
    published_set(out, file->constant);
    memcpy(out->range_params, file->range_params, sizeof out->range_params);
    memcpy(out->range_tokens, file->range_tokens, sizeof out->range_tokens);
    memcpy(out->range_flops, file->range_flops, sizeof out->range_flops);
    p->count++;
    return OK;
}

void published_set(published_law *row, const double *constant)
{
    if (row->form) {
        memcpy(row->constant, constant, (size_t)row->form->constants * sizeof *constant);
        return;
    }
    row->params = (published_line){constant[0], constant[1], 1};
    row->tokens = (published_line){constant[2], constant[3], 1};
}

void published_deinit(published *p)
{
    free(p->row);
    *p = (published){0};
}

const published_law *published_find(const published *p, const char *name)
{
    for (int32_t i = 0; i < p->count; i++)
        if (strcmp(p->row[i].name, name) == 0) return &p->row[i];
    return NULL;
}

static double line_at(const published_line *l, double flops)
{
    return l->factor * pow(flops / l->unit, l->exponent);
}

/* What is not known counts as inside. */
static bool within(const double *range, double x)
{
    return !isfinite(x) || !isfinite(range[1]) || (x >= range[0] && x <= range[1]);
}

bool published_inside(const published_law *row, double params, double tokens, double flops)
{
    return within(row->range_params, params) && within(row->range_tokens, tokens) &&
           within(row->range_flops, flops);
}

published_optimum published_optimum_of(const published_law *row, double flops)
{
    published_optimum out = {line_at(&row->params, flops), line_at(&row->tokens, flops), false};
    law_frontier f;
    if (row->form && law_frontier_of(&f, row->form, row->constant)) {
        out.params = law_frontier_params(&f, flops);
        out.tokens = law_frontier_tokens(&f, flops);
    }
    if (!isfinite(out.params) && isfinite(out.tokens)) out.params = flops / (6 * out.tokens);
    out.inside = published_inside(row, out.params, out.tokens, flops);
    return out;
}

double published_loss(const published_law *row, law_case at)
{
    if (!row->form) return NAN;
    if (row->form->needs & LAW_OF_X) {
        const double spent = at.x > 0 ? at.x : 6 * at.params * at.tokens;
        at.x = row->x == X_PARAMS ? at.params : row->x == X_TOKENS ? at.tokens : spent;
        if (!(at.x > 0)) return NAN;
    } else if (((row->form->needs & LAW_OF_PARAMS) && !(at.params > 0)) ||
               ((row->form->needs & LAW_OF_TOKENS) && !(at.tokens > 0)))
        return NAN;
    return law_loss(row->form, row->constant, at, NULL);
}
