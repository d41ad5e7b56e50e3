#include "comm/comm_reduce.h"

#include <string.h>

/* One build runs on every x86-64: the loader picks the widest of these by what the machine has.
 * Sanitizers start after the loader has picked, so under them there is one portable version.    */
#if defined(__x86_64__) && defined(__gnu_linux__) && !defined(__SANITIZE_THREAD__) &&              \
    !defined(__SANITIZE_ADDRESS__)
#define WIDEST __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define WIDEST
#endif

/* results may be sources, so the compiler has to be told that iterations do not meet */
#ifdef __clang__
#define INDEPENDENT _Pragma("clang loop vectorize(assume_safety)")
#else
#define INDEPENDENT _Pragma("GCC ivdep")
#endif

enum { STRIP = 1024 }; /* elements: results of a strip stay in the first-level cache */

/* out = a op b, and out = ((a op b) op c) op d in one pass over memory; out may be a source itself,
 * never a shifted one. Sums of int64 wrap (as unsigned): the sum of terms that wrap on the way is
 * still exact when it fits.                                                                     */
#define COMBINE(NAME, TYPE, OP)                                                                    \
    WIDEST static void NAME##_2(void *to, const void *const *from, int64_t count)                  \
    {                                                                                              \
        TYPE *out = to;                                                                            \
        const TYPE *a = from[0], *b = from[1];                                                     \
        INDEPENDENT for (int64_t i = 0; i < count; i++) out[i] = OP(a[i], b[i]);                   \
    }                                                                                              \
    WIDEST static void NAME##_4(void *to, const void *const *from, int64_t count)                  \
    {                                                                                              \
        TYPE *out = to;                                                                            \
        const TYPE *a = from[0], *b = from[1], *c = from[2], *d = from[3];                         \
        INDEPENDENT for (int64_t i = 0; i < count; i++)                                            \
        {                                                                                          \
            TYPE ab = OP(a[i], b[i]), abc = OP(ab, c[i]);                                          \
            out[i] = OP(abc, d[i]);                                                                \
        }                                                                                          \
    }
#define SUM(a, b)        ((a) + (b))
#define MAX(a, b)        ((b) > (a) ? (b) : (a))
#define MAX_OR_NAN(a, b) ((b) > (a) || (b) != (b) ? (b) : (a))
COMBINE(sum_i64, uint64_t, SUM)
COMBINE(sum_f32, float, SUM)
COMBINE(max_i64, int64_t, MAX)
COMBINE(max_i32, int32_t, MAX)
COMBINE(max_f64, double, MAX_OR_NAN)
#undef COMBINE
#undef SUM
#undef MAX
#undef MAX_OR_NAN

typedef void (*combiner)(void *to, const void *const *from, int64_t count);

static combiner find_combiner(const reduce_job *job, bool four)
{
    bool sum = job->op == COMM_SUM;
    switch (job->type) {
    case DTYPE_I64:
        return sum ? (four ? sum_i64_4 : sum_i64_2) : (four ? max_i64_4 : max_i64_2);
    case DTYPE_F32:
        return four ? sum_f32_4 : sum_f32_2;
    case DTYPE_I32:
        return four ? max_i32_4 : max_i32_2;
    case DTYPE_F64:
        return four ? max_f64_4 : max_f64_2;
    default:
        ASSERT(false); /* comm.c has refused it */
    }
    return NULL;
}

void comm_reduce(const reduce_job *job)
{
    _Alignas(64) char strip[STRIP * 8];
    combiner two = find_combiner(job, false), four = find_combiner(job, true);
    int64_t unit = dtype_bytes(job->type);
    for (int64_t at = 0; at < job->count; at += STRIP) {
        int64_t count = job->count - at < STRIP ? job->count - at : STRIP, shift = at * unit;
        /* one result goes straight to its place, several are kept and then copied */
        char *final = job->out_count == 1 ? (char *)job->out[0] + shift : strip;
        const void *from[4] = {(const char *)job->in[0] + shift};
        for (int32_t s = 1; s < job->in_count;) {
            int32_t more = job->in_count - s >= 3 ? 3 : 1;
            for (int32_t k = 0; k < more; k++) from[k + 1] = (const char *)job->in[s + k] + shift;
            s += more;
            char *to = s == job->in_count ? final : strip;
            (more == 3 ? four : two)(to, from, count);
            from[0] = to;
        }
        for (int32_t d = 0; d < job->out_count; d++)
            if ((char *)job->out[d] + shift != from[0])
                memcpy((char *)job->out[d] + shift, from[0], (size_t)(count * unit));
    }
}
