/* Laws of one run inside one process: memory, checkpoints, skipped steps. */
#include "base/file.h"
#include "support/resident.h"
#include "train/checkpoint.h"
#include "train/run.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Under a sanitizer a step takes ten times as long, and one of each kind finds what it can find. */
#ifdef __SANITIZE_ADDRESS__
enum { BIG_STEPS = 1, CUT_BYTES = 16 * 4096, CUTS = 4 };
#else
enum { BIG_STEPS = 3, CUT_BYTES = 4096, CUTS = 50 };
#endif

static const char yaml[] =
    "name: unit\n"
    "model: {layers: 2, width: 32, heads: 2, ffn: 64, vocab: 80, context: 32, mlp: swiglu}\n"
    "data: {synthetic: zipf_facts, zipf_facts: {keys: 1000, values: 64, base: 16}}\n"
    "train: {tokens: 8192, batch_tokens: 1024, micro_batch: 4, precision: fp32}\n"
    "optimizer: {learning_rate: 1e-2}\n"
    "evaluate: {tokens: 1000}\n"
    "checkpoint: {asynchronous: false}\n";

static config parse(int count, const char *const *overrides)
{
    config cfg;
    cr_assert_eq(config_parse(&cfg, "unit.yaml", yaml, (int64_t)strlen(yaml), count, overrides), OK,
                 "%s", status_message());
    return cfg;
}

typedef struct opened {
    world *w;
    run *r;
    char folder[64];
} opened;

static opened open_run(const config *cfg)
{
    opened o = {.folder = "/tmp/isoflop-unit-XXXXXX"};
    cr_assert(mkdtemp(o.folder));
    cr_assert_eq(world_open_self(&o.w), OK);
    cr_assert_eq(run_open(&o.r, cfg, o.w), OK, "%s", status_message());
    return o;
}

static void close_run(opened *o)
{
    run_close(o->r);
    world_close(o->w);
    cr_assert_eq(file_remove_folder(o->folder), OK);
}

static uint64_t digest_after(run *r, int steps)
{
    step_result s = {0};
    for (int i = 0; i < steps; i++)
        cr_assert_eq(run_step(r, false, &s), OK, "%s", status_message());
    return s.digest;
}

Test(memory, arenas_hold_exactly_the_planned_bytes)
{
    const char *const variants[][2] = {{"train.precision=fp32", "model.mlp=gelu"},
                                       {"train.precision=bf16", "model.positions=learned"},
                                       {"train.reduction=fast", "train.sharding=none"},
                                       {"train.recompute=mlp", "train.precision=bf16"},
                                       {"train.recompute=block", "model.mlp=gelu"},
                                       {"checkpoint.asynchronous=true", "model.norm=layernorm"}};
    for (size_t v = 0; v < sizeof variants / sizeof *variants; v++) {
        config cfg = parse(2, variants[v]);
        opened o = open_run(&cfg);
        for (memory_kind k = 0; k < MEMORY_KINDS; k++) {
            if (k == MEMORY_SNAPSHOT) continue;
            cr_assert_eq(o.r->arenas[k].used, o.r->plan.bytes[k],
                         "%s %s: %s uses %lld of %lld bytes", variants[v][0], variants[v][1],
                         memory_kind_name(k), (long long)o.r->arenas[k].used,
                         (long long)o.r->plan.bytes[k]);
        }
        if (cfg.checkpoint.asynchronous) {
            cr_assert_eq(checkpoint_start(o.r, o.folder, 0), OK);
            cr_assert_eq(o.r->arenas[MEMORY_SNAPSHOT].used, o.r->plan.bytes[MEMORY_SNAPSHOT]);
            cr_assert_eq(checkpoint_finish(o.r), OK, "%s", status_message());
        }
        close_run(&o);
    }
}

Test(memory, resident_memory_grows_by_the_plan)
{
    const char *const big[] = {"model.width=256", "model.layers=8", "model.ffn=1024",
                               "model.vocab=4096", "checkpoint.asynchronous=true"};
    config cfg = parse(5, big);
    int64_t before = resident_bytes();
    opened o = open_run(&cfg);
    (void)digest_after(o.r, BIG_STEPS);
    int64_t growth = resident_bytes() - before, planned = o.r->plan.total;
    int64_t allowed = planned / 50 > 8 << 20 ? planned / 50 : 8 << 20;
    cr_assert(llabs(growth - planned) <= allowed, "grew by %.1f MiB, planned %.1f MiB",
              (double)growth / 1048576, (double)planned / 1048576);
    close_run(&o);
}

Test(recompute, what_is_computed_again_has_the_same_bits_and_takes_less_memory)
{
    static const char *const variants[][3] = {
        {"backend=cpu", "model.mlp=swiglu", "train.precision=fp32"},
        {"backend=cpu", "model.mlp=gelu", "train.precision=bf16"},
        {"backend=ref", "model.norm=layernorm", "model.bias=true"}};
    static const char *const levels[] = {"train.recompute=none", "train.recompute=mlp",
                                         "train.recompute=block"};
    for (size_t v = 0; v < sizeof variants / sizeof *variants; v++) {
        uint64_t kept = 0;
        int64_t bytes = INT64_MAX;
        for (int i = 0; i < 3; i++) {
            const char *const *x = variants[v];
            config cfg = parse(5, (const char *[]){x[0], x[1], x[2], levels[i], "model.layers=3"});
            opened o = open_run(&cfg);
            uint64_t digest = digest_after(o.r, 3);
            if (i == 0) kept = digest;
            cr_expect_eq(digest, kept, "%s %s %s: other bits with %s", x[0], x[1], x[2], levels[i]);
            cr_expect_lt(o.r->plan.bytes[MEMORY_ACTIVATIONS], bytes);
            bytes = o.r->plan.bytes[MEMORY_ACTIVATIONS];
            close_run(&o);
        }
    }
}

Test(checkpoint, load_restores_every_bit)
{
    const char *const precision[] = {"train.precision=fp32", "train.precision=bf16"};
    for (int p = 0; p < 2; p++) {
        config cfg = parse(1, &precision[p]);
        opened a = open_run(&cfg), b = open_run(&cfg);
        (void)digest_after(a.r, 3);
        cr_assert_eq(checkpoint_start(a.r, a.folder, 0), OK);
        cr_assert_eq(checkpoint_finish(a.r), OK, "%s", status_message());
        checkpoint_info info;
        cr_assert_eq(checkpoint_find(&info, b.w, a.folder, NULL, NULL), OK);
        cr_assert_eq(checkpoint_load(b.r, &info, false), OK, "%s", status_message());
        cr_assert_eq(digest_after(a.r, 2), digest_after(b.r, 2));
        close_run(&a);
        close_run(&b);
    }
}

static int skipped_count;
static void count_skipped(void *context, const char *path, const char *why)
{
    (void)context;
    cr_assert(strlen(path) > 0 && strlen(why) > 0);
    skipped_count++;
}

/* Every file of a checkpoint cut at every 4096-byte border (and to nothing) is refused with a
 * reason. */
Test(checkpoint, a_cut_file_is_never_loaded)
{
    config cfg = parse(0, NULL);
    opened o = open_run(&cfg);
    (void)digest_after(o.r, 1);
    cr_assert_eq(checkpoint_start(o.r, o.folder, 0), OK);
    cr_assert_eq(checkpoint_finish(o.r), OK, "%s", status_message());
    int cuts = 0;
    const char *const names[] = {"manifest.json", "config.json", "weights.safetensors",
                                 "optimizer.safetensors"};
    for (int n = 0; n < 4; n++) {
        char path[256], *whole;
        int64_t bytes;
        snprintf(path, sizeof path, "%s/step-1/%s", o.folder, names[n]);
        cr_assert_eq(file_read_text(&whole, &bytes, path, 1 << 28), OK);
        for (int64_t at = bytes - 1; at >= 0; at = at > 0 ? (at - 1) / CUT_BYTES * CUT_BYTES : -1) {
            checkpoint_info info;
            cr_assert_eq(truncate(path, at), 0);
            skipped_count = 0;
            cr_assert_eq(checkpoint_find(&info, o.w, o.folder, count_skipped, NULL), OK);
            cr_assert(info.path[0] == '\0' && skipped_count == 1, "%s cut at %lld was accepted",
                      names[n], (long long)at);
            cr_assert_eq(file_write_text(path, whole, bytes), OK);
            cuts++;
            if (at == 0) break;
        }
        free(whole);
    }
    checkpoint_info info;
    cr_assert_eq(checkpoint_find(&info, o.w, o.folder, NULL, NULL), OK);
    cr_assert(info.path[0] != '\0', "the whole checkpoint is no longer accepted");
    cr_assert(cuts > CUTS, "%d cuts", cuts);
    close_run(&o);
}

Test(checkpoint, old_ones_go_and_kept_ones_stay)
{
    const char *const keep[] = {"checkpoint.keep_last=2", "checkpoint.keep_every_tokens=3072",
                                "checkpoint.every_tokens=1024"};
    config cfg = parse(3, keep);
    opened o = open_run(&cfg);
    for (int i = 0; i < 7; i++) {
        (void)digest_after(o.r, 1);
        cr_assert_eq(checkpoint_start(o.r, o.folder, 0), OK);
        cr_assert_eq(checkpoint_finish(o.r), OK, "%s", status_message());
    }
    int64_t *steps, count = checkpoint_list(o.folder, &steps);
    const int64_t expected[] = {7, 6, 3};
    cr_assert_eq(count, 3);
    cr_assert_arr_eq(steps, expected, sizeof expected);
    free(steps);
    close_run(&o);
}

Test(step, a_non_finite_gradient_skips_the_step_and_a_row_of_them_ends_the_run)
{
    const char *const limit = "limits.nonfinite_in_a_row=2";
    config cfg = parse(1, &limit);
    opened o = open_run(&cfg);
    uint64_t before = digest_after(o.r, 1);
    /* poison one norm gain: the loss becomes NaN */
    tensor gain = params_weight(&o.r->params, PARAM_FINAL_GAIN, -1);
    float kept = ((float *)gain.data)[0];
    ((float *)gain.data)[0] = NAN;
    step_result s;
    cr_assert_eq(run_step(o.r, false, &s), OK, "%s", status_message());
    cr_assert(s.skipped);
    cr_assert_eq(o.r->at.updates, 1);
    cr_assert_eq(run_step(o.r, false, &s), ERR_NUMERIC);
    cr_assert(strstr(status_message(), "2 steps in a row"), "%s", status_message());
    /* a loss that is not known has no error of 0 */
    evaluation e;
    cr_assert_eq(run_evaluate(o.r, &e), OK);
    cr_assert(isnan(e.loss) && isnan(e.loss_se), "%g +- %g", e.loss, e.loss_se);
    /* nothing but the poisoned value has changed */
    uint64_t after;
    ((float *)gain.data)[0] = kept;
    cr_assert_eq(run_digest(o.r, &after), OK);
    cr_assert_eq(before, after);
    close_run(&o);
}

Test(evaluation, the_synthetic_entropy_is_a_floor_and_repeats_give_the_same_bits)
{
    config cfg = parse(0, NULL);
    opened o = open_run(&cfg);
    evaluation a, b;
    cr_assert_eq(run_evaluate(o.r, &a), OK, "%s", status_message());
    cr_assert_eq(run_evaluate(o.r, &b), OK);
    cr_assert_eq(memcmp(&a.loss, &b.loss, 8), 0);
    cr_assert(a.oracle > 0 && a.loss > a.oracle, "loss %g, entropy %g", a.loss, a.oracle);
    cr_assert(isnan(a.bits_per_byte));
    close_run(&o);
}
