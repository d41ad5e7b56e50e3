/* The run itself on this allocation: config, memory, space, micro-batches, time. */
#include "base/file.h"
#include "doctor/doctor.h"
#include "train/checkpoint.h"
#include "train/describe.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool first_of_host(const doctor_report *r, int32_t rank, int32_t *ranks)
{
    bool first = true;
    *ranks = 0;
    for (int32_t i = 0; i < r->ranks; i++) {
        if (strcmp(r->places[i].host, r->places[rank].host) != 0) continue;
        (*ranks)++;
        if (i < rank) first = false;
    }
    return first;
}

static void check_memory(doctor_report *r, const run *x)
{
    char where[DOCTOR_TEXT];
    int64_t windows =
        x->plan.bytes[MEMORY_WEIGHTS] + x->plan.bytes[MEMORY_SUMS] + x->plan.bytes[MEMORY_EXCHANGE];
    for (int32_t i = 0; i < r->ranks; i++) {
        const rank_place *p = &r->places[i];
        int32_t here;
        if (!first_of_host(r, i, &here)) continue;
        double needed = (double)x->plan.total * here;
        if (p->memory_bytes >= 0 && needed > (double)p->memory_bytes)
            doctor_add(r, "memory", true, doctor_at(r, i, where),
                       "fewer ranks on a node, a smaller train.micro_batch, or sharding zero1",
                       "%d ranks need %.1f GiB, %.1f GiB are available", here, needed / 0x1p30,
                       (double)p->memory_bytes / 0x1p30);
        if (here > 1 && p->shm_bytes >= 0 && (double)windows * here > (double)p->shm_bytes)
            doctor_add(r, "memory", true, doctor_at(r, i, where),
                       "a larger /dev/shm (mount -o remount,size=...), or fewer ranks on a node",
                       "shared windows of %d ranks need %.0f MiB, /dev/shm has %.0f MiB free", here,
                       (double)windows * here / 0x1p20, (double)p->shm_bytes / 0x1p20);
    }
}

static void check_batches(doctor_report *r, const run *x)
{
    int64_t rounds = (x->M + r->ranks - 1) / r->ranks;
    double used = (double)x->M / (double)(rounds * r->ranks);
    int64_t most = (x->M + rounds - 1) / rounds;
    if (used < 0.9)
        doctor_add(r, "batch", true, "all ranks",
                   "a number of ranks that divides the micro-batches, or a smaller micro_batch",
                   "%" PRId64
                   " micro-batches on %d ranks keep them busy %.0f %% of a step; %" PRId64
                   " ranks would be as fast",
                   x->M, r->ranks, 100 * used, most);
}

static void check_space(doctor_report *r, const run *x, const char *folder)
{
    double one = 12.0 * (double)x->layout.params;
    double needed = one * (double)(x->cfg->checkpoint.keep_last + 1);
    int64_t available = file_free_bytes(folder);
    if (available >= 0 && (double)available < needed)
        doctor_add(r, "space", true, folder, "free space, or checkpoint.keep_last=1",
                   "checkpoints need %.1f MiB, %.1f MiB are free", needed / 0x1p20,
                   (double)available / 0x1p20);
    if (r->write_bytes_per_s > 0) r->checkpoint_s = 2.0 * one / r->write_bytes_per_s;
}

static void check_time(doctor_report *r, const run *x, double limit_s)
{
    flop_counts f;
    double sum = 0.0;
    block_flops(&f, &x->cfg->model);
    for (int32_t i = 0; i < r->ranks; i++) sum += r->places[i].peak_flops;
    if (sum > 0)
        r->least_time_s = f.model * (double)(x->steps_total * x->cfg->train.batch_tokens) / sum;
    if (limit_s <= 0) return;
    if (2.0 * r->checkpoint_s + 10.0 > limit_s)
        doctor_add(r, "time", true, "the job", "ask for more time",
                   "%.0f s are left, a checkpoint takes about %.1f s", limit_s, r->checkpoint_s);
    else if (r->least_time_s > limit_s)
        doctor_add(r, "time", false, "the job", "requeueing or CHAIN=n goes on after the limit",
                   "the run takes at least %.1f h, the job has %.1f h", r->least_time_s / 3600,
                   limit_s / 3600);
}

status doctor_fit(doctor_report *r, world *w, const doctor_options *options)
{
    run *x = NULL;
    if (!options->cfg) return OK;
    status s = run_check(&x, options->cfg, w);
    if (s != OK) {
        doctor_add(r, "config", true, "the run", "change the config, or the number of ranks",
                   "%.310s", status_message());
        return OK;
    }
    check_memory(r, x);
    check_batches(r, x);
    check_space(r, x, options->folder);
    check_time(r, x, options->time_limit_s);
    run_close(x);
    return OK;
}
