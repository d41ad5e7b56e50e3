#include "study/expand_cell.h"

#include "model/block.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { PATH_TEXT = 1024 };

int64_t expand_steps(const config *cfg)
{
    return (cfg->train.tokens + cfg->train.batch_tokens - 1) / cfg->train.batch_tokens;
}

double expand_flops(const config *cfg, int32_t count)
{
    flop_counts f;
    block_flops(&f, &cfg->model);
    const double value[FLOP_COUNTS] = {f.model, f.six_nd, f.six_nd_nonemb, f.hoffmann_a4};
    return value[count];
}

const char *expand_flops_name(int32_t count)
{
    static const char *const name[FLOP_COUNTS] = {"model", "six_nd", "six_nd_nonemb",
                                                  "hoffmann_a4"};
    return name[count];
}

void expand_cell_clean(char *name)
{
    for (char *c = name; *c; c++) {
        const bool kept = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') ||
                          (*c >= '0' && *c <= '9') || strchr("._-+", *c);
        if (!kept || (c == name && (*c == '-' || *c == '.'))) *c = '_';
    }
}

void expand_cell_count(char out[24], double value)
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

static status load_cell(config *cfg, expansion *e, int32_t line)
{
    const status s = config_load_among(cfg, &e->models, e->s->keys.base, e->set.count,
                                       (const char *const *)e->set.text);
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

/* Under mup the base says how every width starts: a cell cannot. */
static status add_mup(expansion *e)
{
    static const char *const of_base[] = {"model.init_std=", "model.base_width=",
                                          "model.base_head_width="};
    for (int32_t i = e->shared; i < e->set.count; i++)
        for (size_t k = 0; k < sizeof of_base / sizeof *of_base; k++)
            REQUIRE(strncmp(e->set.text[i], of_base[k], strlen(of_base[k])) != 0, ERR_CONFIG,
                    "%s:%d: %s under parametrisation: mup, which takes it from the base; allowed: "
                    "in the base, in set, in a variant",
                    e->s->path, e->set.line[i], e->set.text[i]);
    /* behind the cell's: model=NAME forgets what stands before it */
    TRY(settings_add(&e->set, 0, "model.init_std=%.17g", e->base.init_std));
    TRY(settings_add(&e->set, 0, "model.base_width=%" PRId64, e->base.base_width));
    return settings_add(&e->set, 0, "model.base_head_width=%" PRId64, e->base.base_head_width);
}

/* One factor for all hidden matrices: their other sides grow as the width does. */
static status check_mup(const expansion *e, const model_config *m, int32_t line)
{
    const double wider = (double)m->width / (double)e->base.width;
    const double ffn = (double)m->ffn / (double)e->base.ffn / wider;
    const double heads =
        (double)(m->heads * m->head_width) / (double)(e->base.heads * e->base.head_width) / wider;
    REQUIRE(fabs(log(ffn)) < log(1.25) && fabs(log(heads)) < log(1.25), ERR_CONFIG,
            "%s:%d: parametrisation: mup: width %" PRId64 " with ffn %" PRId64 " and %" PRId64
            " heads of %" PRId64 "; the base has %" PRId64 ", %" PRId64 ", %" PRId64 " of %" PRId64
            "; allowed: in proportion",
            e->s->path, line, m->width, m->ffn, m->heads, m->head_width, e->base.width, e->base.ffn,
            e->base.heads, e->base.head_width);
    return OK;
}

status expand_cell_config(config *cfg, expansion *e, int32_t line)
{
    const int32_t mark = e->set.count;
    if (e->base.width > 0) TRY(add_mup(e));
    const status read = load_cell(cfg, e, line);
    settings_cut(&e->set, mark);
    return read == OK && e->base.width > 0 ? check_mup(e, &cfg->model, line) : read;
}

status expand_shared_config(config *cfg, expansion *e, int32_t line)
{
    const int32_t mark = e->set.count;
    const status s = expand_cell_config(cfg, e, line);
    if (s == OK || e->s->mode != STUDY_TOKENS) return s;
    TRY(settings_add(&e->set, 0, "schedule.decay_tokens=1"));
    const status again = expand_cell_config(cfg, e, line);
    settings_cut(&e->set, mark);
    /* what was wrong was something else */
    return again == OK ? OK : expand_cell_config(cfg, e, line);
}

status expand_cell_ratios(expansion *e, const config *cfg, double tokens)
{
    const double batch = (double)cfg->train.batch_tokens;
    if (e->s->keys.warmup_ratio > 0)
        TRY(settings_add(&e->set, 0, "schedule.warmup_tokens=%.0f",
                         round(e->s->keys.warmup_ratio * tokens / batch) * batch));
    if (e->s->keys.warmup_per_param > 0) {
        /* it may take the whole of a short run, no more */
        const double params = (double)block_param_count(&cfg->model);
        const double warmup = fmin(e->s->keys.warmup_per_param * params, tokens);
        TRY(settings_add(&e->set, 0, "schedule.warmup_tokens=%.0f", round(warmup / batch) * batch));
    }
    return OK;
}

status expand_cell_rate(const expansion *e, const config *cfg, double *rate)
{
    *rate = cfg->optimizer.learning_rate;
    if (e->s->keys.learning_rate_rule != RATE_SIZE) return OK;
    /* Porian et al. 2024: learning rate ~ N^(-1/3); N of the base has the base's rate */
    *rate *= pow((double)block_param_count(&cfg->model) / e->base_params, -1.0 / 3.0);
    return OK;
}

status expand_cell_run(expansion *e, const cell *c, const config *cfg, int64_t seed, double factor)
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
                       .flop_count = c->flop_count,
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

status expand_cell_runs(expansion *e, cell *c)
{
    config cfg;
    const int32_t mark = e->set.count;
    TRY(expand_cell_config(&cfg, e, c->line));
    TRY(expand_cell_ratios(e, &cfg, (double)(expand_steps(&cfg) * cfg.train.batch_tokens)));
    if (e->set.count > mark) TRY(expand_cell_config(&cfg, e, c->line));
    TRY(expand_cell_rate(e, &cfg, &cfg.optimizer.learning_rate));
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
    expand_cell_clean(c->name);
    const study *s = e->s;
    if (s->keys.learning_rate_rule == RATE_SWEEP) {
        c->role = RUN_SWEEP;
        for (int32_t f = 0; f < s->factor_count; f++)
            TRY(expand_cell_run(e, c, &cfg, s->seeds[0], s->factors[f]));
    } else {
        for (int32_t i = 0; i < s->seed_count; i++)
            TRY(expand_cell_run(e, c, &cfg, s->seeds[i], 1));
    }
    e->cells++;
    settings_cut(&e->set, mark);
    return OK;
}

status expand_cell_values(const expansion *e, const tree *map, const char *key, const tree **out)
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
