#include "bench/bench_forecast.h"
#include "bench/bench_cluster.h"
#include "bench/bench_result.h"
#include "plan/predict.h"

#include <math.h>

status bench_forecast_init(bench_forecast *out, const json_t *result)
{
    REQUIRE(json_object_get(result, "step"), ERR_CONFIG, "the result holds no step");
    TRY(bench_result_config(&out->cfg, result));
    TRY(bench_cluster(&out->hw, &result, 1, "here"));
    /* more nodes of the same kind; a single node is all there is */
    const double here = out->hw.nodes.value * out->hw.ranks_per_node.value;
    out->most_ranks = (int32_t)(out->hw.nodes.value > 1 ? 4.0 * here : here);
    return OK;
}

double bench_forecast_s(const bench_forecast *f, int32_t ranks, int64_t micro_batches)
{
    config cfg = f->cfg;
    prediction p;
    cfg.train.batch_tokens = micro_batches * cfg.train.micro_batch * cfg.model.context;
    const predict_question q = {.cfg = &cfg,
                                .sharding = predict_sharding_of(&cfg),
                                .ranks = ranks,
                                .workspace_bytes = -1};
    return predict_step(&p, &q, &f->hw) == OK ? p.step_time_s : (double)NAN;
}
