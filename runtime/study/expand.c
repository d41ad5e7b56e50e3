#include "study/expand.h"

#include "model/block.h"
#include "study/settings.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { PATH_TEXT = 1024 };

/* Where in the file a cell comes from, and what it is called. */
typedef struct cell {
    int32_t line;
    char name[96], arm[STUDY_NAME], row[STUDY_NAME], also[STUDY_NAME], scale[STUDY_NAME];
    run_role role;
    double budget;
    int32_t parent, trunk;
} cell;

typedef struct expansion {
    const study *s;
    study_runs *out;
    settings set;
    const char *variant; /* "" none */
    char model[96];      /* of the cell being made, "" as the base says */
    int32_t cells, trunks;
    double base_params; /* of the base's model; 0 not asked yet */
} expansion;

int64_t expand_steps(const config *cfg)
{
    return (cfg->train.tokens + cfg->train.batch_tokens - 1) / cfg->train.batch_tokens;
}

/* --- names ------------------------------------------------------------------------------------ */

/* Only what is safe in a file name on every system. */
static void clean_name(char *name)
{
    for (char *c = name; *c; c++) {
        const bool kept = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') ||
                          (*c >= '0' && *c <= '9') || strchr("._-+", *c);
        if (!kept || (c == name && (*c == '-' || *c == '.'))) *c = '_';
    }
}

/* 1e12 -> "1e12", 2500000 -> "2.5M" */
static void count_text(char out[24], double value)
{
    static const char unit[] = " KMBT";
    int i = 0;
    if (value >= 1e15 || fmod(value, 1) != 0) {
        (void)snprintf(out, 24, "%.3g", value);
        return;
    }
    while (i < 4 && value >= 1000) value /= 1000, i++;
    (void)snprintf(out, 24, i ? "%.4g%c" : "%.0f", value, unit[i]);
}

/* --- one cell ----------------------------------------------------------------------------------
 */

static status load_config(config *cfg, const expansion *e, int32_t line)
{
    const status s =
        config_load(cfg, e->s->keys.base, e->set.count, (const char *const *)e->set.text);
    if (s == OK) return OK;
    /* the line of the override that the message names */
    const char *text = status_message();
    for (int32_t i = e->set.count - 1; i >= 0; i--) {
        char quoted[PATH_TEXT];
        (void)snprintf(quoted, sizeof quoted, "override '%.400s'", e->set.text[i]);
        if (e->set.line[i] == 0 || strncmp(text, quoted, strlen(quoted)) != 0) continue;
        return status_prefix(s, "%s:%d", e->s->path, e->set.line[i]);
    }
    return status_prefix(s, "%s:%d", e->s->path, line);
}

/* The keys that depend on other keys, whole steps each. */
static status set_ratios(expansion *e, const config *cfg, double tokens)
{
    const double batch = (double)cfg->train.batch_tokens;
    if (e->s->keys.warmup_ratio > 0)
        TRY(settings_add(&e->set, 0, "schedule.warmup_tokens=%.0f",
                         round(e->s->keys.warmup_ratio * tokens / batch) * batch));
    return OK;
}

static status rate_of(const expansion *e, const config *cfg, double *rate)
{
    *rate = cfg->optimizer.learning_rate;
    if (e->s->keys.learning_rate_rule != RATE_SIZE) return OK;
    /* Porian et al. 2024: learning rate ~ N^(-1/3); N of the base has the base's rate */
    *rate *= pow((double)block_param_count(&cfg->model) / e->base_params, -1.0 / 3.0);
    return OK;
}

static status add_run(expansion *e, const cell *c, const config *cfg, int64_t seed, double factor)
{
    study_runs *r = e->out;
    REQUIRE(r->count < STUDY_RUNS_MAX, ERR_CONFIG,
            "%s:%d: more than %d runs; make the grid smaller or use fewer seeds", e->s->path,
            c->line, STUDY_RUNS_MAX);
    if (r->count == r->capacity) {
        const int32_t capacity = 2 * r->capacity + 16;
        study_run *more = realloc(r->run, (size_t)capacity * sizeof *more);
        REQUIRE(more, ERR_MEMORY, "no memory for %d runs", capacity);
        r->run = more;
        r->capacity = capacity;
    }
    study_run *run = &r->run[r->count];
    *run = (study_run){.role = c->role,
                       .cell_index = e->cells,
                       .parent = c->parent,
                       .trunk = c->trunk,
                       .seed = seed,
                       .factor = factor,
                       .budget = c->budget,
                       .cfg = *cfg};
    (void)snprintf(run->cell, sizeof run->cell, "%s", c->name);
    (void)snprintf(run->arm, sizeof run->arm, "%s", c->arm);
    (void)snprintf(run->row, sizeof run->row, "%s", c->row);
    (void)snprintf(run->also, sizeof run->also, "%s", c->also);
    (void)snprintf(run->scale, sizeof run->scale, "%s", c->scale);
    (void)snprintf(run->variant, sizeof run->variant, "%.31s", e->variant);
    char text[160];
    const int n = factor == 1
                      ? snprintf(text, sizeof text, "%s-s%" PRId64, c->name, seed)
                      : snprintf(text, sizeof text, "%s-x%.4g-s%" PRId64, c->name, factor, seed);
    REQUIRE(n > 0 && (size_t)n < sizeof run->name, ERR_CONFIG,
            "%s:%d: the run's name '%.100s' is longer than %zu bytes; give shorter names",
            e->s->path, c->line, text, sizeof run->name - 1);
    memcpy(run->name, text, (size_t)n + 1);
    memcpy(run->cfg.run.name, text, (size_t)n + 1);
    double rate = cfg->optimizer.learning_rate * factor;
    REQUIRE(rate <= 10, ERR_CONFIG, "%s:%d: learning rate %g is above 10", e->s->path, c->line,
            rate);
    run->cfg.optimizer.learning_rate = rate;
    run->cfg.train.seed = seed;
    /* a synthetic source's seed is the source: runs must share it */
    if (cfg->data.synthetic == SYNTHETIC_NONE) run->cfg.data.seed = seed;
    flop_counts f;
    block_flops(&f, &cfg->model);
    run->params = block_param_count(&cfg->model);
    run->params_without_embedding = block_param_count_without_embedding(&cfg->model);
    run->flops = f.model * (double)(expand_steps(cfg) * cfg->train.batch_tokens);
    run->own_flops = run->flops;
    if (c->parent >= 0) run->own_flops -= r->run[c->parent].flops;
    r->count++;
    return OK;
}

/* Loads the config that the settings describe and makes the cell's runs. */
static status add_cell(expansion *e, cell *c)
{
    config cfg;
    const int32_t mark = e->set.count;
    TRY(load_config(&cfg, e, c->line));
    TRY(set_ratios(e, &cfg, (double)(expand_steps(&cfg) * cfg.train.batch_tokens)));
    if (e->set.count > mark) TRY(load_config(&cfg, e, c->line));
    TRY(rate_of(e, &cfg, &cfg.optimizer.learning_rate));
    REQUIRE(cfg.train.batch_tokens / (cfg.train.micro_batch * cfg.model.context) >=
                e->s->keys.ranks_per_run,
            ERR_CONFIG,
            "%s:%d: %s: a step has %" PRId64 " micro-batches, fewer than ranks_per_run (%" PRId64
            ")",
            e->s->path, c->line, c->name,
            cfg.train.batch_tokens / (cfg.train.micro_batch * cfg.model.context),
            e->s->keys.ranks_per_run);
    if (*e->variant && c->role != RUN_TRUNK) {
        char name[sizeof c->name];
        const int n = snprintf(name, sizeof name, "%.31s-%.60s", e->variant, c->name);
        REQUIRE(n > 0 && (size_t)n < sizeof name, ERR_CONFIG, "%s:%d: the name is too long",
                e->s->path, c->line);
        memcpy(c->name, name, sizeof name);
    }
    clean_name(c->name);
    const study *s = e->s;
    if (s->keys.learning_rate_rule == RATE_SWEEP) {
        c->role = RUN_SWEEP;
        for (int32_t f = 0; f < s->factor_count; f++)
            TRY(add_run(e, c, &cfg, s->seeds[0], s->factors[f]));
    } else {
        for (int32_t i = 0; i < s->seed_count; i++) TRY(add_run(e, c, &cfg, s->seeds[i], 1));
    }
    e->cells++;
    settings_cut(&e->set, mark);
    return OK;
}

/* --- the modes ---------------------------------------------------------------------------------
 */

/* A tag of a run in the list: short text. */
static status take_tag(const expansion *e, const tree *item, const char *key, char *out,
                       size_t bytes)
{
    const tree *t = tree_find(item, key);
    out[0] = '\0';
    if (!t) return OK;
    REQUIRE(t->kind == TREE_TEXT && strlen(t->text) < bytes, ERR_CONFIG,
            "%s:%d: %s: allowed: one word of at most %zu bytes", e->s->path, t->line, key,
            bytes - 1);
    (void)snprintf(out, bytes, "%s", t->text);
    return OK;
}

static status expand_list(expansion *e)
{
    static const char *const tags[] = {"name", "arm", "row", "also", "scale", NULL};
    const char *wanted = e->s->keys.scale;
    int32_t number = 0;
    bool found = false;
    for (const tree *t = e->s->part->child; t; t = t->next) {
        cell c = {.line = t->line, .parent = -1, .trunk = -1};
        number++;
        REQUIRE(t->kind == TREE_MAP, ERR_CONFIG,
                "%s:%d: runs: %s; allowed: {name, arm, row, also, "
                "scale, and keys of the run config}",
                e->s->path, t->line, tree_kind_name(t));
        TRY(take_tag(e, t, "arm", c.arm, sizeof c.arm));
        TRY(take_tag(e, t, "row", c.row, sizeof c.row));
        TRY(take_tag(e, t, "also", c.also, sizeof c.also));
        TRY(take_tag(e, t, "scale", c.scale, sizeof c.scale));
        TRY(take_tag(e, t, "name", c.name, 64));
        if (*wanted && strcmp(c.scale, wanted) != 0) continue;
        found = true;
        const char *part[] = {c.scale, c.row, c.arm};
        for (int i = 0; i < 3 && !tree_find(t, "name"); i++) {
            const size_t used = strlen(c.name);
            if (*part[i])
                (void)snprintf(c.name + used, sizeof c.name - used, "%s%s", used ? "-" : "",
                               part[i]);
        }
        if (!*c.name) (void)snprintf(c.name, sizeof c.name, "run-%d", number);
        const int32_t mark = e->set.count;
        TRY(settings_add_map(&e->set, e->s->path, t, tags));
        TRY(add_cell(e, &c));
        settings_cut(&e->set, mark);
    }
    REQUIRE(found, ERR_CONFIG, "%s: scale: '%s' is none of the runs'", e->s->path, wanted);
    return OK;
}

/* Every combination of the values of axis and the axes after it. */
static status expand_grid(expansion *e, const tree *axis, const char *name)
{
    if (!axis) {
        cell c = {.line = e->s->part->line, .parent = -1, .trunk = -1};
        (void)snprintf(c.name, sizeof c.name, "%s", name);
        return add_cell(e, &c);
    }
    REQUIRE(axis->kind == TREE_LIST && axis->count > 0, ERR_CONFIG,
            "%s:%d: grid.%s: allowed: a list of at least one value", e->s->path, axis->line,
            axis->key);
    const char *dot = strrchr(axis->key, '.');
    for (const tree *v = axis->child; v; v = v->next) {
        char longer[160];
        REQUIRE(v->kind == TREE_TEXT, ERR_CONFIG, "%s:%d: grid.%s: %s; allowed: one value",
                e->s->path, v->line, axis->key, tree_kind_name(v));
        const int n =
            strcmp(axis->key, "model") == 0
                ? snprintf(longer, sizeof longer, "%s%s%s", name, *name ? "-" : "", v->text)
                : snprintf(longer, sizeof longer, "%s%s%s-%s", name, *name ? "-" : "",
                           dot ? dot + 1 : axis->key, v->text);
        REQUIRE(
            n > 0 && n < 88, ERR_CONFIG,
            "%s:%d: the run's name '%.60s...' would be longer than 88 bytes; use runs with names",
            e->s->path, v->line, longer);
        const int32_t mark = e->set.count;
        TRY(settings_add(&e->set, v->line, "%s=%s", axis->key, v->text));
        TRY(expand_grid(e, axis->next, longer));
        settings_cut(&e->set, mark);
    }
    return OK;
}

/* The size of a list of `key`, which must be a list of single values. */
static status value_list(const expansion *e, const tree *map, const char *key, const tree **out)
{
    const tree *t = tree_find(map, key);
    REQUIRE(t && t->kind == TREE_LIST && t->count > 0, ERR_CONFIG,
            "%s:%d: %s: allowed: a list of at least one value", e->s->path,
            t ? t->line : e->s->part->line, key);
    for (const tree *c = t->child; c; c = c->next)
        REQUIRE(c->kind == TREE_TEXT, ERR_CONFIG, "%s:%d: %s: %s; allowed: one value", e->s->path,
                c->line, key, tree_kind_name(c));
    *out = t;
    return OK;
}

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
    TRY(load_config(&cfg, e, model->line));
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
    count_text(text, c->budget);
    (void)snprintf(c->name, sizeof c->name, "c%s-%.60s", text, model->text);
    TRY(settings_add(&e->set, budget->line, "train.tokens=%.0f", steps * batch));
    return add_cell(e, c);
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
        TRY(add_run(e, &c, &like.cfg, e->s->seeds[0], factor));
        e->cells = cells;
    }
    return OK;
}

static status expand_ladder(expansion *e)
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
    TRY(value_list(e, part, "budgets", &budgets));
    TRY(value_list(e, part, "models", &models));
    REQUIRE(!bracket || e->s->keys.learning_rate_rule != RATE_SWEEP, ERR_CONFIG,
            "%s:%d: isoflop.bracket beside learning_rate_rule: sweep, which tries rates everywhere",
            e->s->path, bracket ? bracket->line : 0);
    if (bracket) TRY(value_list(e, part, "bracket", &bracket));
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

/* --- token ladders and trunks ------------------------------------------------------------------
 */

/* One seed at a time: the runs of a trunk belong together. */
static status add_stretch(expansion *e, cell *c, int64_t seed, int32_t *index)
{
    config cfg;
    TRY(load_config(&cfg, e, c->line));
    TRY(rate_of(e, &cfg, &cfg.optimizer.learning_rate));
    clean_name(c->name);
    *index = e->out->count;
    return add_run(e, c, &cfg, seed, 1);
}

/* The trunk up to each branch point, and a cool-down from each. */
static status expand_trunk(expansion *e, const tree *list, const char *model, int64_t seed)
{
    config cfg;
    const int32_t mark = e->set.count, cells = e->cells;
    int32_t trunk = -1, index;
    int64_t before = 0;
    TRY(load_config(&cfg, e, list->line));
    const int64_t batch = cfg.train.batch_tokens;
    for (const tree *t = list->child; t; t = t->next, e->cells++) {
        int64_t tokens;
        char text[24];
        const status s = config_integer(&tokens, t->text);
        if (s != OK) return status_prefix(s, "%s:%d: tokens", e->s->path, t->line);
        tokens = (tokens + batch - 1) / batch * batch;
        count_text(text, (double)tokens);
        const int64_t decay =
            llround(e->s->keys.decay_ratio * (double)tokens / (double)batch) * batch;
        const int64_t branch = tokens - decay;
        if (t == list->child) TRY(set_ratios(e, &cfg, (double)tokens));
        REQUIRE(decay > 0 && branch > before, ERR_CONFIG,
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
        count_text(text, tokens);
        cell c = {.line = t->line, .role = twin ? RUN_TWIN : RUN_POINT, .parent = -1, .trunk = -1};
        (void)snprintf(c.name, sizeof c.name, "%.40s-%s%s", model, twin ? "cosine-" : "", text);
        TRY(settings_add(&e->set, t->line, "train.tokens=%s", t->text));
        if (twin) TRY(settings_add(&e->set, 0, "schedule.name=cosine"));
        if (twin) TRY(settings_add(&e->set, 0, "schedule.decay_tokens=0"));
        TRY(add_cell(e, &c));
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
    const status probe = load_config(&cfg, e, list->line);
    settings_cut(&e->set, mark);
    TRY(probe);
    const bool wsd = cfg.schedule.name == SCHEDULE_WSD;
    REQUIRE(wsd || !k->cosine_twins, ERR_CONFIG,
            "%s: cosine_twins belong to tokens with schedule.name wsd", e->s->path);
    if (!wsd) return expand_separate(e, list, model, false);
    REQUIRE(k->learning_rate_rule != RATE_SWEEP, ERR_CONFIG,
            "%s: learning_rate_rule: sweep beside trunks; allowed: fixed, size", e->s->path);
    for (int32_t i = 0; i < e->s->seed_count; i++)
        TRY(expand_trunk(e, list, model, e->s->seeds[i]));
    e->cells += list->count;
    if (first && k->cosine_twins) TRY(expand_separate(e, list, model, true));
    return OK;
}

static status expand_tokens(expansion *e)
{
    const tree *list, *models = tree_find(e->s->root, "models");
    TRY(value_list(e, e->s->root, "tokens", &list));
    if (!models) return tokens_of_model(e, list, "d", true);
    TRY(value_list(e, e->s->root, "models", &models));
    for (const tree *m = models->child; m; m = m->next) {
        const int32_t mark = e->set.count;
        TRY(settings_add(&e->set, m->line, "model=%s", m->text));
        TRY(tokens_of_model(e, list, m->text, m == models->child));
        settings_cut(&e->set, mark);
    }
    return OK;
}

/* --- the whole ---------------------------------------------------------------------------------
 */

static status expand_mode(expansion *e)
{
    switch (e->s->mode) {
    case STUDY_RUNS:
        return expand_list(e);
    case STUDY_GRID:
        return expand_grid(e, e->s->part->child, "");
    case STUDY_ISOFLOP:
        return expand_ladder(e);
    case STUDY_TOKENS:
        return expand_tokens(e);
    }
    return OK;
}

/* What holds for every run. */
static status common_settings(expansion *e)
{
    const study *s = e->s;
    const tree *models = tree_find(s->root, "models");
    REQUIRE(!models || s->mode == STUDY_TOKENS, ERR_CONFIG, "%s:%d: models belong to tokens%s",
            s->path, models ? models->line : 0,
            s->mode == STUDY_ISOFLOP ? "; those of an isoflop ladder stand in isoflop.models" : "");
    if (*s->train) TRY(settings_add(&e->set, 0, "data.train=%s", s->train));
    if (*s->validation) TRY(settings_add(&e->set, 0, "data.validation=%s", s->validation));
    TRY(settings_add_map(&e->set, s->path, tree_find(s->root, "set"), NULL));
    if (s->keys.learning_rate_rule != RATE_SIZE) return OK;
    config base;
    TRY(load_config(&base, e, 0));
    e->base_params = (double)block_param_count(&base.model);
    return OK;
}

static status expand_variants(expansion *e)
{
    static const char *const tags[] = {"name", NULL};
    const tree *list = tree_find(e->s->root, "variants");
    TRY(common_settings(e));
    if (!list) return expand_mode(e);
    REQUIRE(list->kind == TREE_LIST && list->count > 0, ERR_CONFIG,
            "%s:%d: variants: allowed: a list of {name, and keys of the run config}", e->s->path,
            list->line);
    for (const tree *v = list->child; v; v = v->next) {
        char name[STUDY_NAME];
        const int32_t mark = e->set.count;
        REQUIRE(v->kind == TREE_MAP && tree_find(v, "name"), ERR_CONFIG,
                "%s:%d: variants: allowed: {name, and keys of the run config}", e->s->path,
                v->line);
        TRY(take_tag(e, v, "name", name, sizeof name));
        TRY(settings_add_map(&e->set, e->s->path, v, tags));
        e->variant = name;
        TRY(expand_mode(e));
        e->variant = "";
        settings_cut(&e->set, mark);
    }
    return OK;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static status names_differ(const study_runs *r, const char *path)
{
    const char **name = malloc((size_t)r->count * sizeof *name);
    REQUIRE(name, ERR_MEMORY, "no memory for %d names", r->count);
    for (int32_t i = 0; i < r->count; i++) name[i] = r->run[i].name;
    qsort(name, (size_t)r->count, sizeof *name, by_name);
    status s = OK;
    for (int32_t i = 1; i < r->count && s == OK; i++)
        if (strcmp(name[i], name[i - 1]) == 0)
            s = status_set(ERR_CONFIG, __FILE__, __LINE__,
                           "%s: two runs would be called %s; give them names", path, name[i]);
    free(name);
    return s;
}

/* Rows that compare at equal FLOPs do so within a percent; both arms exist. */
static status check_compare(const study_runs *r, const study *s)
{
    for (const tree *t = s->equal_flops ? s->equal_flops->child : NULL; t; t = t->next) {
        double flops[2] = {0, 0};
        for (int32_t i = 0; i < r->count; i++)
            for (int a = 0; a < 2; a++)
                if (t->text && strcmp(r->run[i].row, t->text) == 0 &&
                    strcmp(r->run[i].arm, s->arms[a]) == 0)
                    flops[a] = r->run[i].flops;
        REQUIRE(flops[0] > 0 && flops[1] > 0, ERR_CONFIG,
                "%s:%d: compare.equal_flops: %s: no runs of both arms", s->path, t->line,
                t->text ? t->text : "");
        REQUIRE(fabs(flops[0] / flops[1] - 1) <= 0.01, ERR_CONFIG,
                "%s:%d: compare.equal_flops: %s: %s takes %.4g FLOPs, %s %.4g: %.1f %% apart; "
                "allowed: 1 %%",
                s->path, t->line, t->text, s->arms[0], flops[0], s->arms[1], flops[1],
                100 * fabs(flops[0] / flops[1] - 1));
    }
    return OK;
}

status expand_study(study_runs *out, const study *s)
{
    *out = (study_runs){0};
    expansion e = {.s = s, .out = out, .variant = ""};
    status code = expand_variants(&e);
    settings_deinit(&e.set);
    if (code == OK) code = names_differ(out, s->path);
    if (code == OK) code = check_compare(out, s);
    if (code != OK) expand_deinit(out);
    return code;
}

status expand_seeds(study_runs *runs, const study *s, int32_t like)
{
    const study_run model = runs->run[like];
    config cfg = model.cfg;
    expansion e = {.s = s, .out = runs, .variant = model.variant, .cells = model.cell_index};
    cell c = {.role = RUN_POINT, .budget = model.budget, .parent = -1, .trunk = -1};
    (void)snprintf(c.name, sizeof c.name, "%s", model.cell);
    (void)snprintf(c.arm, sizeof c.arm, "%s", model.arm);
    (void)snprintf(c.row, sizeof c.row, "%s", model.row);
    (void)snprintf(c.also, sizeof c.also, "%s", model.also);
    (void)snprintf(c.scale, sizeof c.scale, "%s", model.scale);
    cfg.optimizer.learning_rate /= model.factor;
    for (int32_t i = 1; i < s->seed_count; i++)
        TRY(add_run(&e, &c, &cfg, s->seeds[i], model.factor));
    return OK;
}

void expand_deinit(study_runs *r)
{
    free(r->run);
    *r = (study_runs){0};
}
