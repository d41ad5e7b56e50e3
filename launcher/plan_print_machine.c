#include "plan_print_machine.h"

#include "cli.h"
#include "plan_predict.h"
#include "plan_print.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { LINE = 512 };

static void print_memory(const plan_answer *a)
{
    const plan_machine *m = &a->machine;
    const prediction *p = &m->step;
    char text[LINE];
    (void)snprintf(text, sizeof text, "%s per rank (%" PRId64 " bytes, %s) of %s: fits: %s",
                   cli_bytes((double)p->memory.total).text, p->memory.total,
                   p->memory_exact ? "the runtime's own count" : "modelled",
                   cli_bytes(m->hw.memory_bytes.value).text, p->fits ? "yes" : "no");
    plan_print_wrapped("memory", text);
    plan_parts(text, sizeof text, &a->cfg, &m->hw, p->ranks);
    if (text[0]) plan_print_wrapped("", text);
    if (p->fits) return;
    if (m->has_largest)
        (void)snprintf(text, sizeof text,
                       "the largest of this shape that fits has %s parameters (%" PRId64
                       " layers, width %" PRId64 "); data parallelism with a sharded optimizer "
                       "holds no larger one",
                       cli_count((double)block_param_count(&m->largest)).text, m->largest.layers,
                       m->largest.width);
    else
        (void)snprintf(text, sizeof text, "not even one layer of this width fits");
    plan_print_wrapped("", text);
}

static void print_time(const plan_answer *a)
{
    const plan_machine *m = &a->machine;
    const prediction *p = &m->step;
    char text[LINE];
    int used = snprintf(text, sizeof text, "%.4g s per step:", p->step_time_s);
    for (int i = 0; i < STEP_PARTS; i++) {
        const double share = 100 * p->part_s[i] / p->step_time_s;
        if (share < 0.05) continue;
        used += snprintf(text + used, sizeof text - (size_t)used, " %s %.1f %%,",
                         step_part_name((step_part)i), share);
    }
    text[used - 1] = '\0';
    plan_print_wrapped("time", text);
    (void)snprintf(text, sizeof text, "%s of training at %s tokens/s, MFU %.1f %%",
                   cli_duration(m->run.hours * 3600).text, cli_count(p->tokens_per_s).text,
                   100 * p->mfu);
    plan_print_wrapped("", text);
    if (m->mfu_source && strcmp(m->mfu_source, "given") == 0) {
        const double s = a->flops / (m->mfu * m->peak * p->ranks);
        (void)snprintf(text, sizeof text, "%s at the MFU of %.1f %% that was given",
                       cli_duration(s).text, 100 * m->mfu);
        plan_print_wrapped("", text);
    }
    if (!isfinite(m->run.goodput)) return;
    (void)snprintf(text, sizeof text,
                   "%s with failures (one in %.0f hours) and a checkpoint every %s",
                   cli_duration(m->run.wall_hours * 3600).text, m->run.mtbf_hours,
                   cli_duration(m->run.checkpoint_interval_s).text);
    plan_print_wrapped("", text);
}

static void print_energy(const plan_answer *a)
{
    const plan_machine *m = &a->machine;
    const cluster *hw = &m->hw;
    char text[LINE], energy[32] = "unknown", co2[32] = "unknown", money[48] = "unknown";
    if (isfinite(m->run.energy_j))
        (void)snprintf(energy, sizeof energy, "%.4g kWh", m->run.energy_j / 3.6e6);
    if (isfinite(m->run.co2_g)) (void)snprintf(co2, sizeof co2, "%.4g kg CO2", m->run.co2_g / 1e3);
    if (isfinite(m->run.money))
        (void)snprintf(money, sizeof money, "%.4g %s", m->run.money, hw->currency);
    (void)snprintf(text, sizeof text, "%s (watts %s, PUE %s), %s (grid %s), cost %s (price %s)",
                   energy, value_source_name(hw->power_w.source), value_source_name(hw->pue.source),
                   co2, value_source_name(hw->grid_g_per_kwh.source), money,
                   value_source_name(hw->price_per_hour.source));
    plan_print_wrapped("energy", text);
}

void plan_print_machine(const plan_answer *a)
{
    const plan_machine *m = &a->machine;
    const prediction *p = &m->step;
    char text[LINE];
    (void)snprintf(text, sizeof text,
                   "%s: %d rank%s on %d node%s%s; sharding %s, micro-batches of %" PRId64
                   " x %" PRId64 " tokens, %" PRId64 " a rank and step; modelled, not measured",
                   m->hw.name, (int)p->ranks, p->ranks == 1 ? "" : "s", (int)p->nodes,
                   p->nodes == 1 ? "" : "s",
                   p->beyond         ? " (more than it has)"
                   : m->ranks_chosen ? ", the most that keep 80 % of the speed per rank"
                                     : "",
                   predict_sharding_name(m->sharding), a->micro_batch, a->cfg.model.context,
                   p->accumulate);
    plan_print_wrapped("machine", text);
    print_memory(a);
    print_time(a);
    print_energy(a);
}
