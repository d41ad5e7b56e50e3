#include "comm/comm_reduce.h"

#include <string.h>

/* One build runs on every x86-64: the loader picks the widest of these by what the machine has.
 * Sanitizers start after the loader has picked, so under them there is one portable version.    */
#if defined(__x86_64__) && defined(__gnu_linux__) && !defined(__SANITIZE_THREAD__) && \
    !defined(__SANITIZE_ADDRESS__)
#define WIDEST __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define WIDEST
#endif

enum { STRIP = 1024 }; /* elements: results of a strip stay in the first-level cache */

/* out = a op b; out may be a or b itself, never a shifted one. Sums of int64 wrap (as unsigned):
 * the sum of terms that wrap on the way is still exact when it fits.                            */
#define COMBINE(NAME, TYPE, EXPRESSION)                                                             \
    WIDEST static void NAME(TYPE *out, const TYPE *a, const TYPE *b, int64_t count)                \
    {                                                                                              \
        _Pragma("GCC ivdep") for (int64_t i = 0; i < count; i++) out[i] = (EXPRESSION);            \
    }
COMBINE(sum_i64, uint64_t, a[i] + b[i])
COMBINE(sum_f32, float, a[i] + b[i])
COMBINE(max_i64, int64_t, b[i] > a[i] ? b[i] : a[i])
COMBINE(max_i32, int32_t, b[i] > a[i] ? b[i] : a[i])
COMBINE(max_f64, double, b[i] > a[i] || b[i] != b[i] ? b[i] : a[i])
#undef COMBINE

static void combine(const reduce_job *job, void *out, const void *a, const void *b, int64_t count)
{
    bool sum = job->op == COMM_SUM;
    switch (job->type) {
    case DTYPE_I64: sum ? sum_i64(out, a, b, count) : max_i64(out, a, b, count); return;
    case DTYPE_F32: sum_f32(out, a, b, count); return;
    case DTYPE_I32: max_i32(out, a, b, count); return;
    case DTYPE_F64: max_f64(out, a, b, count); return;
    default: ASSERT(!"a type that comm.h does not reduce");
    }
}

void comm_reduce(const reduce_job *job)
{
    _Alignas(64) char strip[STRIP * 8];
    int64_t unit = dtype_bytes(job->type);
    for (int64_t at = 0; at < job->count; at += STRIP) {
        int64_t count = job->count - at < STRIP ? job->count - at : STRIP, shift = at * unit;
        /* one result goes straight to its place, several are kept and then copied */
        char *final = job->out_count == 1 ? (char *)job->out[0] + shift : strip;
        const void *sum = (const char *)job->in[0] + shift;
        for (int32_t s = 1; s < job->in_count; s++) {
            char *to = s == job->in_count - 1 ? final : strip;
            combine(job, to, sum, (const char *)job->in[s] + shift, count);
            sum = to;
        }
        for (int32_t d = 0; d < job->out_count; d++)
            if ((char *)job->out[d] + shift != sum)
                memcpy((char *)job->out[d] + shift, sum, (size_t)(count * unit));
    }
}
