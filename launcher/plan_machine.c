#include "plan_machine.h"

#include "cli.h"
#include "plan_config.h"

#include "plan/cost.h"

#include <math.h>
#include <string.h>

enum { RANKS_MAX = 10000000 };

/* How the run is to be held and computed: as asked, else as the config that was given says. */
static status read_choices(plan_answer *a)
{
    plan_machine *m = &a->machine;
    config cfg = {.train = {.sharding = SHARDING_ZERO1,
                            .precision = PRECISION_BF16,
                            .recompute = RECOMPUTE_NONE,
                            .reduction = CONFIG_EXACT}};
    if (a->based) cfg.train = a->base.train;
    TRY(plan_choices(&m->sharding, &cfg, &a->options->predict));
    m->precision = cfg.train.precision;
    m->recompute = cfg.train.recompute;
    m->reduction = cfg.train.reduction;
    return OK;
}

status plan_machine_read(plan_answer *a)
{
    const plan_predict_options *o = &a->options->predict;
    plan_machine *m = &a->machine;
    m->workspace_bytes = -1;
    TRY(read_choices(a));
    if (!o->cluster) {
        REQUIRE(!o->ranks, ERR_CONFIG, "--ranks needs --cluster, the machine the ranks are of");
        return OK;
    }
    TRY(cluster_load(&m->hw, o->cluster));
    m->given = true;
    return OK;
}

status plan_machine_ranks(int32_t *out, const plan_answer *a)
{
    const cluster *hw = &a->machine.hw;
    const double all = hw->nodes.value * hw->ranks_per_node.value;
    double ranks = fmin(all, RANKS_MAX);
    if (isfinite(a->question.gpus)) ranks = a->question.gpus;
    if (a->options->predict.ranks) {
        int64_t n = 0;
        TRY(cli_integer(&n, "--ranks", a->options->predict.ranks, 1, RANKS_MAX));
        REQUIRE(!isfinite(a->question.gpus) || (double)n == a->question.gpus, ERR_CONFIG,
                "--ranks %lld with --gpus %.0f: they are the same; give one", (long long)n,
                a->question.gpus);
        ranks = (double)n;
    }
    *out = (int32_t)ranks;
    return OK;
}

/* Windows of the evaluation set, as the run will count them. */
static int64_t windows(const plan_answer *a)
{
    const int64_t T = a->cfg.model.context, wanted = (a->cfg.evaluate.tokens + T - 1) / T;
    if (a->data.given && !a->data.validation[0]) return 0;
    if (!a->data.given) return wanted;
    const int64_t there = ((int64_t)a->data.validation_tokens - 1) / T;
    return wanted > 0 && wanted < there ? wanted : there;
}

static predict_question question(const plan_answer *a, int32_t ranks)
{
    return (predict_question){.cfg = &a->cfg,
                              .sharding = a->machine.sharding,
                              .ranks = ranks,
                              .workspace_bytes = a->machine.workspace_bytes,
                              .eval_windows = windows(a)};
}

static status predict(plan_answer *a, int32_t ranks)
{
    plan_machine *m = &a->machine;
    TRY(plan_workspace(&m->workspace_bytes, &a->cfg, &m->hw));
    const predict_question q = question(a, ranks);
    TRY(predict_step(&m->step, &q, &m->hw));
    predict_run(&m->run, &m->step, &q, &m->hw, (double)(a->steps * a->batch_tokens));
    return OK;
}

static void find_largest(plan_answer *a, int32_t ranks)
{
    plan_machine *m = &a->machine;
    predict_question q = question(a, ranks);
    q.workspace_bytes = -1; /* of other shapes */
    m->has_largest = !m->step.fits && predict_largest(&m->largest, &q, &m->hw);
}

/* --micro-batch; 0: not given. */
static status given_micro(int64_t *out, const plan_answer *a)
{
    const char *text = a->options->predict.micro_batch;
    *out = 0;
    return cli_integer(out, "--micro-batch", text, 1, 65536);
}

/* So many ranks, with the largest micro-batch that leaves none idle and fits. */
static status predict_on(plan_answer *a, int32_t ranks, int64_t micro, int64_t largest)
{
    const int64_t sequences = a->batch_tokens / a->cfg.model.context;
    a->micro_batch = micro ? micro : largest;
    if (!micro && !a->based)
        while (a->micro_batch > 1 && sequences / a->micro_batch < ranks) a->micro_batch /= 2;
    for (;;) {
        TRY(plan_config_build(a));
        TRY(predict(a, ranks));
        if (a->machine.step.fits || micro || a->based || a->micro_batch == 1) return OK;
        a->micro_batch /= 2;
    }
}

/* Where nobody says how many: of powers of two the most that keep 80 % of the best speed per rank
 * among those where the run fits. */
static status choose_ranks(int32_t *out, plan_answer *a, int32_t most, int64_t micro,
                           int64_t largest)
{
    const prediction *p = &a->machine.step;
    double best = 0;
    *out = most;
    for (int32_t n = 1; n <= most; n *= 2) {
        TRY(predict_on(a, n, micro, largest));
        if (!p->fits) continue;
        if (p->tokens_per_s_per_rank > best) best = p->tokens_per_s_per_rank;
        if (p->tokens_per_s_per_rank >= 0.8 * best) *out = n;
        if (n > most / 2) break;
    }
    return OK;
}

/* As many ranks as a step can keep busy. */
static int64_t most_ranks(const plan_answer *a, int64_t micro)
{
    const int64_t smallest = micro ? micro : a->based ? a->base.train.micro_batch : 1;
    return a->batch_tokens / a->cfg.model.context / smallest;
}

static bool ranks_said(const plan_answer *a)
{
    return a->options->predict.ranks || isfinite(a->question.gpus);
}

bool plan_machine_idle(const plan_answer *a)
{
    int32_t ranks;
    int64_t micro;
    return ranks_said(a) && plan_machine_ranks(&ranks, a) == OK && given_micro(&micro, a) == OK &&
           most_ranks(a, micro) < ranks;
}

status plan_machine_predict(plan_answer *a)
{
    const bool said = ranks_said(a);
    const int64_t largest = a->micro_batch;
    int32_t ranks;
    int64_t micro;
    TRY(plan_machine_ranks(&ranks, a));
    TRY(given_micro(&micro, a));
    if (!said) {
        /* ranks beyond the micro-batches of a step would have nothing to do */
        const int64_t work = most_ranks(a, micro);
        if (work < ranks) ranks = (int32_t)(work > 1 ? work : 1);
        TRY(choose_ranks(&ranks, a, ranks, micro, largest));
    }
    a->machine.ranks_chosen = !said;
    TRY(predict_on(a, ranks, micro, largest));
    find_largest(a, ranks);
    return OK;
}
