#include "study/probe.h"

#include "base/clock.h"
#include "train/run.h"

#include <stdlib.h>

/* more than any probe takes */
static const int64_t STEPS = 1 << 20;

static status take_steps(run *r, world *w, double seconds, double *flops_per_s)
{
    flop_counts f;
    step_result step;
    int64_t taken = 0;
    int32_t over = 0;
    double begin = clock_s();
    block_flops(&f, &r->cfg->model);
    /* the first step touches all memory */
    for (bool warm = false; !over && r->at.step < r->steps_total; warm = true) {
        TRY(run_step(r, false, &step));
        taken += warm;
        if (!warm) begin = clock_s();
        over = taken > 0 && clock_s() - begin >= seconds;
        TRY(world_broadcast(w, &over, sizeof over, 0));
    }
    *flops_per_s = f.model * (double)(taken * r->cfg->train.batch_tokens) / (clock_s() - begin);
    return world_broadcast(w, flops_per_s, sizeof *flops_per_s, 0);
}

status probe_rate(double *flops_per_s, world *w, const config *cfg, double seconds)
{
    run *r = NULL;
    config *endless = malloc(sizeof *endless);
    REQUIRE(endless, ERR_MEMORY, "no memory for a config");
    *endless = *cfg;
    endless->train.tokens = STEPS * cfg->train.batch_tokens;
    endless->data.repeat = REPEAT_ALLOW;
    status s = run_open(&r, endless, w);
    if (s == OK) s = take_steps(r, w, seconds, flops_per_s);
    run_close(r);
    free(endless);
    return s;
}
