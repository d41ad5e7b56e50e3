/* laws of the ops that carry "the same bits on any number of ranks", on every backend and path */
#include "base/rng.h"
#include "op_test.h"

#include <math.h>

/* --- memory of the device, filled from the host --------------------------- */

static void *put(const op_target *t, const void *from, int64_t bytes)
{
    void *memory;
    cr_assert(t->o->alloc(t->d, &memory, bytes + 64) == OK, "%s", status_message());
    if (from) cr_assert(t->o->upload(t->d, memory, from, bytes) == OK);
    return memory;
}
static void drop(const op_target *t, void *memory, int64_t bytes)
{
    t->o->release(t->d, memory, bytes + 64);
}
static void get(const op_target *t, void *to, const void *from, int64_t bytes)
{
    cr_assert(t->o->sync(t->d) == OK && t->o->download(t->d, to, from, bytes) == OK);
}

static float normal(uint64_t stream, int64_t i)
{
    double pair[2];
    rng_normal2(3, RNG_TEST, stream, (uint64_t)i, pair);
    return (float)pair[0];
}

/* --- accumulate ----------------------------------------------------------- */

enum { N = 1003, MICRO = 6 };

/* the sum of the micro-batches in this order, and the flag */
static int32_t sum_in_order(const op_target *t, float gradients[MICRO][N], const int *order,
                            int64_t *sum)
{
    int32_t flag = 0;
    void *on_sum = put(t, NULL, N * 8), *on_flag = put(t, &flag, 4);
    for (int m = 0; m < MICRO; m++) {
        void *on_gradient = put(t, gradients[order[m]], N * 4);
        accumulate_args a = {.sum = tensor_1(on_sum, DTYPE_I64, N),
                             .gradient = tensor_1(on_gradient, DTYPE_F32, N),
                             .flag = on_flag,
                             .first = m == 0,
                             .limit = 0x1p63 / MICRO};
        cr_assert(t->o->accumulate(t->d, &a) == OK && t->o->sync(t->d) == OK);
        drop(t, on_gradient, N * 4);
    }
    get(t, sum, on_sum, N * 8);
    get(t, &flag, on_flag, 4);
    drop(t, on_sum, N * 8);
    drop(t, on_flag, 4);
    return flag;
}

ParameterizedTestParameters(exact, a_sum_of_micro_batches_does_not_depend_on_order)
{
    return op_test_indices(target_count());
}
ParameterizedTest(int *index, exact, a_sum_of_micro_batches_does_not_depend_on_order)
{
    op_target t = op_target_open(*index, false);
    static const int orders[][MICRO] = {{0, 1, 2, 3, 4, 5},
                                        {5, 4, 3, 2, 1, 0},
                                        {3, 1, 5, 0, 2, 4},
                                        {1, 0, 3, 2, 5, 4},
                                        {2, 4, 0, 5, 3, 1}};
    static float gradients[MICRO][N];
    static int64_t first[N], other[N];
    /* magnitudes from far below the resolution to thousands */
    for (int m = 0; m < MICRO; m++)
        for (int i = 0; i < N; i++)
            gradients[m][i] = normal((uint64_t)m, i) * ldexpf(1, i % 64 - 52);
    cr_expect(sum_in_order(&t, gradients, orders[0], first) == 0);
    for (int i = 0; i < N; i++) {
        int64_t expected = 0;
        for (int m = 0; m < MICRO; m++) expected += (int64_t)rint((double)gradients[m][i] * 0x1p44);
        cr_assert(first[i] == expected, "%s [%d]: %lld, expected %lld", t.name, i,
                  (long long)first[i], (long long)expected);
    }
    for (size_t k = 1; k < sizeof orders / sizeof *orders; k++) {
        cr_expect(sum_in_order(&t, gradients, orders[k], other) == 0);
        cr_expect(memcmp(first, other, sizeof first) == 0, "%s: order %zu gives other bits", t.name,
                  k);
    }
    t.o->close(t.d);
}

/* the largest values a limit of 2^63 / M allows, all of one sign, cannot leave int64 */
ParameterizedTestParameters(exact,
                            values_below_the_limit_never_overflow_and_those_at_it_are_flagged)
{
    return op_test_indices(target_count());
}
ParameterizedTest(int *index, exact,
                  values_below_the_limit_never_overflow_and_those_at_it_are_flagged)
{
    op_target t = op_target_open(*index, false);
    static const int order[MICRO] = {0, 1, 2, 3, 4, 5};
    static float gradients[MICRO][N];
    static int64_t sum[N];
    float limit = (float)(0x1p63 / MICRO / 0x1p44), below = nextafterf(limit, 0);
    while ((double)below * 0x1p44 >= 0x1p63 / MICRO) below = nextafterf(below, 0);
    for (int m = 0; m < MICRO; m++)
        for (int i = 0; i < N; i++) gradients[m][i] = i % 2 ? below : -below;
    cr_expect(sum_in_order(&t, gradients, order, sum) == 0);
    for (int i = 0; i < N; i++) {
        int64_t expected = MICRO * (int64_t)((double)gradients[0][i] * 0x1p44);
        cr_assert(sum[i] == expected, "%s [%d]: %lld, expected %lld", t.name, i, (long long)sum[i],
                  (long long)expected);
    }
    /* one value at the limit, in any place, counts as 0 and sets the flag */
    for (int at = 0; at < N; at += 91) {
        gradients[3][at] = nextafterf(below, INFINITY);
        cr_expect(sum_in_order(&t, gradients, order, sum) == 1, "%s [%d]", t.name, at);
        int64_t expected = (MICRO - 1) * (int64_t)((double)gradients[0][at] * 0x1p44);
        cr_expect(sum[at] == expected, "%s [%d]: %lld", t.name, at, (long long)sum[at]);
        gradients[3][at] = gradients[0][at];
    }
    t.o->close(t.d);
}

/* the sums of gradient[0, n), made in calls of at most `piece` elements */
static void sum_in_pieces(const op_target *t, float *gradient, int64_t n, int64_t piece,
                          int64_t *out)
{
    int32_t flag = 0;
    void *on_sum = put(t, NULL, n * 8), *on_flag = put(t, &flag, 4);
    for (int64_t i = 0; i < n; i += piece) {
        const int64_t count = n - i < piece ? n - i : piece;
        accumulate_args a = {.sum = tensor_1((int64_t *)on_sum + i, DTYPE_I64, count),
                             .gradient = tensor_1(gradient + i, DTYPE_F32, count),
                             .flag = on_flag,
                             .first = true};
        cr_assert(t->o->accumulate(t->d, &a) == OK);
    }
    get(t, out, on_sum, n * 8);
    get(t, &flag, on_flag, 4);
    cr_expect(flag == 0, "%s", t->name);
    drop(t, on_sum, n * 8), drop(t, on_flag, 4);
}

ParameterizedTestParameters(exact, long_calls_give_the_sums_of_short_ones)
{
    return op_test_indices(target_count());
}
ParameterizedTest(int *index, exact, long_calls_give_the_sums_of_short_ones)
{
    op_target t = op_target_open(*index, false);
    /* on processors above the length from which sums pass the caches */
    const int64_t n = (strcmp(t.o->name, "cpu") == 0 ? 1 << 20 : 1 << 12) + 27;
    float *gradient = malloc((size_t)n * 4);
    int64_t *whole = malloc((size_t)n * 8), *pieces = malloc((size_t)n * 8);
    for (int64_t i = 0; i < n; i++)
        gradient[i] = (float)(int32_t)((uint32_t)i * 0x9E3779B9u) * 0x1p-40f;
    void *on_gradient = put(&t, gradient, n * 4);
    sum_in_pieces(&t, on_gradient, n, n, whole);
    sum_in_pieces(&t, on_gradient, n, 10007, pieces);
    cr_expect(memcmp(whole, pieces, (size_t)n * 8) == 0, "%s", t.name);
    cr_expect(whole[n - 1] == (int64_t)rint((double)gradient[n - 1] * 0x1p44), "%s", t.name);
    drop(&t, on_gradient, n * 4);
    free(gradient), free(whole), free(pieces);
    t.o->close(t.d);
}

/* one bad value among N good ones, then a good micro-batch */
static void expect_flag(const op_target *t, float bad, int at, reduction kind, bool set)
{
    static float gradient[N], good[N];
    for (int i = 0; i < N; i++) gradient[i] = good[i] = 0.5f;
    gradient[at] = bad;
    int32_t flag = 0;
    void *on_sum = put(t, NULL, N * 8), *on_flag = put(t, &flag, 4);
    void *on_bad = put(t, gradient, N * 4), *on_good = put(t, good, N * 4);
    tensor sum = tensor_1(on_sum, kind == REDUCTION_EXACT ? DTYPE_I64 : DTYPE_F32, N);
    accumulate_args a = {.sum = sum,
                         .gradient = tensor_1(on_bad, DTYPE_F32, N),
                         .flag = on_flag,
                         .kind = kind,
                         .first = true};
    cr_assert(t->o->accumulate(t->d, &a) == OK);
    get(t, &flag, on_flag, 4);
    cr_expect(flag == (set ? 1 : 0), "%s: %g at %d leaves flag %d", t->name, (double)bad, at, flag);
    a.gradient.data = on_good;
    a.first = false;
    cr_assert(t->o->accumulate(t->d, &a) == OK);
    get(t, &flag, on_flag, 4);
    cr_expect(flag == (set ? 1 : 0), "%s: after a good micro-batch the flag is %d", t->name, flag);
    if (kind == REDUCTION_EXACT) {
        static int64_t sums[N];
        get(t, sums, on_sum, N * 8);
        int64_t half = (int64_t)1 << 43, own = set ? 0 : (int64_t)rint((double)bad * 0x1p44);
        for (int i = 0; i < N; i++)
            cr_assert(sums[i] == half + (i == at ? own : half), "%s: [%d] is %lld", t->name, i,
                      (long long)sums[i]);
    }
    drop(t, on_sum, N * 8), drop(t, on_flag, 4), drop(t, on_bad, N * 4), drop(t, on_good, N * 4);
}

ParameterizedTestParameters(exact, what_cannot_be_summed_sets_the_flag_and_nothing_clears_it)
{
    return op_test_indices(target_count());
}
ParameterizedTest(int *index, exact, what_cannot_be_summed_sets_the_flag_and_nothing_clears_it)
{
    op_target t = op_target_open(*index, false);
    static const int places[] = {0, 1, 15, 16, 500, N - 1};
    for (size_t p = 0; p < sizeof places / sizeof *places; p++) {
        int at = places[p];
        const float outside[] = {NAN, -NAN, INFINITY, -INFINITY, 0x1p18f, -0x1p18f, 3e38f};
        const float inside[] = {0x1.fffffep17f, -0x1.fffffep17f, 0, -0.0f, 0x1p-149f};
        for (int i = 0; i < 7; i++) expect_flag(&t, outside[i], at, REDUCTION_EXACT, true);
        for (int i = 0; i < 5; i++) expect_flag(&t, inside[i], at, REDUCTION_EXACT, false);
        for (int i = 0; i < 4; i++) expect_flag(&t, outside[i], at, REDUCTION_FAST, true);
        expect_flag(&t, 3e38f, at, REDUCTION_FAST, false);
    }
    t.o->close(t.d);
}

ParameterizedTestParameters(exact, a_sum_that_leaves_int64_sets_the_flag)
{
    return op_test_indices(target_count());
}
ParameterizedTest(int *index, exact, a_sum_that_leaves_int64_sets_the_flag)
{
    op_target t = op_target_open(*index, false);
    static const int64_t ends[] = {INT64_MAX, INT64_MIN, INT64_MAX - ((int64_t)1 << 44),
                                   INT64_MIN + 1};
    static const float steps[] = {1, -1, 1, -0x1p-44f};
    static const int32_t flags[] = {1, 1, 0, 0};
    for (int k = 0; k < 4; k++)
        for (int at = 0; at < 40; at += 13) {
            int64_t sums[40] = {0};
            float gradient[40] = {0};
            int32_t flag = 0;
            sums[at] = ends[k];
            gradient[at] = steps[k];
            void *on_sum = put(&t, sums, sizeof sums), *on_flag = put(&t, &flag, 4),
                 *on_gradient = put(&t, gradient, sizeof gradient);
            accumulate_args a = {.sum = tensor_1(on_sum, DTYPE_I64, 40),
                                 .gradient = tensor_1(on_gradient, DTYPE_F32, 40),
                                 .flag = on_flag};
            cr_assert(t.o->accumulate(t.d, &a) == OK);
            get(&t, &flag, on_flag, 4);
            get(&t, sums, on_sum, sizeof sums);
            int64_t expected = flags[k] ? ends[k] : ends[k] + (int64_t)((double)steps[k] * 0x1p44);
            cr_expect(flag == flags[k] && sums[at] == expected, "%s: end %d: flag %d, sum %lld",
                      t.name, k, flag, (long long)sums[at]);
            drop(&t, on_sum, sizeof sums), drop(&t, on_flag, 4),
                drop(&t, on_gradient, sizeof gradient);
        }
    t.o->close(t.d);
}

/* --- chunks: a stripe alone gives what it gives inside the whole ---------- */

enum { CHUNKS = 5, LENGTH = CHUNKS * CHUNK - 77 };
static const int64_t borders[][2] = {{0, CHUNK}, {CHUNK, 3 * CHUNK}, {3 * CHUNK, LENGTH}};

static void run_chunked(const op_target *t, bool squares, tensor values, void *out, int64_t n)
{
    int64_t chunks = (n + CHUNK - 1) / CHUNK;
    values.dim[0] = n;
    sum_squares_args s = {tensor_1(out, DTYPE_F64, chunks), values};
    digest_args g = {tensor_1(out, DTYPE_U64, chunks), values};
    cr_assert((squares ? t->o->sum_squares(t->d, &s) : t->o->digest(t->d, &g)) == OK);
}

/* whole and stripes of one vector; both op kinds write 8 bytes per chunk */
static void expect_stripes(const op_target *t, bool squares, dtype type, uint64_t *whole)
{
    int64_t size = dtype_bytes(type);
    char *host = calloc(LENGTH, (size_t)size);
    uint64_t stripes[CHUNKS] = {0};
    for (int64_t i = 0; i < LENGTH; i++) {
        float f = normal(9, i);
        int64_t l = (int64_t)rint((double)f * 0x1p44);
        memcpy(host + i * size, type == DTYPE_F32 ? (void *)&f : (void *)&l, (size_t)size);
    }
    char *values = put(t, host, LENGTH * size);
    uint64_t *out = put(t, NULL, CHUNKS * 8);
    run_chunked(t, squares, tensor_1(values, type, LENGTH), out, LENGTH);
    get(t, whole, out, CHUNKS * 8);
    /* last stripe first: order must not matter */
    for (int k = 2; k >= 0; k--)
        run_chunked(t, squares, tensor_1(values + borders[k][0] * size, type, 0),
                    out + borders[k][0] / CHUNK, borders[k][1] - borders[k][0]);
    get(t, stripes, out, CHUNKS * 8);
    cr_expect(memcmp(whole, stripes, sizeof stripes) == 0, "%s: stripes differ from the whole",
              t->name);
    drop(t, values, LENGTH * size);
    drop(t, out, CHUNKS * 8);
    free(host);
}

ParameterizedTestParameters(exact, sums_of_squares_over_stripes_are_those_of_the_whole)
{
    return op_test_indices(target_count());
}
ParameterizedTest(int *index, exact, sums_of_squares_over_stripes_are_those_of_the_whole)
{
    op_target t = op_target_open(*index, false);
    uint64_t whole[CHUNKS];
    expect_stripes(&t, true, DTYPE_I64, whole);
    expect_stripes(&t, true, DTYPE_F32, whole);
    t.o->close(t.d);
}

ParameterizedTestParameters(exact, digests_over_stripes_are_those_of_the_whole)
{
    return op_test_indices(target_count());
}
ParameterizedTest(int *index, exact, digests_over_stripes_are_those_of_the_whole)
{
    op_target t = op_target_open(*index, false), ref = {.o = &ref_ops, .name = "ref"};
    uint64_t whole[CHUNKS], expected[CHUNKS];
    cr_assert(ref_ops.open(&ref.d, NULL) == OK);
    expect_stripes(&t, false, DTYPE_F32, whole);
    expect_stripes(&ref, false, DTYPE_F32, expected);
    cr_expect(memcmp(whole, expected, sizeof whole) == 0, "%s: other digests than ref", t.name);
    ref_ops.close(ref.d);
    t.o->close(t.d);
}

/* the first by hand, the second by another program from the formula in ops.h */
Test(exact, the_digest_of_known_words_is_known)
{
    uint32_t three[3] = {1, 0x80000000u, 7}, more[19];
    float values[19];
    device *d;
    uint64_t out = 0;
    cr_assert(ref_ops.open(&d, NULL) == OK);
    memcpy(values, three, sizeof three);
    digest_args a = {tensor_1(&out, DTYPE_U64, 1), tensor_1(values, DTYPE_F32, 3)};
    cr_assert(ref_ops.digest(d, &a) == OK);
    /* k = 9E3779B9, 3C6EF372, DAA66D2B, 78DDE6E4 */
    cr_expect(out == (uint64_t)0x9E3779BAu * 0xBC6EF372u + (uint64_t)0xDAA66D32u * 0x78DDE6E4u);
    for (uint32_t i = 0; i < 19; i++) more[i] = (i * 0x01234567u + 1) & 0x7fffffffu;
    memcpy(values, more, sizeof more);
    a.values.dim[0] = 19;
    cr_assert(ref_ops.digest(d, &a) == OK);
    cr_expect(out == 0x3bbf5312a34803d4u, "%llx", (unsigned long long)out);
    ref_ops.close(d);
}

Test(exact, one_changed_bit_changes_the_digest)
{
    static float values[CHUNK];
    device *d;
    uint64_t before, after;
    cr_assert(ref_ops.open(&d, NULL) == OK);
    for (int i = 0; i < CHUNK; i++) values[i] = normal(4, i);
    digest_args a = {tensor_1(&before, DTYPE_U64, 1), tensor_1(values, DTYPE_F32, CHUNK)};
    cr_assert(ref_ops.digest(d, &a) == OK);
    a.out.data = &after;
    for (int i = 0; i < CHUNK; i += 61) {
        uint32_t bits, flipped;
        memcpy(&bits, &values[i], 4);
        flipped = bits ^ (1u << (i % 32));
        memcpy(&values[i], &flipped, 4);
        cr_assert(ref_ops.digest(d, &a) == OK);
        cr_expect(after != before, "element %d bit %d", i, i % 32);
        memcpy(&values[i], &bits, 4);
    }
    ref_ops.close(d);
}

/* --- adamw ---------------------------------------------------------------- */

typedef struct optimizer_memory {
    float w[LENGTH], m[LENGTH], v[LENGTH];
    uint16_t copy[LENGTH];
    int64_t gradient[LENGTH];
} optimizer_memory;

static void fill_optimizer(optimizer_memory *x)
{
    for (int64_t i = 0; i < LENGTH; i++) {
        x->w[i] = normal(1, i);
        x->m[i] = normal(2, i) * 0.1f;
        x->v[i] = fabsf(normal(3, i)) * 0.01f;
        x->gradient[i] = (int64_t)rint((double)normal(4, i) * 0x1p44);
        x->copy[i] = bf16_from_f32(x->w[i]);
    }
}

static step_scalars some_scalars(void)
{
    return (step_scalars){.learning_rate = 3e-3f,
                          .beta1 = 0.9f,
                          .beta2 = 0.95f,
                          .eps = 1e-8f,
                          .weight_decay = 0.1f,
                          .bias1 = 0.1f,
                          .bias2 = 0.05f,
                          .gradient_scale = 0.25 / EXACT_SCALE};
}

/* updates [from, to) in device memory laid out as optimizer_memory */
static void update(const op_target *t, optimizer_memory *x, const step_scalars *s, int64_t from,
                   int64_t to)
{
    int64_t n = to - from;
    adamw_args a = {.weights = tensor_1(x->w + from, DTYPE_F32, n),
                    .copy = tensor_1(x->copy + from, DTYPE_BF16, n),
                    .m = tensor_1(x->m + from, DTYPE_F32, n),
                    .v = tensor_1(x->v + from, DTYPE_F32, n),
                    .gradient = tensor_1(x->gradient + from, DTYPE_I64, n),
                    .decay = true,
                    .rate = 0.3f,
                    .scalars = s};
    cr_assert(t->o->adamw(t->d, &a) == OK);
}

static void run_updates(const op_target *t, optimizer_memory *host, step_scalars s, bool striped)
{
    optimizer_memory *x = put(t, host, sizeof *host);
    step_scalars *on_s = put(t, &s, sizeof s);
    for (int k = 2; striped && k >= 0; k--) update(t, x, on_s, borders[k][0], borders[k][1]);
    if (!striped) update(t, x, on_s, 0, LENGTH);
    get(t, host, x, sizeof *host);
    drop(t, x, sizeof *host);
    drop(t, on_s, sizeof s);
}

ParameterizedTestParameters(exact, updates_over_stripes_are_those_of_the_whole)
{
    return op_test_indices(target_count());
}
ParameterizedTest(int *index, exact, updates_over_stripes_are_those_of_the_whole)
{
    op_target t = op_target_open(*index, false);
    optimizer_memory *whole = calloc(1, sizeof *whole), *stripes = calloc(1, sizeof *stripes);
    fill_optimizer(whole);
    fill_optimizer(stripes);
    run_updates(&t, whole, some_scalars(), false);
    run_updates(&t, stripes, some_scalars(), true);
    cr_expect(memcmp(whole, stripes, sizeof *whole) == 0, "%s: stripes differ from the whole",
              t.name);
    for (int64_t i = 0; i < LENGTH; i++)
        cr_assert(whole->copy[i] == bf16_from_f32(whole->w[i]), "%s: copy [%lld]", t.name,
                  (long long)i);
    free(whole), free(stripes);
    t.o->close(t.d);
}

ParameterizedTestParameters(exact, a_skipped_update_changes_nothing)
{
    return op_test_indices(target_count());
}
ParameterizedTest(int *index, exact, a_skipped_update_changes_nothing)
{
    op_target t = op_target_open(*index, false);
    optimizer_memory *before = calloc(1, sizeof *before), *after = calloc(1, sizeof *after);
    step_scalars s = some_scalars();
    fill_optimizer(before);
    fill_optimizer(after);
    s.skip = 1;
    s.gradient_scale = NAN;
    run_updates(&t, after, s, false);
    cr_expect(memcmp(before, after, sizeof *before) == 0, "%s: a skipped update wrote", t.name);
    free(before), free(after);
    t.o->close(t.d);
}

/* --- clip ----------------------------------------------------------------- */

static step_scalars clip(const op_target *t, double square, float limit, int32_t flag,
                         reduction kind)
{
    step_scalars s = some_scalars();
    s.clip = limit;
    s.mean_scale = 0.25;
    void *on_s = put(t, &s, sizeof s), *on_squares = put(t, &square, 8),
         *on_flag = put(t, &flag, 4);
    clip_args a = {on_s, tensor_1(on_squares, DTYPE_F64, 1), on_flag, kind};
    cr_assert(t->o->clip_scalars(t->d, &a) == OK);
    get(t, &s, on_s, sizeof s);
    drop(t, on_s, sizeof s), drop(t, on_squares, 8), drop(t, on_flag, 4);
    return s;
}

ParameterizedTestParameters(exact, clipping_scales_to_the_limit_and_skips_what_is_not_finite)
{
    return op_test_indices(target_count());
}
ParameterizedTest(int *index, exact, clipping_scales_to_the_limit_and_skips_what_is_not_finite)
{
    op_target t = op_target_open(*index, false);
    /* sum of squares 64: norm of the mean 0.25 * 8 = 2 */
    step_scalars s = clip(&t, 64, 1, 0, REDUCTION_FAST);
    cr_expect(s.grad_norm == 2 && s.gradient_scale == 0.125 && s.skip == 0);
    s = clip(&t, 64, 1, 0, REDUCTION_EXACT);
    cr_expect(s.grad_norm == 2 && s.gradient_scale == 0.125 * 0x1p-44 && s.skip == 0);
    s = clip(&t, 64, 4, 0, REDUCTION_FAST);
    cr_expect(s.gradient_scale == 0.25 && s.skip == 0);
    s = clip(&t, 64, 0, 0, REDUCTION_FAST);
    cr_expect(s.gradient_scale == 0.25 && s.skip == 0, "no limit is no clipping");
    s = clip(&t, 0, 1, 0, REDUCTION_FAST);
    cr_expect(s.grad_norm == 0 && s.gradient_scale == 0.25 && s.skip == 0,
              "a zero gradient is fine");
    cr_expect(clip(&t, 64, 1, 1, REDUCTION_FAST).skip == 1);
    cr_expect(clip(&t, INFINITY, 1, 0, REDUCTION_EXACT).skip == 1);
    cr_expect(clip(&t, NAN, 1, 0, REDUCTION_EXACT).skip == 1);
    cr_expect(clip(&t, NAN, 0, 0, REDUCTION_FAST).skip == 1);
    t.o->close(t.d);
}
