#include "support/strict_ops.h"

#include <stdio.h>
#include <stdlib.h>

/* guards are NaN in every floating type, so that what is read beyond an end shows in the result */
enum { GUARD_BYTES = 256, GUARD_FILL = 0xFF, ALLOCATIONS_MAX = 4096 };

typedef struct allocation {
    char *base; /* of the guard in front; NULL = free */
    int64_t bytes;
} allocation;

struct device {
    const ops *inner;
    device *wrapped;
    allocation allocations[ALLOCATIONS_MAX];
    int32_t allocation_count;
    strict_counts counts;
};

const strict_counts *strict_counts_view(const device *d) { return &d->counts; }

status strict_open_over(device **out, const ops *inner, const device_options *options)
{
    device *d = calloc(1, sizeof *d);
    REQUIRE(d, ERR_MEMORY, "strict: no memory");
    d->inner = inner;
    status s = inner->open(&d->wrapped, options);
    if (s == OK)
        *out = d;
    else
        free(d);
    return s;
}

static status strict_open(device **out, const device_options *options)
{
    char name[64];
    const ops *inner;
    REQUIRE(options && options->path && strlen(options->path) < sizeof name, ERR_CONFIG,
            "strict: path must be BACKEND or BACKEND:PATH");
    (void)snprintf(name, sizeof name, "%s", options->path);
    device_options inside = {.local_rank = options->local_rank, .path = "auto"};
    char *colon = strchr(name, ':');
    if (colon) {
        *colon = '\0';
        inside.path = colon + 1;
    }
    TRY(backend_find(&inner, name));
    return strict_open_over(out, inner, &inside);
}

static void strict_close(device *d)
{
    if (!d) return;
    d->inner->close(d->wrapped);
    free(d);
}

static void strict_describe(const device *d, char *text, size_t bytes)
{
    d->inner->describe(d->wrapped, text, bytes);
}
static int64_t strict_workspace_bytes(const device *d, const op_shapes *shapes)
{
    return d->inner->workspace_bytes(d->wrapped, shapes);
}
static status strict_reserve(device *d, void *workspace, int64_t bytes, const op_shapes *shapes)
{
    return d->inner->reserve(d->wrapped, workspace, bytes, shapes);
}

static status strict_alloc(device *d, void **out, int64_t bytes)
{
    void *base;
    unsigned char guard[GUARD_BYTES];
    memset(guard, GUARD_FILL, sizeof guard);
    REQUIRE(d->allocation_count < ALLOCATIONS_MAX, ERR_INTERNAL, "strict: too many allocations");
    TRY(d->inner->alloc(d->wrapped, &base, bytes + 2 * GUARD_BYTES));
    TRY(d->inner->upload(d->wrapped, base, guard, GUARD_BYTES));
    TRY(d->inner->upload(d->wrapped, (char *)base + GUARD_BYTES + bytes, guard, GUARD_BYTES));
    d->allocations[d->allocation_count++] = (allocation){base, bytes};
    d->counts.allocated_bytes += bytes;
    *out = (char *)base + GUARD_BYTES;
    return OK;
}

static void strict_release(device *d, void *memory, int64_t bytes)
{
    if (!memory) return;
    char *base = (char *)memory - GUARD_BYTES;
    for (int32_t i = 0; i < d->allocation_count; i++)
        if (d->allocations[i].base == base) {
            ASSERT(d->allocations[i].bytes == bytes);
            d->counts.allocated_bytes -= bytes;
            d->allocations[i] = d->allocations[--d->allocation_count];
            d->inner->release(d->wrapped, base, bytes + 2 * GUARD_BYTES);
            return;
        }
    assert_failed(__FILE__, __LINE__, "memory of this device");
}

static status strict_upload(device *d, void *to, const void *from_host, int64_t bytes)
{
    return d->inner->upload(d->wrapped, to, from_host, bytes);
}
static status strict_download(device *d, void *to_host, const void *from, int64_t bytes)
{
    return d->inner->download(d->wrapped, to_host, from, bytes);
}
static status strict_zero(device *d, void *memory, int64_t bytes)
{
    return d->inner->zero(d->wrapped, memory, bytes);
}
static status strict_event_record(device *d, int32_t event, queue q)
{
    return d->inner->event_record(d->wrapped, event, q);
}
static status strict_queue_wait(device *d, queue q, int32_t event)
{
    return d->inner->queue_wait(d->wrapped, q, event);
}
static status strict_sync(device *d) { return d->inner->sync(d->wrapped); }
static double strict_burst(device *d, dtype type) { return d->inner->burst(d->wrapped, type); }

/* --- what is done around an op ---------------------------------------------------------------- */

/* a quiet NaN with a payload no arithmetic makes; in integers a value no test expects */
static void poison_element(char *at, dtype type)
{
    const uint16_t p16 = 0x7fdb;
    const uint32_t p32 = 0x7fdbdbdbu;
    const uint64_t p64 = 0x7ffbdbdbdbdbdbdbu;
    if (type == DTYPE_BF16)
        memcpy(at, &p16, 2);
    else if (type == DTYPE_F32 || type == DTYPE_I32)
        memcpy(at, &p32, 4);
    else
        memcpy(at, &p64, 8);
}

static status poison(device *d, tensor t)
{
    int64_t size = dtype_bytes(t.type), bytes = tensor_bytes(t);
    char *host = malloc((size_t)bytes + 1);
    REQUIRE(host, ERR_MEMORY, "strict: no memory");
    for (int64_t at = 0; at < bytes; at += size) poison_element(host + at, t.type);
    status s = d->inner->upload(d->wrapped, t.data, host, bytes);
    free(host);
    return s;
}

/* the first element that still holds the pattern, or -1 */
static status find_poison(device *d, tensor t, int64_t *found)
{
    int64_t size = dtype_bytes(t.type), bytes = tensor_bytes(t);
    char pattern[8], *host = malloc((size_t)bytes + 1);
    REQUIRE(host, ERR_MEMORY, "strict: no memory");
    poison_element(pattern, t.type);
    *found = -1;
    status s = d->inner->download(d->wrapped, host, t.data, bytes);
    for (int64_t i = 0; s == OK && *found < 0 && i * size < bytes; i++)
        if (memcmp(host + i * size, pattern, (size_t)size) == 0) *found = i;
    free(host);
    return s;
}

/* FNV-1a over the bytes */
static status checksum(device *d, tensor t, uint64_t *sum)
{
    int64_t bytes = tensor_bytes(t);
    unsigned char *host = malloc((size_t)bytes + 1);
    REQUIRE(host, ERR_MEMORY, "strict: no memory");
    status s = d->inner->download(d->wrapped, host, t.data, bytes);
    *sum = 0xcbf29ce484222325u;
    for (int64_t i = 0; s == OK && i < bytes; i++) *sum = (*sum ^ host[i]) * 0x100000001b3u;
    free(host);
    return s;
}

static status check_guards(device *d, const char *op)
{
    unsigned char guard[2 * GUARD_BYTES];
    for (int32_t i = 0; i < d->allocation_count; i++) {
        allocation *a = &d->allocations[i];
        TRY(d->inner->download(d->wrapped, guard, a->base, GUARD_BYTES));
        TRY(d->inner->download(d->wrapped, guard + GUARD_BYTES, a->base + GUARD_BYTES + a->bytes,
                               GUARD_BYTES));
        for (int j = 0; j < 2 * GUARD_BYTES; j++)
            REQUIRE(guard[j] == GUARD_FILL, ERR_INTERNAL,
                    "strict: %s wrote %s an allocation of %lld bytes, %d bytes off its %s", op,
                    j < GUARD_BYTES ? "before" : "behind", (long long)a->bytes,
                    j < GUARD_BYTES ? GUARD_BYTES - j : j - GUARD_BYTES + 1,
                    j < GUARD_BYTES ? "start" : "end");
    }
    return OK;
}

static status strict_run(device *d, op_id op, const op_args *a)
{
    const op_row *row = &op_table[op];
    uint64_t before[OP_FIELDS_MAX] = {0};
    ASSERT(row->fields <= OP_FIELDS_MAX);
    for (int i = 0; i < row->fields; i++) {
        tensor t = op_field_get(op, a, i);
        if (!t.data) continue;
        field_role role = op_field_role(op, a, i);
        if (role == FIELD_OUT) TRY(poison(d, t));
        if (role == FIELD_IN) TRY(checksum(d, t, &before[i]));
    }
    TRY(op_run(d->inner, d->wrapped, op, a));
    TRY(d->inner->sync(d->wrapped));
    for (int i = 0; i < row->fields; i++) {
        tensor t = op_field_get(op, a, i);
        field_role role = op_field_role(op, a, i);
        int64_t unwritten = -1;
        uint64_t after = before[i];
        if (t.data && role == FIELD_OUT) TRY(find_poison(d, t, &unwritten));
        if (t.data && role == FIELD_IN) TRY(checksum(d, t, &after));
        REQUIRE(unwritten < 0, ERR_INTERNAL, "strict: %s left %s[%lld] unwritten", row->name,
                row->field[i].name, (long long)unwritten);
        REQUIRE(after == before[i], ERR_INTERNAL, "strict: %s changed its input %s", row->name,
                row->field[i].name);
    }
    d->counts.calls[op]++;
    d->counts.flops += op_flops(op, a);
    d->counts.bytes += op_bytes(op, a);
    return check_guards(d, row->name);
}

#define AS_WRAPPER(name)                                                                           \
    static status strict_##name(device *d, const name##_args *a)                                   \
    {                                                                                              \
        op_args args;                                                                              \
        memset(&args, 0, sizeof args);                                                             \
        args.name = *a;                                                                            \
        return strict_run(d, OP_##name, &args);                                                    \
    }
OP_LIST(AS_WRAPPER)

static status strict_convert_tensors(device *d, tensor to, tensor from)
{
    convert_args a = {to, from};
    return strict_convert(d, &a);
}

const ops strict_ops = {
    .name = "strict",
    .open = strict_open,
    .close = strict_close,
    .describe = strict_describe,
    .workspace_bytes = strict_workspace_bytes,
    .reserve = strict_reserve,
    .alloc = strict_alloc,
    .release = strict_release,
    .upload = strict_upload,
    .download = strict_download,
    .zero = strict_zero,
    .event_record = strict_event_record,
    .queue_wait = strict_queue_wait,
    .sync = strict_sync,
    .embed = strict_embed,
    .embed_backward = strict_embed_backward,
    .norm = strict_norm,
    .norm_backward = strict_norm_backward,
    .linear = strict_linear,
    .linear_backward_input = strict_linear_backward_input,
    .linear_backward_weight = strict_linear_backward_weight,
    .swiglu = strict_swiglu,
    .swiglu_backward = strict_swiglu_backward,
    .rope = strict_rope,
    .attention = strict_attention,
    .attention_backward = strict_attention_backward,
    .head = strict_head,
    .accumulate = strict_accumulate,
    .sum_squares = strict_sum_squares,
    .clip_scalars = strict_clip_scalars,
    .adamw = strict_adamw,
    .digest = strict_digest,
    .convert = strict_convert_tensors,
    .burst = strict_burst,
};
