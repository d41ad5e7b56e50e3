#include "bench/bench_calibrate.h"
#include "base/json.h"
#include "bench/bench_cluster.h"
#include "bench/bench_result.h"
#include "plan/goodput.h"
#include "plan/predict.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { ROUNDS = 12 }; /* parts touch each other a little: each round shrinks what is left */
static const double share_least = 1e-3, share_most = 1.0;

typedef struct calibration {
    cluster *hw;
    const json_t *result;
    config cfg;
    predict_question question;
    char what[96];
} calibration;

static double part_at(const calibration *k, const char *name)
{
    char path[64];
    (void)snprintf(path, sizeof path, "step.parts.%s", name);
    return json_number_at(k->result, path);
}

static status read_step(calibration *k)
{
    TRY(bench_result_config(&k->cfg, k->result));
    k->cfg.train.batch_tokens = (int64_t)json_number_at(k->result, "step.batch_tokens");
    k->question = (predict_question){.cfg = &k->cfg,
                                     .sharding = predict_sharding_of(&k->cfg),
                                     .ranks = (int32_t)json_number_at(k->result, "step.ranks"),
                                     .workspace_bytes = -1};
    const json_t *step = json_object_get(k->result, "step");
    (void)snprintf(k->what, sizeof k->what, "%s of %.32s, %lld x %lld",
                   json_is_true(json_object_get(step, "stand_in")) ? "stand-in step" : "step",
                   k->cfg.model_name[0] ? k->cfg.model_name : k->cfg.run.name,
                   (long long)k->cfg.train.micro_batch, (long long)k->cfg.model.context);
    return OK;
}

static void scale(const calibration *k, cluster_value *v, double by)
{
    if (!isfinite(by) || !(by > 0)) return;
    *v = bench_measured(k->result, v->value * by, k->what);
}

/* Shares of one bandwidth: where one is above it the bandwidth was too low. */
static void hold_below_one(const calibration *k)
{
    cluster *c = k->hw;
    const double most = fmax(c->memory.value, c->optimizer.value);
    if (most > share_most) {
        scale(k, &c->memory_bandwidth, most);
        scale(k, &c->memory, 1.0 / most);
        scale(k, &c->optimizer, 1.0 / most);
    }
    cluster_value *shares[] = {&c->products, &c->attention, &c->memory, &c->optimizer};
    for (int i = 0; i < 4; i++)
        shares[i]->value = fmin(share_most, fmax(share_least, shares[i]->value));
}

/* What ranks compute does not depend on links. */
static status calibrate_work(calibration *k)
{
    cluster *c = k->hw;
    prediction p;
    const double products = part_at(k, "products"), attention = part_at(k, "attention"),
                 memory = part_at(k, "memory"), optimizer = part_at(k, "optimizer");
    if (isnan(c->attention.value)) c->attention = c->products;
    for (int round = 0; round < ROUNDS; round++) {
        TRY(predict_step(&p, &k->question, c));
        scale(k, &c->products, p.part_s[PART_PRODUCTS] / products);
        scale(k, &c->attention, p.part_s[PART_ATTENTION] / attention);
        scale(k, &c->memory, p.part_s[PART_MEMORY] / memory);
        scale(k, &c->optimizer, p.part_s[PART_OPTIMIZER] / optimizer);
        hold_below_one(k);
    }
    return OK;
}

/* The link is what gives the step's communication with nothing beside it, at the sizes of its
 * buckets; `c` does not overlap here. */
static status calibrate_link(calibration *k, double alone)
{
    cluster *c = k->hw;
    prediction p;
    cluster_value *link = c->nodes.value > 1                ? &c->network_bandwidth
                          : !isnan(c->core_bandwidth.value) ? &c->core_bandwidth
                                                            : &c->node_bandwidth;
    for (int round = 0; round < ROUNDS; round++) {
        TRY(predict_step(&p, &k->question, c));
        scale(k, link, p.part_s[PART_COMMUNICATION] / alone);
    }
    return OK;
}

/* Communication of the step as it runs. Where nothing can hide it, it gives the link; else the step
 * without overlap does, and what is left of it beside backward gives how much hides. */
static status calibrate_links(calibration *k)
{
    cluster *c = k->hw;
    prediction none, all;
    const double exposed = part_at(k, "communication");
    const double alone = json_number_at(k->result, "step.communication_without_overlap_s");
    c->overlap = bench_measured(k->result, 0.0, k->what);
    if (c->nodes.value > 1) TRY(calibrate_link(k, alone));
    TRY(predict_step(&none, &k->question, c));
    c->overlap.value = 1.0;
    TRY(predict_step(&all, &k->question, c));
    const double most = none.part_s[PART_COMMUNICATION] - all.part_s[PART_COMMUNICATION];
    if (most > 0.01 * none.part_s[PART_COMMUNICATION]) {
        const double hidden = none.part_s[PART_COMMUNICATION] - exposed;
        c->overlap.value = fmin(1.0, fmax(0.0, hidden / most));
        return OK;
    }
    c->overlap = (cluster_value){.value = NAN, .source = SOURCE_UNKNOWN};
    return calibrate_link(k, exposed);
}

/* How much ranks differ from each other shows in their waiting, not in the spread of steps. */
static void calibrate_spread(calibration *k)
{
    double own = 0.0;
    static const char *const parts[] = {"products", "attention", "memory", "optimizer"};
    for (int i = 0; i < 4; i++) own += part_at(k, parts[i]);
    const double waits = part_at(k, "slowest") / goodput_largest_normal(k->question.ranks);
    if (own > 0 && isfinite(waits))
        k->hw->step_spread = bench_measured(k->result, waits / own, k->what);
}

status bench_calibrate(cluster *c, const json_t *result)
{
    calibration k = {.hw = c, .result = result};
    TRY(read_step(&k));
    TRY(calibrate_work(&k));
    if (k.question.ranks == 1) return OK;
    calibrate_spread(&k);
    return calibrate_links(&k);
}
