#include "train/loop.h"
#include "base/clock.h"
#include "base/file.h"
#include "comm/world_watch.h"
#include "measure/record.h"
#include "train/checkpoint.h"
#include "train/gpu_watch.h"
#include "train/limit.h"
#include "train/lock.h"
#include "train/stragglers.h"
#include "train/tail.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { PATH_BYTES = 1100, RECENT = 20, BURST_EVERY = 100, LOCK_EVERY_S = 1 };

/* One sitting of a run. The record, the lock and the hooks are rank 0's. */
typedef struct sitting {
    run *r;
    world *w;
    const config *cfg;
    const train_options *options;
    const train_hooks *hooks;
    bool first_rank;
    char checkpoints[PATH_BYTES];
    record *record;
    run_lock *lock;
    double lock_seen_s; /* when the lock was last found to be ours */
    time_limit limit;
    const char *why; /* of a stop, as far as this rank knows */
    peak_rate peak;
    flop_counts flops; /* per token */
    stragglers slow;
    run_summary summary;
    double recent_s[RECENT];
    int64_t steps_here; /* steps of this sitting */
    gpu_watch gpus;
} sitting;

#define HOOK(s, name, ...)                                                                         \
    do {                                                                                           \
        if ((s)->first_rank && (s)->hooks->name)                                                   \
            (s)->hooks->name((s)->hooks->context, __VA_ARGS__);                                    \
    } while (0)

static bool folder_is_empty(const char *path)
{
    DIR *dir = opendir(path);
    int entries = 0;
    for (struct dirent *e; dir && (e = readdir(dir));)
        entries += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
    if (dir) (void)closedir(dir);
    return entries == 0;
}

/* A resumed run must be the run that stands in the directory. */
static status same_run(const sitting *s, const char *path)
{
    if (!file_exists(path)) return OK;
    config before;
    TRY(config_load(&before, path, 0, NULL));
    status code = config_same_identity(s->cfg, &before);
    return code == OK ? OK
                      : status_prefix(code, "%s was begun with another config", s->options->folder);
}

/* What this sitting runs. */
static status write_config(const sitting *s)
{
    char path[PATH_BYTES], *text = NULL;
    size_t bytes = 0;
    FILE *memory = open_memstream(&text, &bytes);
    REQUIRE(memory, ERR_MEMORY, "no memory for config.yaml");
    status code = config_write(s->cfg, memory);
    if (fclose(memory) != 0 && code == OK)
        code = status_set(ERR_MEMORY, __FILE__, __LINE__, "no memory for config.yaml");
    (void)snprintf(path, sizeof path, "%s/config.yaml", s->options->folder);
    if (code == OK) code = file_write_text(path, text, (int64_t)bytes);
    free(text);
    return code;
}

/* Rank 0: the directory may be used, and is ours. */
static status claim_folder(sitting *s)
{
    const char *folder = s->options->folder;
    char path[PATH_BYTES];
    (void)snprintf(path, sizeof path, "%s/config.yaml", folder);
    bool empty = folder_is_empty(folder);
    REQUIRE(empty || s->options->resume, ERR_CONFIG,
            "--run %s: the directory is not empty; --resume continues it, or name another", folder);
    TRY(file_make_folder(folder));
    TRY(lock_open(&s->lock, folder));
    return empty ? OK : same_run(s, path);
}

static void note_skipped(void *context, const char *path, const char *why)
{
    const sitting *s = context;
    char text[2300];
    (void)snprintf(text, sizeof text, "skipping the checkpoint %s: %s", path, why);
    HOOK(s, message, text);
}

/* Rank 0: one JSON object made by a describe_ function; frees it. */
static status put(const sitting *s, char *json)
{
    if (!s->first_rank) {
        free(json);
        return OK;
    }
    status code =
        json ? record_text(s->record, json)
             : status_set(ERR_MEMORY, __FILE__, __LINE__, "no memory for a line of the record");
    free(json);
    return code;
}

/* The record is cut back to its checkpoint: steps after it are taken again, events stay. */
static status open_record(sitting *s, const checkpoint_info *from)
{
    char path[PATH_BYTES], detail[2048];
    record_tail tail;
    bool resumed = from->path[0] != '\0';
    (void)snprintf(path, sizeof path, "%s/record.jsonl", s->options->folder);
    TRY(record_tail_init(&tail, path, from->record_bytes));
    status code = record_open(&s->record, path, from->record_bytes);
    if (code == OK && !resumed) code = put(s, describe_header(s->r, s->options->command, &s->peak));
    if (code == OK && tail.events[0]) code = record_text(s->record, tail.events);
    if (code == OK && (resumed || tail.lines > 0)) {
        s->r->at.interruptions += tail.resumes + 1;
        bool other = resumed && strcmp(from->arithmetic_id, s->r->arithmetic_id) != 0;
        (void)snprintf(detail, sizeof detail, "%s%s%s", resumed ? from->path : "no checkpoint",
                       other ? "; other arithmetic: " : "", other ? s->r->arithmetic_id : "");
        code = put(s, describe_resume(s->r, detail, tail.steps, tail.seconds));
    }
    if (code == OK && resumed) {
        (void)snprintf(detail, sizeof detail,
                       "resuming from %s (step %" PRId64 ", written by %d rank%s)", from->path,
                       s->r->at.step, from->ranks, from->ranks == 1 ? "" : "s");
        HOOK(s, message, detail);
    }
    record_tail_deinit(&tail);
    return code;
}

/* Rank 0, when nothing can refuse this sitting any more: the directory is what it goes on from. */
static status begin_folder(sitting *s, const checkpoint_info *from)
{
    TRY(write_config(s));
    TRY(checkpoint_set_aside(s->checkpoints, s->r->at.step));
    return open_record(s, from);
}

static void measure_peak(sitting *s)
{
    dtype type = s->cfg->train.precision == PRECISION_BF16 ? DTYPE_BF16 : DTYPE_F32;
    peak_add(&s->peak, s->r->ops->burst ? s->r->ops->burst(s->r->device, type) : 0.0);
}

/* True when a multiple of every (0: never) lies in (before, now]. */
static bool crossed(int64_t every, int64_t before, int64_t now)
{
    return every > 0 && now / every > before / every;
}

/* A failure between agreements: peers may already be inside a collective, so this rank ends all of
 * them. Too many skipped steps are counted from reduced values; every rank leaves by itself. */
static status in_step(const sitting *s, status code)
{
    if (code != OK && code != ERR_NUMERIC && world_size(s->w) > 1) world_abort(s->w, code);
    return code;
}

static status evaluate(sitting *s)
{
    world_watch_note(s->w, WATCH_EVALUATION, s->r->at.step);
    TRY(in_step(s, run_evaluate(s->r, &s->summary.last)));
    HOOK(s, evaluated, s->r, &s->summary.last);
    return in_step(s, put(s, describe_evaluation(s->r, &s->summary.last)));
}

/* Publishes a checkpoint still in the writer, if the directory is still ours. */
static status publish(sitting *s)
{
    if (!s->r->writer) return OK;
    TRY(world_agree(s->w, lock_held(s->lock)));
    TRY(checkpoint_finish(s->r));
    return in_step(s, put(s, describe_checkpoint(s->r)));
}

/* Publishes a checkpoint still in the writer, then starts the next; wait: until it is published. */
static status checkpoint(sitting *s, bool wait)
{
    double start = clock_s();
    int64_t bytes = 0;
    world_watch_note(s->w, WATCH_CHECKPOINT, s->r->at.step);
    TRY(publish(s));
    double begun = clock_s();
    status mine = lock_held(s->lock);
    if (mine == OK && s->first_rank) mine = record_sync(s->record, &bytes);
    TRY(world_agree(s->w, mine));
    TRY(checkpoint_start(s->r, s->checkpoints, bytes));
    s->r->times.checkpoint += clock_s() - begun;
    if (wait) TRY(publish(s));
    double took = clock_s() - start;
    if (took > s->limit.checkpoint_s) s->limit.checkpoint_s = took;
    return OK;
}

static double recent_median(const sitting *s)
{
    double sorted[RECENT];
    int64_t count = s->steps_here < RECENT ? s->steps_here : RECENT;
    for (int64_t i = 0; i < count; i++) {
        int64_t j = i;
        for (; j > 0 && sorted[j - 1] > s->recent_s[i]; j--) sorted[j] = sorted[j - 1];
        sorted[j] = s->recent_s[i];
    }
    return count ? sorted[count / 2] : (double)NAN;
}

static status note_step(sitting *s, const step_result *step)
{
    int64_t batch = s->cfg->train.batch_tokens, slot = s->steps_here++ % RECENT;
    s->recent_s[slot] = step->time_s;
    s->r->at.losses[(step->step - 1) % LAST_LOSSES] = step->loss;
    s->r->at.energy_j += step->energy_j;
    stragglers_add(&s->slow, &s->r->times, step->time_s);
    double typical = recent_median(s), peak = peak_median(&s->peak) * s->r->layout.ranks;
    step_view view = {.step = *step,
                      .tokens_per_s = (double)batch / typical,
                      .mfu = s->flops.palm * (double)batch / typical / peak,
                      .left_s = typical * (double)(s->r->steps_total - step->step)};
    HOOK(s, step, s->r, &view);
    if (step->time_s > s->limit.step_s) s->limit.step_s = step->time_s;
    if (!s->first_rank) return OK;
    if (clock_s() - s->lock_seen_s > LOCK_EVERY_S) {
        TRY(lock_held(s->lock));
        s->lock_seen_s = clock_s();
    }
    if (gpu_watch_due(&s->gpus, s->r)) TRY(put(s, describe_gpus(s->r)));
    double rate = (double)batch / step->time_s;
    return record_step(s->record, &(step_line){.step = step->step,
                                               .tokens = step->tokens,
                                               .flops = s->flops.model * (double)step->tokens,
                                               .loss = step->loss,
                                               .grad_norm = step->grad_norm,
                                               .learning_rate = step->learning_rate,
                                               .step_time_s = step->time_s,
                                               .tokens_per_s = rate,
                                               .mfu = s->flops.palm * rate / peak,
                                               .energy_j = step->energy_j,
                                               .digest = step->digest,
                                               .data_digest = step->data_digest,
                                               .skipped = step->skipped});
}

static bool must_stop(sitting *s)
{
    if (limit_near(&s->limit))
        s->why = "the time limit is near";
    else if (s->hooks->stop && s->hooks->stop(s->hooks->context))
        s->why = "asked by a signal";
    return s->why != NULL;
}

/* Steps until the end or a stop; *stopped says which. */
static status steps(sitting *s, bool *stopped)
{
    run *r = s->r;
    while (r->at.step < r->steps_total && !*stopped) {
        int64_t before = r->at.tokens;
        bool stop = must_stop(s);
        step_result result;
        if (s->steps_here > 0 && s->steps_here % BURST_EVERY == 0) measure_peak(s);
        TRY(in_step(s, run_step(r, stop, &result)));
        TRY(in_step(s, note_step(s, &result)));
        *stopped = result.stop && r->at.step < r->steps_total;
        if (r->at.step == r->steps_total) break;
        if (r->validation && crossed(s->cfg->evaluate.every_tokens, before, r->at.tokens))
            TRY(evaluate(s));
        if (r->writer && result.idle) TRY(publish(s));
        if (!*stopped && crossed(s->cfg->checkpoint.every_tokens, before, r->at.tokens))
            TRY(checkpoint(s, false));
    }
    return OK;
}

static status write_summary(sitting *s, const char *name)
{
    run_summary *sum = &s->summary;
    const progress *at = &s->r->at;
    int64_t count = at->step < LAST_LOSSES ? at->step : LAST_LOSSES;
    double total = 0.0, peak = peak_median(&s->peak) * s->r->layout.ranks;
    for (int64_t i = 0; i < count; i++) total += at->losses[i];
    sum->loss = count ? total / (double)count : (double)NAN;
    sum->tokens_per_s = at->train_time_s > 0 ? (double)at->tokens / at->train_time_s : (double)NAN;
    sum->mfu = s->flops.palm * sum->tokens_per_s / peak;
    sum->energy_j = at->step > 0 ? at->energy_j : (double)NAN;
    if (!s->first_rank) return OK;
    char path[PATH_BYTES], *text = describe_summary(s->r, sum);
    (void)snprintf(path, sizeof path, "%s/%s", s->options->folder, name);
    status code = text ? file_write_text(path, text, (int64_t)strlen(text))
                       : status_set(ERR_MEMORY, __FILE__, __LINE__, "no memory for summary.json");
    free(text);
    return code;
}

/* A run killed after its last checkpoint and before its summary: rank 0 puts the one kept for that.
 */
static status recover_summary(const sitting *s)
{
    char kept[PATH_BYTES], path[PATH_BYTES];
    (void)snprintf(kept, sizeof kept, "%s/summary.next.json", s->options->folder);
    (void)snprintf(path, sizeof path, "%s/summary.json", s->options->folder);
    if (!s->first_rank || !file_exists(kept)) return OK;
    REQUIRE(rename(kept, path) == 0, ERR_IO, "cannot rename %s: %s", kept, strerror(errno));
    return OK;
}

/* After the last step: evaluation, checkpoint, summary. */
static status finish(sitting *s, bool stopped)
{
    if (!stopped && s->r->validation) TRY(evaluate(s));
    world_watch_note(s->w, WATCH_CLOSING, s->r->at.step);
    TRY(straggler_table_init(&s->summary.stragglers, &s->slow, s->w));
    s->summary.finished = !stopped;
    TRY(in_step(s, write_summary(s, "summary.next.json")));
    TRY(checkpoint(s, true));
    if (stopped) {
        const char *why = s->why ? s->why : "another rank was asked by a signal";
        TRY(in_step(s, put(s, describe_event(s->r, "interrupted", why))));
    }
    TRY(in_step(s, write_summary(s, "summary.next.json")));
    TRY(in_step(s, recover_summary(s)));
    HOOK(s, finished, s->r, &s->summary);
    if (stopped)
        FAIL(INTERRUPTED, "interrupted at step %" PRId64 " of %" PRId64 "; checkpoint written",
             s->r->at.step, s->r->steps_total);
    return OK;
}

static status sit(sitting *s)
{
    checkpoint_info from = {0};
    bool stopped = false;
    TRY(run_check(&s->r, s->cfg, s->w));
    TRY(world_watch_open(s->w, s->cfg->limits.heartbeat_s));
    TRY(world_agree(s->w, stragglers_init(&s->slow)));
    TRY(world_agree(s->w, s->first_rank ? claim_folder(s) : OK));
    if (s->options->resume) TRY(checkpoint_find(&from, s->w, s->checkpoints, note_skipped, s));
    HOOK(s, opened, s->r);
    TRY(run_start(s->r));
    if (from.path[0]) TRY(checkpoint_load(s->r, &from, s->options->accept_other_arithmetic));
    TRY(limit_check(&s->limit, s->w, s->options->folder, checkpoint_bytes(s->r)));
    if (from.path[0] && s->r->at.step == s->r->steps_total) {
        TRY(world_agree(s->w, recover_summary(s)));
        HOOK(s, message, "this run is already finished; nothing to do");
        return OK;
    }
    block_flops(&s->flops, &s->cfg->model);
    for (int i = 0; i < 3; i++) measure_peak(s);
    TRY(world_agree(s->w, s->first_rank ? begin_folder(s, &from) : OK));
    HOOK(s, started, s->r, peak_median(&s->peak));
    s->r->energy_mark_j = energy_read_j(&s->r->meter);
    TRY(steps(s, &stopped));
    return finish(s, stopped);
}

status train_loop(world *w, const config *cfg, const train_options *options,
                  const train_hooks *hooks)
{
    sitting s = {
        .w = w, .cfg = cfg, .options = options, .hooks = hooks, .first_rank = world_rank(w) == 0};
    limit_init(&s.limit, options->time_limit_s);
    (void)snprintf(s.checkpoints, sizeof s.checkpoints, "%s/checkpoints", options->folder);
    status code = sit(&s);
    /* a peer is missing: nobody leaves by the common door */
    if (code == ERR_COMM && world_size(w) > 1) world_abort(w, code);
    stragglers_deinit(&s.slow);
    straggler_table_deinit(&s.summary.stragglers);
    record_close(s.record);
    lock_close(s.lock);
    run_close(s.r);
    world_watch_close(w);
    return code;
}
