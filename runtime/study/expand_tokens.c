#include "study/expand_cell.h"

#include <inttypes.h>
#include <math.h>

/* One seed at a time: the runs of a trunk belong together. */
static status add_stretch(expansion *e, cell *c, int64_t seed, int32_t *index)
{
    config cfg;
    TRY(expand_cell_config(&cfg, e, c->line));
    TRY(expand_cell_rate(e, &cfg, &cfg.optimizer.learning_rate));
    expand_cell_clean(c->name);
    *index = e->out->count;
    return expand_cell_run(e, c, &cfg, seed, 1);
}

/* The trunk up to each branch point, and a cool-down from each. */
static status expand_trunk(expansion *e, const tree *list, const char *model, int64_t seed)
{
    config cfg;
    const int32_t mark = e->set.count, cells = e->cells;
    int32_t trunk = -1, index;
    int64_t before = 0;
    TRY(expand_shared_config(&cfg, e, list->line));
    const int64_t batch = cfg.train.batch_tokens;
    for (const tree *t = list->child; t; t = t->next, e->cells++) {
        int64_t tokens;
        char text[24];
        const status s = config_integer(&tokens, t->text);
        if (s != OK) return status_prefix(s, "%s:%d: tokens", e->s->path, t->line);
        tokens = (tokens + batch - 1) / batch * batch;
        expand_cell_count(text, (double)tokens);
        const int64_t decay =
            llround(e->s->keys.decay_ratio * (double)tokens / (double)batch) * batch;
        const int64_t branch = tokens - decay;
        if (t == list->child) TRY(expand_cell_ratios(e, &cfg, (double)tokens));
        REQUIRE(decay > 0, ERR_CONFIG,
                "%s:%d: tokens: %s: decay_ratio %g of them is no step of %" PRId64
                " tokens; at least: %g",
                e->s->path, t->line, t->text, e->s->keys.decay_ratio, batch,
                (double)batch / (double)tokens);
        REQUIRE(branch > before, ERR_CONFIG,
                "%s:%d: tokens: %s: its cool-down of %" PRId64 " tokens begins at %" PRId64
                ", which must lie after %" PRId64 "; allowed: ascending, further apart",
                e->s->path, t->line, t->text, decay, branch, before);
        const int32_t inner = e->set.count;
        cell c = {.line = t->line, .role = RUN_TRUNK, .parent = trunk, .trunk = e->trunks};
        (void)snprintf(c.name, sizeof c.name, "%.40s-trunk%s", model, text);
        TRY(settings_add(&e->set, 0, "train.tokens=%" PRId64, branch));
        TRY(settings_add(&e->set, 0, "schedule.name=constant"));
        TRY(settings_add(&e->set, 0, "schedule.decay_tokens=0"));
        TRY(add_stretch(e, &c, seed, &trunk));
        settings_cut(&e->set, inner);
        c.role = RUN_POINT;
        c.parent = trunk;
        (void)snprintf(c.name, sizeof c.name, "%.40s-%s", model, text);
        TRY(settings_add(&e->set, 0, "train.tokens=%" PRId64, tokens));
        TRY(settings_add(&e->set, 0, "schedule.decay_tokens=%" PRId64, decay));
        TRY(add_stretch(e, &c, seed, &index));
        settings_cut(&e->set, inner);
        before = branch;
    }
    e->trunks++;
    e->cells = cells;
    settings_cut(&e->set, mark);
    return OK;
}

/* Separate runs, one for each count. twin: cosine beside a trunk. */
static status expand_separate(expansion *e, const tree *list, const char *model, bool twin)
{
    for (const tree *t = list->child; t; t = t->next) {
        double tokens;
        char text[24];
        const int32_t mark = e->set.count;
        const status s = config_number(&tokens, t->text);
        if (s != OK) return status_prefix(s, "%s:%d: tokens", e->s->path, t->line);
        expand_cell_count(text, tokens);
        cell c = {.line = t->line, .role = twin ? RUN_TWIN : RUN_POINT, .parent = -1, .trunk = -1};
        (void)snprintf(c.name, sizeof c.name, "%.40s-%s%s", model, twin ? "cosine-" : "", text);
        TRY(settings_add(&e->set, t->line, "train.tokens=%s", t->text));
        if (twin) TRY(settings_add(&e->set, 0, "schedule.name=cosine"));
        if (twin) TRY(settings_add(&e->set, 0, "schedule.decay_tokens=0"));
        TRY(expand_cell_runs(e, &c));
        settings_cut(&e->set, mark);
    }
    return OK;
}

static status tokens_of_model(expansion *e, const tree *list, const char *model, bool first)
{
    const study_keys *k = &e->s->keys;
    config cfg;
    const int32_t mark = e->set.count;
    /* the base's own decay may not fit its own tokens: the study sets both */
    TRY(settings_add(&e->set, list->line, "train.tokens=%s", list->last->text));
    const status probe = expand_shared_config(&cfg, e, list->line);
    settings_cut(&e->set, mark);
    TRY(probe);
    const bool wsd = cfg.schedule.name == SCHEDULE_WSD;
    REQUIRE(wsd || !k->cosine_twins, ERR_CONFIG,
            "%s: cosine_twins belong to tokens with schedule.name wsd", e->s->path);
    if (!wsd) return expand_separate(e, list, model, false);
    REQUIRE(k->learning_rate_rule != RATE_SWEEP, ERR_CONFIG,
            "%s: learning_rate_rule: sweep beside trunks; allowed: fixed, size, mup", e->s->path);
    for (int32_t i = 0; i < e->s->seed_count; i++)
        TRY(expand_trunk(e, list, model, e->s->seeds[i]));
    e->cells += list->count;
    if (first && k->cosine_twins) TRY(expand_separate(e, list, model, true));
    return OK;
}

status expand_tokens(expansion *e)
{
    const tree *list, *models = tree_find(e->s->root, "models");
    TRY(expand_cell_values(e, e->s->root, "tokens", &list));
    if (!models) return tokens_of_model(e, list, "d", true);
    TRY(expand_cell_values(e, e->s->root, "models", &models));
    for (const tree *m = models->child; m; m = m->next) {
        const int32_t mark = e->set.count;
        TRY(settings_add(&e->set, m->line, "model=%s", m->text));
        TRY(tokens_of_model(e, list, m->text, m == models->child));
        settings_cut(&e->set, mark);
    }
    return OK;
}
