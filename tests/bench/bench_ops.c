/* bench_ops.c — time of every op inside a whole training step on one core, in the order and with
 * the memory a real step has (layers have their own activations, so caches are as cold as they will
 * be).
 *
 *   bench_ops [--shape R1|R2|R3] [--path auto|portable|avx2|avx512|amx] [--dtype bf16|f32]
 *             [--steps 10] [--batch B] [--fast] [--quick]
 *
 * Times are processor time of this thread, medians over the steps, apart for the two speeds of the
 * AMX unit, told by bursts of products in registers before and after each step. --quick: one step
 * of a tiny model, for CTest. */
#include "kernels/ops.h"

#include "base/arena.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

typedef struct shape {
    const char *name;
    int64_t C, L, NH, HS, F, V, T, B;
} shape;

/* shapes of the speed figures: layernorm, learned positions, biases, gelu, tied head */
static const shape shapes[] = {
    {"R1", 128, 4, 4, 32, 512, 512, 256, 8},
    {"R2", 384, 6, 6, 64, 1536, 4096, 512, 4},
    {"R3", 640, 10, 10, 64, 2560, 32000, 1024, 1},
    {"quick", 32, 2, 2, 16, 96, 70, 24, 2},
};

typedef enum op_row {
    ROW_EMBED,
    ROW_NORM,
    ROW_QKV,
    ROW_ATTENTION,
    ROW_O,
    ROW_UP,
    ROW_DOWN,
    ROW_HEAD,
    ROW_DOWN_W,
    ROW_DOWN_X,
    ROW_UP_W,
    ROW_UP_X,
    ROW_O_W,
    ROW_O_X,
    ROW_ATTENTION_BACK,
    ROW_QKV_W,
    ROW_QKV_X,
    ROW_NORM_BACK,
    ROW_EMBED_BACK,
    ROW_ACCUMULATE,
    ROW_SQUARES,
    ROW_ADAMW,
    ROW_DIGEST,
    ROWS
} op_row;

static const char *const row_names[ROWS] = {
    "embed",       "norm",   "qkv",        "attention",  "o",
    "up+gelu",     "down",   "head (all)", "down dw",    "down dx+gelu'",
    "up dw",       "up dx",  "o dw",       "o dx",       "attention back",
    "qkv dw",      "qkv dx", "norm back",  "embed back", "accumulate",
    "sum_squares", "adamw",  "digest",
};

enum { STEPS_MAX = 1000 };

typedef struct layer {
    tensor x1, x2, h1, h2, mean1, rstd1, mean2, rstd2, qkv, att, lse, pre, hidden;
    tensor gain1, bias1, gain2, bias2, w_qkv, b_qkv, w_o, b_o, w_up, b_up, w_down, b_down;
    int64_t first; /* of its parameters in the flat vector, in the order above */
} layer;

typedef struct bench {
    const ops *o;
    device *d;
    shape s;
    dtype act;
    bool fast;
    int64_t N, params;
    arena memory;
    layer layers[16];
    tensor masters, weights, gradient, sum, m, v, squares, digest; /* flat                  */
    tensor table, positions, final_gain, final_bias;
    tensor x, h, mean, rstd, delta, losses, tokens, targets;
    tensor dx, dx_act, dh, datt, dqkv, dpre;
    step_scalars scalars;
    int32_t flag;
    double seconds[ROWS], flop[ROWS]; /* of this step */
    int64_t calls[ROWS];
    double started;
    char text[200]; /* what the backend says it is */
} bench;

static double thread_s(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void must(status s)
{
    if (s == OK) return;
    fprintf(stderr, "bench_ops: %s\n", status_message());
    exit((int)s);
}

static void begin(bench *b) { b->started = thread_s(); }
static void end(bench *b, op_row row, double flop)
{
    b->seconds[row] += thread_s() - b->started;
    b->flop[row] += flop;
    b->calls[row]++;
}

#define TIMED(row, flop, call)                                                                     \
    do {                                                                                           \
        begin(b);                                                                                  \
        must(call);                                                                                \
        end(b, (row), (flop));                                                                     \
    } while (0)

/* small numbers that differ from element to element */
static void fill(tensor t, float scale)
{
    for (int64_t i = 0; i < tensor_count(t); i++) {
        const float v = ((float)((uint32_t)(i * 2654435761u) >> 16 & 1023) / 512.f - 1.f) * scale;
        if (t.type == DTYPE_BF16)
            ((uint16_t *)t.data)[i] = bf16_from_f32(v);
        else
            ((float *)t.data)[i] = v;
    }
}

static tensor take(bench *b, dtype type, int64_t rows, int64_t columns)
{
    return tensor_2(arena_take(&b->memory, rows * columns * dtype_bytes(type)), type, rows,
                    columns);
}

/* the next rows x columns parameters of the flat vector of `all`'s type */
static tensor part(tensor all, int64_t *at, int64_t rows, int64_t columns)
{
    char *data = (char *)all.data + *at * dtype_bytes(all.type);
    *at += rows * columns;
    return columns == 1 ? tensor_1(data, all.type, rows) : tensor_2(data, all.type, rows, columns);
}

static void take_weights(bench *b)
{
    const shape *s = &b->s;
    const int64_t D = s->NH * s->HS;
    int64_t at = 0;
    b->final_gain = part(b->weights, &at, s->C, 1);
    b->final_bias = part(b->weights, &at, s->C, 1);
    for (int64_t l = 0; l < s->L; l++) {
        layer *y = &b->layers[l];
        y->first = at;
        y->gain1 = part(b->weights, &at, s->C, 1);
        y->bias1 = part(b->weights, &at, s->C, 1);
        y->w_qkv = part(b->weights, &at, 3 * D, s->C);
        y->b_qkv = part(b->weights, &at, 3 * D, 1);
        y->w_o = part(b->weights, &at, s->C, D);
        y->b_o = part(b->weights, &at, s->C, 1);
        y->gain2 = part(b->weights, &at, s->C, 1);
        y->bias2 = part(b->weights, &at, s->C, 1);
        y->w_up = part(b->weights, &at, s->F, s->C);
        y->b_up = part(b->weights, &at, s->F, 1);
        y->w_down = part(b->weights, &at, s->C, s->F);
        y->b_down = part(b->weights, &at, s->C, 1);
    }
    b->positions = part(b->weights, &at, s->T, s->C);
    b->table = part(b->weights, &at, s->V, s->C);
    b->params = at;
}

static void take_activations(bench *b)
{
    const shape *s = &b->s;
    const int64_t N = b->N, C = s->C, D = s->NH * s->HS;
    for (int64_t l = 0; l < s->L; l++) {
        layer *y = &b->layers[l];
        y->x1 = take(b, DTYPE_F32, N, C);
        y->x2 = take(b, DTYPE_F32, N, C);
        y->h1 = take(b, b->act, N, C);
        y->h2 = take(b, b->act, N, C);
        y->mean1 = take(b, DTYPE_F32, N, 1);
        y->rstd1 = take(b, DTYPE_F32, N, 1);
        y->mean2 = take(b, DTYPE_F32, N, 1);
        y->rstd2 = take(b, DTYPE_F32, N, 1);
        y->qkv = take(b, b->act, N, 3 * D);
        y->att = take(b, b->act, N, D);
        y->lse = take(b, DTYPE_F32, s->B * s->NH, s->T);
        y->pre = take(b, b->act, N, s->F);
        y->hidden = take(b, b->act, N, s->F);
    }
    b->x = take(b, DTYPE_F32, N, C);
    b->h = take(b, b->act, N, C);
    b->mean = take(b, DTYPE_F32, N, 1);
    b->rstd = take(b, DTYPE_F32, N, 1);
    b->delta = take(b, b->act, N, C);
    b->losses = take(b, DTYPE_F32, N, 1);
    b->tokens = take(b, DTYPE_I32, N, 1);
    b->targets = take(b, DTYPE_I32, N, 1);
    b->dx = take(b, DTYPE_F32, N, C);
    b->dx_act = b->act == DTYPE_F32 ? b->dx : take(b, b->act, N, C);
    b->dh = take(b, b->act, N, C);
    b->datt = take(b, b->act, N, D);
    b->dqkv = take(b, b->act, N, 3 * D);
    b->dpre = take(b, b->act, N, s->F);
}

static void take_all(bench *b)
{
    const shape *s = &b->s;
    const int64_t C = s->C, D = s->NH * s->HS;
    const int64_t P = 2 * C +
                      s->L * (4 * C + 3 * D * C + 3 * D + C * D + C + 2 * s->F * C + s->F + C) +
                      s->T * C + s->V * C;
    b->N = s->B * s->T;
    b->masters = take(b, DTYPE_F32, P, 1);
    b->weights = b->act == DTYPE_F32 ? b->masters : take(b, b->act, P, 1);
    b->gradient = take(b, DTYPE_F32, P, 1);
    b->sum = take(b, b->fast ? DTYPE_F32 : DTYPE_I64, P, 1);
    b->m = take(b, DTYPE_F32, P, 1);
    b->v = take(b, DTYPE_F32, P, 1);
    b->squares = take(b, DTYPE_F64, (P + CHUNK - 1) / CHUNK, 1);
    b->digest = take(b, DTYPE_U64, (P + CHUNK - 1) / CHUNK, 1);
    take_weights(b);
    take_activations(b);
}

/* y = x w^T + bias, timed */
static void forward(bench *b, op_row row, tensor out, tensor x, tensor w, tensor bias, tensor pre)
{
    const double flop = 2.0 * (double)x.dim[0] * (double)tensor_count(w);
    TIMED(row, flop,
          b->o->linear(b->d, &(linear_args){out, pre, x, w, bias, pre.data ? ACT_GELU : ACT_NONE}));
}

/* the gradient that belongs to a parameter */
static tensor gradient_of(const bench *b, tensor w)
{
    const int64_t at = ((char *)w.data - (char *)b->weights.data) / dtype_bytes(b->act);
    tensor g = w;
    g.type = DTYPE_F32;
    g.data = (float *)b->gradient.data + at;
    return g;
}

/* dw, dbias and dx of one layer, timed; pre: its input came out of a gelu of it */
static void backward(bench *b, op_row row_w, op_row row_x, tensor dx, tensor dy, tensor x, tensor w,
                     tensor bias, tensor pre)
{
    const double flop = 2.0 * (double)x.dim[0] * (double)tensor_count(w);
    const linear_backward_weight_args dw = {gradient_of(b, w), gradient_of(b, bias), dy, x};
    const linear_backward_input_args di = {dx, dy, w, pre, pre.data ? ACT_GELU : ACT_NONE};
    TIMED(row_w, flop, b->o->linear_backward_weight(b->d, &dw));
    TIMED(row_x, flop, b->o->linear_backward_input(b->d, &di));
}

static void norm(bench *b, tensor out, tensor sum, tensor x, tensor delta, tensor mean, tensor rstd,
                 tensor gain, tensor bias)
{
    const norm_args a = {NORM_LAYER, 1e-5f, out, delta.data ? sum : (tensor){0}, mean, rstd, x,
                         delta,      gain,  bias};
    TIMED(ROW_NORM, 0, b->o->norm(b->d, &a));
}

static void norm_back(bench *b, tensor x, tensor mean, tensor rstd, tensor gain, tensor bias)
{
    const norm_backward_args a = {NORM_LAYER,
                                  b->dx,
                                  b->act == DTYPE_F32 ? (tensor){0} : b->dx_act,
                                  gradient_of(b, gain),
                                  gradient_of(b, bias),
                                  b->dh,
                                  x,
                                  mean,
                                  rstd,
                                  gain};
    TIMED(ROW_NORM_BACK, 0, b->o->norm_backward(b->d, &a));
}

/* causal products counted once: (T + 1) / 2 keys per query on average */
static double attention_flop(const bench *b, double products)
{
    return products * 2.0 * (double)(b->N * b->s.NH * b->s.HS) * (double)(b->s.T + 1) / 2.0;
}

static void run_forward(bench *b)
{
    const shape *s = &b->s;
    const tensor none = {0};
    tensor x = b->layers[0].x1, delta = none;
    TIMED(ROW_EMBED, 0,
          b->o->embed(b->d, &(embed_args){x, b->table, b->positions, b->tokens, s->T}));
    for (int64_t l = 0; l < s->L; l++) {
        layer *y = &b->layers[l];
        norm(b, y->h1, y->x1, x, delta, y->mean1, y->rstd1, y->gain1, y->bias1);
        forward(b, ROW_QKV, y->qkv, y->h1, y->w_qkv, y->b_qkv, none);
        const attention_args a = {y->att, y->lse, y->qkv, s->B, s->T, s->NH, s->NH, s->HS};
        TIMED(ROW_ATTENTION, attention_flop(b, 2), b->o->attention(b->d, &a));
        forward(b, ROW_O, b->delta, y->att, y->w_o, y->b_o, none);
        norm(b, y->h2, y->x2, y->x1, b->delta, y->mean2, y->rstd2, y->gain2, y->bias2);
        forward(b, ROW_UP, y->hidden, y->h2, y->w_up, y->b_up, y->pre);
        forward(b, ROW_DOWN, b->delta, y->hidden, y->w_down, y->b_down, none);
        x = y->x2;
        delta = b->delta;
    }
    norm(b, b->h, b->x, x, delta, b->mean, b->rstd, b->final_gain, b->final_bias);
}

static void run_backward(bench *b)
{
    const shape *s = &b->s;
    const tensor none = {0};
    const head_args h = {b->losses, b->dh, gradient_of(b, b->table), b->h, b->table, b->targets, 0};
    TIMED(ROW_HEAD, 6.0 * (double)(b->N * s->C * s->V), b->o->head(b->d, &h));
    memset(b->dx.data, 0, (size_t)tensor_bytes(b->dx));
    norm_back(b, b->x, b->mean, b->rstd, b->final_gain, b->final_bias);
    for (int64_t l = s->L - 1; l >= 0; l--) {
        layer *y = &b->layers[l];
        backward(b, ROW_DOWN_W, ROW_DOWN_X, b->dpre, b->dx_act, y->hidden, y->w_down, y->b_down,
                 y->pre);
        backward(b, ROW_UP_W, ROW_UP_X, b->dh, b->dpre, y->h2, y->w_up, y->b_up, none);
        norm_back(b, y->x2, y->mean2, y->rstd2, y->gain2, y->bias2);
        backward(b, ROW_O_W, ROW_O_X, b->datt, b->dx_act, y->att, y->w_o, y->b_o, none);
        const attention_backward_args a = {b->dqkv, b->datt, y->att, y->lse, y->qkv,
                                           s->B,    s->T,    s->NH,  s->NH,  s->HS};
        TIMED(ROW_ATTENTION_BACK, attention_flop(b, 4), b->o->attention_backward(b->d, &a));
        backward(b, ROW_QKV_W, ROW_QKV_X, b->dh, b->dqkv, y->h1, y->w_qkv, y->b_qkv, none);
        norm_back(b, y->x1, y->mean1, y->rstd1, y->gain1, y->bias1);
    }
    const embed_backward_args e = {gradient_of(b, b->table), gradient_of(b, b->positions), b->dx,
                                   b->tokens, s->T};
    TIMED(ROW_EMBED_BACK, 0, b->o->embed_backward(b->d, &e));
}

static void run_update(bench *b)
{
    const reduction kind = b->fast ? REDUCTION_FAST : REDUCTION_EXACT;
    const accumulate_args sum = {
        .sum = b->sum, .gradient = b->gradient, .flag = &b->flag, .kind = kind, .first = true};
    TIMED(ROW_ACCUMULATE, 0, b->o->accumulate(b->d, &sum));
    TIMED(ROW_SQUARES, 0, b->o->sum_squares(b->d, &(sum_squares_args){b->squares, b->sum}));
    must(b->o->clip_scalars(b->d, &(clip_args){&b->scalars, b->squares, &b->flag, kind}));
    const tensor copy = b->act == DTYPE_F32 ? (tensor){0} : b->weights;
    TIMED(ROW_ADAMW, 0,
          b->o->adamw(b->d,
                      &(adamw_args){b->masters, copy, b->m, b->v, b->sum, true, 1, &b->scalars}));
    TIMED(ROW_DIGEST, 0, b->o->digest(b->d, &(digest_args){b->digest, b->masters}));
}

static int compare(const void *x, const void *y)
{
    const double a = *(const double *)x, b = *(const double *)y;
    return a < b ? -1 : a > b;
}

/* The AMX unit has two speeds, set by what a neighbour does on the other thread of the core: steps
 * whose bursts, before and after, reach three quarters of its 1024 FLOP per cycle are "fast", the
 * others "slow". */
typedef struct record {
    double rows[ROWS], total, burst;
    bool slow;
} record;

/* cycles per second now: a multiplication that needs the one before takes three */
static double core_clock(void)
{
    enum { CHAIN = 300000 };
    volatile uint64_t seed = 3;
    uint64_t x = seed;
    const double start = thread_s();
    for (int i = 0; i < CHAIN; i++) x *= x;
    const double seconds = thread_s() - start;
    seed = x;
    return 3.0 * CHAIN / seconds;
}

/* median of what `value` says about the steps of one kind; 0 if there are none */
static double median(const record *steps, int n, bool slow, int row)
{
    static double values[STEPS_MAX];
    int count = 0;
    for (int i = 0; i < n; i++)
        if (steps[i].slow == slow) values[count++] = row < 0 ? steps[i].total : steps[i].rows[row];
    if (!count) return 0;
    qsort(values, (size_t)count, sizeof *values, compare);
    return values[count / 2];
}

static void print_rows(const bench *b, const record *steps, int n)
{
    const bool slow =
        median(steps, n, false, -1) == 0; // shares and rates of the fast steps, if there are any
    const double total = median(steps, n, slow, -1);
    printf("  %-15s %5s %9s %9s %6s %9s\n", "op", "calls", "fast ms", "slow ms", "share",
           "GFLOP/s");
    for (int r = 0; r < ROWS; r++) {
        const double t = median(steps, n, slow, r);
        printf("  %-15s %5lld %9.3f %9.3f %5.1f%%", row_names[r], (long long)b->calls[r],
               1e3 * median(steps, n, false, r), 1e3 * median(steps, n, true, r), 100 * t / total);
        if (b->flop[r] > 0) printf(" %9.0f", b->flop[r] / t / 1e9);
        printf("\n");
    }
}

static void print_state(const bench *b, const record *steps, int n, bool slow, double flop)
{
    double burst = 0;
    int count = 0;
    for (int i = 0; i < n; i++)
        if (steps[i].slow == slow) burst += steps[i].burst, count++;
    if (!count) return;
    const double t = median(steps, n, slow, -1);
    burst /= count;
    printf("  %s: %d steps, median %.2f ms, %.0f tokens/s, %.0f GFLOP/s = %.1f %% of the burst's "
           "%.0f\n",
           slow ? "slow" : "fast", count, 1e3 * t, (double)b->N / t, flop / t / 1e9,
           100 * flop / t / burst, burst / 1e9);
}

static record run_step(bench *b)
{
    record r = {.burst = b->o->burst(b->d, b->act)};
    memset(b->seconds, 0, sizeof b->seconds);
    memset(b->flop, 0, sizeof b->flop);
    memset(b->calls, 0, sizeof b->calls);
    const double start = thread_s();
    run_forward(b);
    run_backward(b);
    run_update(b);
    r.total = thread_s() - start;
    memcpy(r.rows, b->seconds, sizeof r.rows);
    const double after = b->o->burst(b->d, b->act);
    if (after < r.burst) r.burst = after;
    const char *amx = strstr(b->text, "amx");
    r.slow = amx && b->act == DTYPE_BF16 && r.burst < 0.75 * 1024 * core_clock();
    return r;
}

static void run(bench *b, int n)
{
    static record steps[STEPS_MAX];
    double flop = 0;
    (void)run_step(b); // warms up
    for (int i = 0; i < n; i++) steps[i] = run_step(b);
    for (int r = 0; r < ROWS; r++) flop += b->flop[r];
    printf("%s: %lld parameters, B %lld T %lld, %s, %s\n", b->s.name, (long long)b->params,
           (long long)b->s.B, (long long)b->s.T, b->act == DTYPE_BF16 ? "bf16" : "f32", b->text);
    print_rows(b, steps, n);
    print_state(b, steps, n, false, flop);
    print_state(b, steps, n, true, flop);
}

static const char *option(int argc, char **argv, const char *name, const char *otherwise)
{
    for (int i = 1; i + 1 < argc; i++)
        if (strcmp(argv[i], name) == 0) return argv[i + 1];
    return otherwise;
}
static bool given(int argc, char **argv, const char *name)
{
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], name) == 0) return true;
    return false;
}

static void bench_open(bench *b, const char *path)
{
    static char all[1]; // counts first: an arena of no memory tells what the real one needs
    arena_view(&b->memory, "bench", all, INT64_MAX);
    take_all(b);
    const int64_t bytes = b->memory.used;
    must(arena_init(&b->memory, "bench", bytes));
    take_all(b);
    must(b->o->open(&b->d, &(device_options){.path = path}));
    b->o->describe(b->d, b->text, sizeof b->text);
    const op_shapes largest = {b->s.B,  b->s.T,  b->s.C,  b->s.F, b->s.V,
                               b->s.NH, b->s.NH, b->s.HS, false,  b->act};
    arena workspace;
    must(arena_init(&workspace, "workspace", b->o->workspace_bytes(b->d, &largest)));
    must(b->o->reserve(b->d, workspace.base, workspace.bytes, &largest));
    fill(b->masters, 0.04f);
    if (b->act == DTYPE_BF16) must(b->o->convert(b->d, b->weights, b->masters));
    for (int64_t n = 0; n < b->N; n++) {
        ((int32_t *)b->tokens.data)[n] = (int32_t)(n * 7919 % b->s.V);
        ((int32_t *)b->targets.data)[n] = (int32_t)(n * 104729 % b->s.V);
    }
    b->scalars = (step_scalars){.learning_rate = 1e-3f,
                                .beta1 = .9f,
                                .beta2 = .95f,
                                .eps = 1e-8f,
                                .weight_decay = .1f,
                                .bias1 = .1f,
                                .bias2 = .05f,
                                .clip = 1,
                                .mean_scale = 1};
}

int main(int argc, char **argv)
{
    static bench b;
    const bool quick = given(argc, argv, "--quick");
    const char *name = option(argc, argv, "--shape", quick ? "quick" : "R1");
    const int steps = atoi(option(argc, argv, "--steps", quick ? "1" : "10"));
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        if (strcmp(shapes[i].name, name) == 0) b.s = shapes[i];
    if (!b.s.name || steps < 1 || steps > STEPS_MAX) {
        fprintf(stderr,
                "bench_ops: --shape R1|R2|R3 --path auto|... --dtype bf16|f32 --steps 1..%d "
                "--batch B --fast"
                " --quick\n",
                STEPS_MAX);
        return 2;
    }
    if (given(argc, argv, "--batch")) b.s.B = atoll(option(argc, argv, "--batch", "1"));
    b.o = &cpu_ops;
    b.act = strcmp(option(argc, argv, "--dtype", "bf16"), "f32") == 0 ? DTYPE_F32 : DTYPE_BF16;
    b.fast = given(argc, argv, "--fast");
    bench_open(&b, option(argc, argv, "--path", "auto"));
    run(&b, steps);
    for (int64_t n = 0; n < b.N; n++)
        if (!(((float *)b.losses.data)[n] > 0))
            must(status_set(ERR_NUMERIC, __FILE__, __LINE__, "a loss is not finite"));
    return 0;
}
