#include "model/block.h"
#include "study/expand_cell.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

/* What the mapping isoflop says beside its two lists. */
typedef struct ladder {
    const tree *budgets, *models, *bracket;
    int32_t count;   /* of the FLOPs                                    */
    double range[2]; /* tokens for each parameter of the cells that run */
} ladder;

/* One cell of the ladder: as many whole steps as the budget pays for, to the nearest. */
static status ladder_cell(expansion *e, const tree *model, const tree *budget, const ladder *l,
                          cell *c)
{
    config cfg;
    char text[24];
    TRY(expand_cell_config(&cfg, e, model->line));
    const double batch = (double)cfg.train.batch_tokens, per_token = expand_flops(&cfg, l->count);
    const double ratio = c->budget / per_token / (double)block_param_count(&cfg.model);
    if (ratio < l->range[0] || ratio > l->range[1]) return OK;
    const double steps = round(c->budget / per_token / batch);
    REQUIRE(steps >= 1, ERR_CONFIG,
            "%s:%d: isoflop.budgets: %s FLOPs pay for %.0f tokens of %s, less than one step of "
            "%" PRId64 "; at least %.3g",
            e->s->path, budget->line, budget->text, c->budget / per_token, model->text,
            cfg.train.batch_tokens, per_token * batch);
    REQUIRE(steps * batch < 9e18, ERR_CONFIG, "%s:%d: isoflop.budgets: %s is too large", e->s->path,
            budget->line, budget->text);
    expand_cell_count(text, c->budget);
    (void)snprintf(c->name, sizeof c->name, "c%s-%.60s", text, model->text);
    TRY(settings_add(&e->set, budget->line, "train.tokens=%.0f", steps * batch));
    return expand_cell_runs(e, c);
}

/* Corner cells again at other learning rates. */
static status ladder_bracket(expansion *e, const tree *factors, int32_t first)
{
    for (const tree *t = factors ? factors->child : NULL; t; t = t->next) {
        double factor;
        const status s = config_number(&factor, t->text);
        if (s != OK) return status_prefix(s, "%s:%d: isoflop.bracket", e->s->path, t->line);
        REQUIRE(factor > 0 && factor != 1, ERR_CONFIG,
                "%s:%d: isoflop.bracket: %s; allowed: above 0 and not 1", e->s->path, t->line,
                t->text);
        cell c = {.line = t->line, .role = RUN_BRACKET, .parent = -1, .trunk = -1};
        const study_run like = e->out->run[first];
        (void)snprintf(c.name, sizeof c.name, "%s", like.cell);
        c.budget = like.budget;
        c.flop_count = like.flop_count;
        const int32_t cells = e->cells;
        e->cells = like.cell_index;
        TRY(expand_cell_run(e, &c, &like.cfg, e->s->seeds[0], factor));
        e->cells = cells;
    }
    return OK;
}

static status ladder_count(const expansion *e, const tree *t, int32_t *count)
{
    for (*count = 0; t && *count < FLOP_COUNTS; ++*count)
        if (t->kind == TREE_TEXT && strcmp(expand_flops_name(*count), t->text) == 0) break;
    REQUIRE(*count < FLOP_COUNTS, ERR_CONFIG,
            "%s:%d: flop_count: allowed: model, six_nd, six_nd_nonemb, hoffmann_a4", e->s->path,
            t ? t->line : 0);
    return OK;
}

static status ladder_range(const expansion *e, const tree *t, double range[2])
{
    range[0] = 0;
    range[1] = INFINITY;
    if (!t) return OK;
    REQUIRE(t->kind == TREE_LIST && t->count == 2, ERR_CONFIG,
            "%s:%d: isoflop.tokens_per_param: allowed: [LOW, HIGH]", e->s->path, t->line);
    for (int32_t i = 0; i < 2; i++) {
        const tree *c = i ? t->last : t->child;
        const status s = c->kind == TREE_TEXT
                             ? config_number(&range[i], c->text)
                             : status_set(ERR_CONFIG, __FILE__, __LINE__, "not a number");
        if (s != OK)
            return status_prefix(s, "%s:%d: isoflop.tokens_per_param", e->s->path, c->line);
    }
    REQUIRE(range[0] >= 0 && range[1] > range[0], ERR_CONFIG,
            "%s:%d: isoflop.tokens_per_param: allowed: 0 <= LOW < HIGH", e->s->path, t->line);
    return OK;
}

static status ladder_read(ladder *l, const expansion *e)
{
    static const char *const known[] = {"budgets", "models", "flop_count", "bracket",
                                        "tokens_per_param"};
    const tree *part = e->s->part;
    for (const tree *t = part->child; t; t = t->next) {
        int32_t k = 0;
        while (k < 5 && strcmp(t->key, known[k]) != 0) k++;
        REQUIRE(k < 5, ERR_CONFIG,
                "%s:%d: isoflop.%.60s: unknown key; allowed: budgets, models, flop_count, bracket, "
                "tokens_per_param",
                e->s->path, t->line, t->key);
    }
    l->bracket = tree_find(part, "bracket");
    TRY(ladder_count(e, e->count ? e->count : tree_find(part, "flop_count"), &l->count));
    TRY(ladder_range(e, tree_find(part, "tokens_per_param"), l->range));
    TRY(expand_cell_values(e, part, "budgets", &l->budgets));
    TRY(expand_cell_values(e, part, "models", &l->models));
    REQUIRE(!l->bracket || e->s->keys.learning_rate_rule != RATE_SWEEP, ERR_CONFIG,
            "%s:%d: isoflop.bracket beside learning_rate_rule: sweep, which tries rates everywhere",
            e->s->path, l->bracket ? l->bracket->line : 0);
    return l->bracket ? expand_cell_values(e, part, "bracket", &l->bracket) : OK;
}

/* All sizes at one budget; the first and last of them that run are corners where `edge` is. */
static status ladder_budget(expansion *e, const ladder *l, const tree *budget, bool edge)
{
    cell c = {.line = budget->line, .flop_count = l->count, .parent = -1, .trunk = -1};
    const int32_t before = e->out->count;
    int32_t first = -1, last = -1;
    const status s = config_number(&c.budget, budget->text);
    if (s != OK) return status_prefix(s, "%s:%d: isoflop.budgets", e->s->path, budget->line);
    for (const tree *m = l->models->child; m; m = m->next) {
        const int32_t mark = e->set.count, at = e->out->count;
        TRY(settings_add(&e->set, m->line, "model=%s", m->text));
        TRY(ladder_cell(e, m, budget, l, &c));
        settings_cut(&e->set, mark);
        if (e->out->count == at) continue;
        if (first < 0) first = at;
        last = at;
    }
    REQUIRE(e->out->count > before, ERR_CONFIG,
            "%s:%d: isoflop.tokens_per_param: leaves no model at budget %s", e->s->path,
            budget->line, budget->text);
    if (edge) TRY(ladder_bracket(e, l->bracket, first));
    return edge && last != first ? ladder_bracket(e, l->bracket, last) : OK;
}

status expand_ladder(expansion *e)
{
    ladder l;
    TRY(ladder_read(&l, e));
    for (const tree *b = l.budgets->child; b; b = b->next)
        TRY(ladder_budget(e, &l, b, b == l.budgets->child || b == l.budgets->last));
    return OK;
}
