#include "bench/bench_forecast.h"
#include "bench/bench_cluster.h"
#include "plan/predict.h"

#include <math.h>
#include <string.h>

status bench_forecast_init(bench_forecast *out, const json_t *result)
{
    const char *text = json_string_value(json_object_get(result, "config"));
    REQUIRE(text && json_object_get(result, "step"), ERR_CONFIG,
            "the result holds no step or no config");
    TRY(bench_cluster(&out->hw, &result, 1, "here"));
    TRY(config_parse(&out->cfg, "config of a bench result", text, (int64_t)strlen(text), 0, NULL));
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
                                .sharding = cfg.train.sharding == SHARDING_NONE ? PREDICT_NONE
                                                                                : PREDICT_ZERO1,
                                .ranks = ranks,
                                .workspace_bytes = -1};
    return predict_step(&p, &q, &f->hw) == OK ? p.step_time_s : (double)NAN;
}
