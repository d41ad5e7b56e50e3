#include "kernels/ref/ref.h"

#include <stdio.h>
#include <stdlib.h>

static status ref_open(device **out, const device_options *options)
{
    const char *path = options && options->path ? options->path : "auto";
    REQUIRE(strcmp(path, "auto") == 0, ERR_CONFIG,
            "backend ref has no instruction path '%s'; allowed: auto", path);
    device *d = calloc(1, sizeof *d);
    REQUIRE(d, ERR_MEMORY, "cannot open backend ref: no memory");
    *out = d;
    return OK;
}

static void ref_close(device *d) { free(d); }

/* exp, log and tanh come from the C library, whose version a run says */
static void ref_describe(const device *d, char *text, size_t bytes)
{
    (void)d;
    (void)snprintf(text, bytes, "ref double");
}

static int64_t most(int64_t a, int64_t b) { return a > b ? a : b; }

/* two rows of the widest thing, plus per token (head) or per head (attention backward) sums */
static int64_t ref_workspace_bytes(const device *d, const op_shapes *s)
{
    (void)d;
    int64_t wide = most(most(s->C, 2 * s->F), most(s->V, s->T));
    wide = most(wide, (s->NH + 2 * s->NKV) * s->HS);
    int64_t sums = most(s->B * s->T, 2 * s->T * s->HS + s->HS);
    return (2 * wide + sums) * (int64_t)sizeof(double);
}

static status ref_reserve(device *d, void *workspace, int64_t bytes, const op_shapes *shapes)
{
    ASSERT(bytes >= ref_workspace_bytes(d, shapes) && (uintptr_t)workspace % 8 == 0);
    d->workspace = workspace;
    d->workspace_bytes = bytes;
    return OK;
}

double *ref_scratch(const device *d, int64_t count)
{
    ASSERT(count * (int64_t)sizeof(double) <= d->workspace_bytes);
    return (double *)(void *)d->workspace;
}

static status ref_alloc(device *d, void **out, int64_t bytes)
{
    (void)d;
    ASSERT(bytes >= 0);
    size_t rounded = ((size_t)bytes + 63) / 64 * 64;
    void *memory = aligned_alloc(64, rounded ? rounded : 64);
    REQUIRE(memory, ERR_MEMORY, "cannot allocate %.1f MiB for backend ref",
            (double)bytes / 1048576);
    memset(memory, 0, rounded);
    *out = memory;
    return OK;
}

static void ref_release(device *d, void *memory, int64_t bytes)
{
    (void)d;
    (void)bytes;
    free(memory);
}

static status ref_copy(device *d, void *to, const void *from, int64_t bytes)
{
    (void)d;
    if (bytes > 0) memcpy(to, from, (size_t)bytes);
    return OK;
}

static status ref_zero(device *d, void *memory, int64_t bytes)
{
    (void)d;
    if (bytes > 0) memset(memory, 0, (size_t)bytes);
    return OK;
}

/* work runs at once, so every event has happened when it is recorded */
static status ref_event(device *d, int32_t event)
{
    (void)d;
    ASSERT(event >= 0 && event < EVENTS_MAX);
    return OK;
}
static status ref_event_record(device *d, int32_t event, queue q)
{
    (void)q;
    return ref_event(d, event);
}
static status ref_queue_wait(device *d, queue q, int32_t event)
{
    (void)q;
    return ref_event(d, event);
}
static status ref_sync(device *d)
{
    (void)d;
    return OK;
}

static double ref_burst(device *d, dtype type)
{
    (void)d;
    (void)type;
    return 0;
}

double ref_dot(tensor a, int64_t at_a, tensor b, int64_t at_b, int64_t count)
{
    /* four running sums, combined in a fixed order */
    double s[4] = {0, 0, 0, 0};
    int64_t i = 0;
    if (a.type == DTYPE_F32 && b.type == DTYPE_F32) {
        const float *p = (const float *)a.data + at_a, *q = (const float *)b.data + at_b;
        for (; i + 4 <= count; i += 4)
            for (int64_t j = 0; j < 4; j++) s[j] += (double)p[i + j] * (double)q[i + j];
    } else {
        for (; i + 4 <= count; i += 4)
            for (int64_t j = 0; j < 4; j++) s[j] += load(a, at_a + i + j) * load(b, at_b + i + j);
    }
    for (; i < count; i++) s[0] += load(a, at_a + i) * load(b, at_b + i);
    return (s[0] + s[1]) + (s[2] + s[3]);
}

void ref_add_scaled(double *acc, double scale, tensor b, int64_t at, int64_t count)
{
    if (b.type == DTYPE_F32) {
        const float *q = (const float *)b.data + at;
        for (int64_t i = 0; i < count; i++) acc[i] += scale * (double)q[i];
        return;
    }
    for (int64_t i = 0; i < count; i++) acc[i] += scale * load(b, at + i);
}

void ref_store_row(tensor t, int64_t at, const double *acc, int64_t count)
{
    for (int64_t i = 0; i < count; i++) store(t, at + i, acc[i]);
}

const ops ref_ops = {
    .name = "ref",
    .open = ref_open,
    .close = ref_close,
    .describe = ref_describe,
    .workspace_bytes = ref_workspace_bytes,
    .reserve = ref_reserve,
    .alloc = ref_alloc,
    .release = ref_release,
    .upload = ref_copy,
    .download = ref_copy,
    .zero = ref_zero,
    .event_record = ref_event_record,
    .queue_wait = ref_queue_wait,
    .sync = ref_sync,
    .embed = ref_embed,
    .embed_backward = ref_embed_backward,
    .norm = ref_norm,
    .norm_backward = ref_norm_backward,
    .linear = ref_linear,
    .linear_backward_input = ref_linear_backward_input,
    .linear_backward_weight = ref_linear_backward_weight,
    .swiglu = ref_swiglu,
    .swiglu_backward = ref_swiglu_backward,
    .rope = ref_rope,
    .attention = ref_attention,
    .attention_backward = ref_attention_backward,
    .head = ref_head,
    .accumulate = ref_accumulate,
    .sum_squares = ref_sum_squares,
    .clip_scalars = ref_clip_scalars,
    .adamw = ref_adamw,
    .digest = ref_digest,
    .convert = ref_convert,
    .burst = ref_burst,
};
