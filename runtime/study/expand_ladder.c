#include "model/block.h"
#include "study/expand_cell.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

static double count_named(const flop_counts *f, int32_t count)
{
    const double value[] = {f->model, f->six_nd, f->six_nd_nonemb, f->hoffmann_a4};
    return value[count];
}
static const char *const count_names[] = {"model", "six_nd", "six_nd_nonemb", "hoffmann_a4"};

/* One cell of the ladder: as many whole steps as the budget pays for, to the nearest. */
static status ladder_cell(expansion *e, const tree *model, const tree *budget, int32_t count,
                          cell *c)
{
    config cfg;
    flop_counts f;
    char text[24];
    TRY(expand_cell_config(&cfg, e, model->line));
    block_flops(&f, &cfg.model);
    const double batch = (double)cfg.train.batch_tokens, per_token = count_named(&f, count);
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
        const int32_t cells = e->cells;
        e->cells = like.cell_index;
        TRY(expand_cell_run(e, &c, &like.cfg, e->s->seeds[0], factor));
        e->cells = cells;
    }
    return OK;
}

status expand_ladder(expansion *e)
{
    const tree *part = e->s->part, *budgets, *models, *bracket = tree_find(part, "bracket");
    int32_t count = 0, row = 0;
    for (const tree *t = part->child; t; t = t->next) {
        const bool known = strcmp(t->key, "budgets") == 0 || strcmp(t->key, "models") == 0 ||
                           strcmp(t->key, "flop_count") == 0 || strcmp(t->key, "bracket") == 0;
        REQUIRE(known, ERR_CONFIG,
                "%s:%d: isoflop.%.60s: unknown key; allowed: budgets, models, flop_count, bracket",
                e->s->path, t->line, t->key);
        if (strcmp(t->key, "flop_count") != 0) continue;
        while (count < 4 && (t->kind != TREE_TEXT || strcmp(count_names[count], t->text) != 0))
            count++;
        REQUIRE(count < 4, ERR_CONFIG,
                "%s:%d: isoflop.flop_count: allowed: model, six_nd, six_nd_nonemb, hoffmann_a4",
                e->s->path, t->line);
    }
    TRY(expand_cell_values(e, part, "budgets", &budgets));
    TRY(expand_cell_values(e, part, "models", &models));
    REQUIRE(!bracket || e->s->keys.learning_rate_rule != RATE_SWEEP, ERR_CONFIG,
            "%s:%d: isoflop.bracket beside learning_rate_rule: sweep, which tries rates everywhere",
            e->s->path, bracket ? bracket->line : 0);
    if (bracket) TRY(expand_cell_values(e, part, "bracket", &bracket));
    for (const tree *b = budgets->child; b; b = b->next, row++) {
        cell c = {.line = b->line, .parent = -1, .trunk = -1};
        const status s = config_number(&c.budget, b->text);
        if (s != OK) return status_prefix(s, "%s:%d: isoflop.budgets", e->s->path, b->line);
        int32_t column = 0;
        for (const tree *m = models->child; m; m = m->next, column++) {
            const int32_t mark = e->set.count, first = e->out->count;
            const bool corner = (row == 0 || row == budgets->count - 1) &&
                                (column == 0 || column == models->count - 1);
            TRY(settings_add(&e->set, m->line, "model=%s", m->text));
            TRY(ladder_cell(e, m, b, count, &c));
            if (corner) TRY(ladder_bracket(e, bracket, first));
            settings_cut(&e->set, mark);
        }
    }
    return OK;
}
