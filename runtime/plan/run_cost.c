/* A whole run: hours, joules, CO2, money, failures; and the largest model that fits. */
#include "plan/cost.h"
#include "plan/footprint.h"
#include "plan/goodput.h"
#include "plan/predict.h"

#include <math.h>

enum { STATE_BYTES = 12 }; /* of a checkpoint, per parameter: master and two moments, fp32 */
/* What a device sends to its host: PCIe 4 x16, of whose 32 GB/s copies reach this much. */
static const double host_link = 25e9;

double cluster_energy_j(const cluster *hw, double rank_hours)
{
    return rank_hours * 3600.0 * hw->power_w.value * hw->pue.value;
}

double cluster_co2_g(const cluster *hw, double energy_j)
{
    return energy_j / 3.6e6 * hw->grid_g_per_kwh.value;
}

double cluster_money(const cluster *hw, double rank_hours)
{
    return rank_hours * hw->price_per_hour.value;
}

/* Seconds until a checkpoint is on disk. */
static double write_seconds(const prediction *p, const predict_question *q, const cluster *hw)
{
    return STATE_BYTES * (double)block_param_count(&q->cfg->model) / (hw->storage.value * p->nodes);
}

/* Seconds that training stands still for it: the whole write, or the copy in the host's memory that
 * a thread then writes. */
static double stall_seconds(const prediction *p, const predict_question *q, const cluster *hw)
{
    if (!q->cfg->checkpoint.asynchronous) return write_seconds(p, q, hw);
    const double own = STATE_BYTES * (double)block_param_count(&q->cfg->model) / p->ranks;
    return own / (cluster_of_cores(hw) ? hw->memory_bandwidth.value / 2.0 : host_link);
}

/* Failures and checkpoints. A checkpoint that is still being written when a failure comes is lost
 * too: on average the work of as long as that write takes beside training. */
static void add_failures(run_cost *r, const prediction *p, const predict_question *q,
                         const cluster *hw)
{
    r->checkpoint_s = stall_seconds(p, q, hw);
    r->checkpoint_write_s = write_seconds(p, q, hw);
    r->restart_s = hw->restart_s.value;
    r->mtbf_hours = hw->mtbf_hours.value / p->nodes;
    const double beside = q->cfg->checkpoint.asynchronous ? r->checkpoint_write_s : 0.0;
    const failure_model f = {.mtbf_s = r->mtbf_hours * 3600.0,
                             .checkpoint_s = r->checkpoint_s,
                             .restart_s = r->restart_s + beside};
    /* one checkpoint is written before the next begins */
    const double daly = goodput_daly_s(&f);
    r->checkpoint_interval_s = daly < r->checkpoint_write_s ? r->checkpoint_write_s : daly;
    r->goodput = goodput_share(&f, r->checkpoint_interval_s);
}

void predict_run(run_cost *out, const prediction *p, const predict_question *q,
                 const cluster *given, double tokens)
{
    ASSERT(tokens > 0);
    cluster hw = *given;
    cost_complete(&hw, q->cfg->train.precision);
    run_cost r = {.steps = ceil(tokens / p->batch_tokens)};
    r.hours = r.steps * p->step_time_s / 3600.0;
    add_failures(&r, p, q, &hw);
    r.wall_hours = r.hours / r.goodput;
    /* failures cost hours too; where nobody knows their rate, none are counted */
    const double hours = isnan(r.wall_hours) ? r.hours : r.wall_hours;
    r.rank_hours = hours * p->ranks;
    r.energy_j = cluster_energy_j(&hw, r.rank_hours);
    r.co2_g = cluster_co2_g(&hw, r.energy_j);
    r.money = cluster_money(&hw, r.rank_hours);
    *out = r;
}

/* The question's shape with this many layers: width, heads and ffn in proportion. */
static model_config scaled(const model_config *m, int64_t layers)
{
    model_config out = *m;
    const double ratio = (double)layers / (double)m->layers;
    const int64_t group = m->heads / m->kv_heads;
    const int64_t heads = (int64_t)fmax(1.0, round((double)m->heads * ratio / (double)group));
    out.layers = layers;
    out.kv_heads = m->kv_heads == 1 ? 1 : heads;
    out.heads = heads * group;
    out.width = out.heads * m->head_width;
    out.ffn =
        (int64_t)fmax(1.0, round((double)m->ffn / (double)m->width * (double)out.width / 64.0)) *
        64;
    return out;
}

static bool holds(const model_config *m, const predict_question *q, const cluster *hw)
{
    config cfg = *q->cfg;
    cfg.model = *m;
    predict_question mine = *q;
    mine.cfg = &cfg;
    layout l;
    memory_plan bytes;
    bool exact;
    if (layout_init(&l, m, q->ranks) != OK) return false;
    const bool on_device = !cluster_of_cores(hw);
    footprint_build(&bytes, &exact, &mine, &l, on_device);
    layout_deinit(&l);
    return (double)footprint_bytes(&bytes, on_device) <= hw->memory_bytes.value;
}

bool predict_largest(model_config *out, const predict_question *q, const cluster *hw)
{
    int64_t low = 0, high = 1024; /* low fits (0: nothing does yet), high + 1 does not */
    while (low < high) {
        const int64_t middle = (low + high + 1) / 2;
        const model_config m = scaled(&q->cfg->model, middle);
        if (m.width <= 65536 && holds(&m, q, hw)) {
            low = middle;
            *out = m;
        } else {
            high = middle - 1;
        }
    }
    return low > 0;
}
