#include "report/run_points.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What must be equal in all runs: names, and paths into the header of the record. */
enum { SCHEDULE = 6, SAME = 7 };
static const struct {
    const char *name, *path;
} same[SAME] = {{"training data", "train_data.identity"},
                {"validation data", "validation_data.identity"},
                {"tokenizer", "validation_data.tokenizer_sha256"},
                {"context", "config.model.context"},
                {"precision", "config.train.precision"},
                {"optimizer", "config.optimizer.name"},
                [SCHEDULE] = {"schedule", "config.schedule.name"}};

status run_points_same_setting(const run_record *a, const run_record *b, run_points_rules rules)
{
    for (int i = 0; i < SAME; i++) {
        const json_t *x = json_at(a->header, same[i].path), *y = json_at(b->header, same[i].path);
        if ((!x && !y) || json_equal(x, y) || (i == SCHEDULE && rules.any_schedule)) continue;
        char *in_a = json_dumps(x, JSON_ENCODE_ANY), *in_b = json_dumps(y, JSON_ENCODE_ANY);
        const status s =
            status_set(ERR_CONFIG, __FILE__, __LINE__,
                       "%s: %s is %.70s, in %s it is %.70s; one law needs one setting%s", b->folder,
                       same[i].name, in_b ? in_b : "unknown", a->folder, in_a ? in_a : "unknown",
                       i == SCHEDULE ? " (--any-schedule mixes them)" : "");
        free(in_a);
        free(in_b);
        return s;
    }
    return OK;
}

/* The learning rate of the last step is above half of its peak. */
static bool undecayed(const run_record *r)
{
    const double peak = json_number_at(r->header, "config.optimizer.learning_rate");
    return r->steps && r->step[r->steps - 1].learning_rate > 0.5 * peak;
}

/* It ends closer to where it began than to the best it had. */
static bool diverged(const run_record *r, double loss)
{
    double best = loss;
    for (int32_t i = 0; i < r->evals; i++) best = fmin(best, r->eval[i].loss);
    return r->steps && loss > 0.5 * (best + r->step[0].loss);
}

/* A study says which of its runs count. */
static bool no_point(const run_record *r)
{
    return r->role && !json_is_true(json_at(r->role, "point"));
}

/* NULL when this run is a point, else the reason why not. Borrowed text of no run. */
static const char *no_point_because(const run_record *r, run_points_rules rules)
{
    const double unique = json_number_at(r->header, "train_data.tokens");
    const double loss = run_record_val_loss(r), tokens = run_record_tokens(r);
    if (no_point(r)) return "no point of its study";
    if (!run_record_finished(r)) return "unfinished";
    if (!isfinite(loss)) return "no validation loss at the end (diverged or not evaluated)";
    if (!(run_record_params(r) > 0) || !(tokens > 0) || !(loss > 0)) return "damaged summary";
    if (diverged(r, loss)) return "diverged: it ends nearer to its first loss than to its best";
    if (!rules.repeated && tokens > unique) return "repeats its data";
    if (!rules.undecayed && undecayed(r))
        return "its learning rate has not decayed (above half of its peak at the end)";
    return NULL;
}

/* --- points --------------------------------------------------------------- */

static status leave_out(left_out *left, const char *who, const char *reason)
{
    const size_t bytes = strlen(who) + strlen(reason) + 3;
    left->line[left->count] = malloc(bytes);
    REQUIRE(left->line[left->count], ERR_MEMORY, "no memory");
    (void)snprintf(left->line[left->count++], bytes, "%s: %s", who, reason);
    return OK;
}

static void copy(char out[LAW_FILE_TEXT], const char *text)
{
    (void)snprintf(out, LAW_FILE_TEXT, "%s", text);
}

void run_points_origin(law_origin *o, const run_record *r)
{
    *o = (law_origin){0};
    copy(o->data, json_text_at(r->header, "train_data.identity"));
    copy(o->validation_set, json_text_at(r->header, "validation_data.identity"));
    copy(o->tokenizer_sha256, json_text_at(r->header, "validation_data.tokenizer_sha256"));
    copy(o->schedule_class, json_text_at(r->header, "config.schedule.name"));
    copy(o->flop_count, "model");
    const json_t *context = json_at(r->header, "config.model.context");
    o->context = (int32_t)json_integer_value(context);
}

static double known(double x) { return isfinite(x) ? x : 0; }

static double rate_of(const run_record *r)
{
    return log(json_number_at(r->header, "config.optimizer.learning_rate"));
}

/* How the runs that are points were trained: a line through ln rate over ln N, where none of them
 * is far from it and all have one batch, beta2, weight decay and parametrisation. */
static void take_recipe(law_recipe *out, const points *p, const run_record *run)
{
    const double far = log(1.5);
    double mx = 0, my = 0, xx = 0, xy = 0, low = INFINITY, high = 0, init[2] = {INFINITY, 0};
    law_recipe r = {.beta2 = -1};
    *out = r;
    out->beta2 = 0;
    for (int32_t i = 0; i < p->count; i++) {
        const run_record *one = &run[p->row[i].line - 1];
        const double batch = json_number_at(one->header, "config.train.batch_tokens");
        const double beta2 = json_number_at(one->header, "config.optimizer.beta2");
        const double warmup = json_number_at(one->header, "config.schedule.warmup_tokens");
        /* absent in records of before there was muP */
        const double base = known(json_number_at(one->header, "config.model.base_width"));
        const double head = known(json_number_at(one->header, "config.model.base_head_width"));
        const double width = json_number_at(one->header, "config.model.width");
        const double spread =
            json_number_at(one->header, "config.model.init_std") * sqrt(base > 0 ? base : width);
        const double decay = json_number_at(one->header, "config.optimizer.weight_decay");
        if (i && (batch != r.batch_tokens || beta2 != r.beta2 || decay != r.weight_decay)) return;
        if (i && (base != r.base_width || head != r.base_head_width)) return;
        r.batch_tokens = batch, r.beta2 = beta2, r.weight_decay = decay;
        r.base_width = base, r.base_head_width = head;
        init[0] = fmin(init[0], spread), init[1] = fmax(init[1], spread);
        mx += log(p->row[i].params) / p->count;
        my += rate_of(one) / p->count;
        low = fmin(low, warmup / p->row[i].tokens), high = fmax(high, warmup / p->row[i].tokens);
    }
    for (int32_t i = 0; i < p->count; i++) {
        const double x = log(p->row[i].params) - mx;
        xx += x * x;
        xy += x * (rate_of(&run[p->row[i].line - 1]) - my);
    }
    r.exponent = xx > 1e-12 ? xy / xx : 0;
    for (int32_t i = 0; i < p->count; i++) {
        const double at = my + r.exponent * (log(p->row[i].params) - mx);
        if (!(fabs(rate_of(&run[p->row[i].line - 1]) - at) < far)) return;
    }
    r.rate = exp(my), r.params = exp(mx);
    /* whole steps make it differ a little */
    r.warmup_ratio = high - low < 0.01 ? (low + high) / 2 : (double)NAN;
    r.init_scale = init[1] < 1.1 * init[0] ? sqrt(init[0] * init[1]) : (double)NAN;
    if (r.base_width > 0 && !isfinite(r.init_scale)) return;
    if (isfinite(r.rate) && r.batch_tokens >= 1 && r.beta2 >= 0 && r.weight_decay >= 0) *out = r;
}

/* What all models have in common, where they have: else nothing. */
static void take_architecture(law_architecture *out, const points *p, const run_record *run)
{
    static const char *const key[] = {"norm",    "positions",     "mlp", "bias", "tied_embeddings",
                                      "qk_norm", "parallel_block"};
    const json_t *first = json_at(run[p->row[0].line - 1].header, "config.model");
    for (int32_t i = 0; i < p->count; i++) {
        const json_t *model = json_at(run[p->row[i].line - 1].header, "config.model");
        for (size_t k = 0; k < sizeof key / sizeof *key; k++)
            if (!json_equal(json_object_get(model, key[k]), json_object_get(first, key[k]))) return;
    }
    (void)snprintf(out->norm, sizeof out->norm, "%s", json_text_at(first, "norm"));
    (void)snprintf(out->positions, sizeof out->positions, "%s", json_text_at(first, "positions"));
    (void)snprintf(out->mlp, sizeof out->mlp, "%s", json_text_at(first, "mlp"));
    out->bias = json_is_true(json_at(first, "bias"));
    out->tied_embeddings = json_is_true(json_at(first, "tied_embeddings"));
    out->qk_norm = json_is_true(json_at(first, "qk_norm"));
    out->parallel_block = json_is_true(json_at(first, "parallel_block"));
}

/* Branches of one trunk of a study are a group; every other run is its own. */
static int32_t group_of(const run_record *run, int32_t i)
{
    const json_t *trunk = json_at(run[i].role, "trunk");
    for (int32_t j = 0; j < i && json_is_integer(trunk); j++)
        if (run[j].study == run[i].study && json_equal(json_at(run[j].role, "trunk"), trunk))
            return j;
    return i;
}

static status add_run(points *out, const run_record *run, int32_t i)
{
    const run_record *r = &run[i];
    const fit_point row = {.params = run_record_params(r),
                           .tokens = run_record_tokens(r),
                           .loss = run_record_val_loss(r),
                           .flops = known(run_record_flops(r)),
                           .unique = known(json_number_at(r->header, "train_data.tokens")),
                           .params_nonemb = known(run_record_params_nonemb(r)),
                           .group = group_of(run, i),
                           .line = i + 1};
    return points_add(out, &row);
}

status run_points_of(points *out, left_out *left, law_origin *origin, const run_record *run,
                     int32_t runs, run_points_rules rules)
{
    *out = (points){.has_flops = true, .has_unique = true, .has_nonemb = true};
    *left = (left_out){calloc((size_t)runs + 2, sizeof(char *)), 0};
    *origin = (law_origin){0};
    REQUIRE(left->line, ERR_MEMORY, "no memory");
    const run_record *first = NULL;
    int32_t others = 0;
    for (int32_t i = 0; i < runs; i++) {
        const char *reason = no_point_because(&run[i], rules);
        others += no_point(&run[i]);
        if (reason && !no_point(&run[i])) TRY(leave_out(left, run[i].folder, reason));
        if (reason) continue;
        if (!first) first = &run[i];
        TRY(run_points_same_setting(first, &run[i], rules));
        TRY(add_run(out, run, i));
    }
    char count[32];
    (void)snprintf(count, sizeof count, "%d run%s", others, others == 1 ? "" : "s");
    if (others)
        TRY(leave_out(left, count,
                      "no points of their study (they chose learning rates, carry branches, or "
                      "compare)"));
    REQUIRE(out->count > 0, ERR_CONFIG, "none of %d runs is a point: %s", runs,
            left->count ? left->line[0] : "there are none");
    run_points_origin(origin, first);
    take_recipe(&origin->recipe, out, run);
    take_architecture(&origin->architecture, out, run);
    return OK;
}

void run_points_count(points *p, const run_record *run, bool by_budget)
{
    for (int32_t i = 0; i < p->count; i++) {
        const run_record *r = &run[p->row[i].line - 1];
        const double own = by_budget ? json_number_at(r->role, "budget_flops") : (double)NAN;
        p->row[i].flops = isfinite(own) ? own : known(run_record_flops(r));
    }
}

void left_out_deinit(left_out *left)
{
    for (int32_t i = 0; i < left->count; i++) free(left->line[i]);
    free(left->line);
    *left = (left_out){0};
}

/* --- curves --------------------------------------------------------------- */

status run_curves_of(run_curves *out, const run_record *run, int32_t runs)
{
    size_t steps = 0;
    for (int32_t i = 0; i < runs; i++) steps += (size_t)run[i].steps;
    *out = (run_curves){calloc((size_t)runs + 1, sizeof(loss_curve)), 0,
                        calloc(3 * steps + 1, sizeof(double))};
    if (!out->curve || !out->column) {
        run_curves_deinit(out);
        FAIL(ERR_MEMORY, "no memory for the curves of %d runs", runs);
    }
    double *at = out->column;
    for (int32_t i = 0; i < runs; i++) {
        const run_record *r = &run[i];
        double *tokens = at, *flops = at + r->steps, *loss = at + 2 * r->steps;
        at += 3 * (ptrdiff_t)r->steps;
        for (int32_t k = 0; k < r->steps; k++) {
            tokens[k] = r->step[k].tokens;
            flops[k] = r->step[k].flops;
            loss[k] = r->step[k].skipped ? NAN : r->step[k].loss;
        }
        /* a run that has not come far draws no curve */
        if (r->steps < 2 || !(run_record_params(r) > 0)) continue;
        out->curve[out->count++] = (loss_curve){
            run_record_params(r), run_record_params_nonemb(r), r->steps, tokens, flops, loss};
    }
    return OK;
}

void run_curves_deinit(run_curves *c)
{
    free(c->curve);
    free(c->column);
    *c = (run_curves){0};
}
