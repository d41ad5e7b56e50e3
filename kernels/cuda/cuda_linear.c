#include "kernels/cuda/cuda_device.h"

#include <stdlib.h>

enum {
    ALIGNMENT_MOST = 16,     /* bytes; what the fastest loads need */
    LIBRARY_MOST = 32 << 20, /* cuBLASLt's advice for Hopper       */
    LIBRARY_LEAST = 1 << 20,
    /* Each piece of the head reads and writes dw once more: 8 V C bytes beside 6 V C FLOPs a row.
     * At 50,000 words 1 GiB is 5,300 rows: a 25th of the time of the products, on a GPU of 700
     * TFLOP/s and 4.8 TB/s; with 256 MiB it would be a seventh. */
    PIECES_MOST = 1 << 30,
    PIECE_ROWS = 128, /* a piece has at least these rows, or all */
};

/* Fails with the library's own words. */
#define BLAS_TRY(call)                                                                             \
    do {                                                                                           \
        cublasStatus_t blas_code_ = (call);                                                        \
        if (blas_code_ != CUBLAS_STATUS_SUCCESS)                                                   \
            return blas_failed(blas_code_, #call, __FILE__, __LINE__);                             \
    } while (0)

static status blas_failed(cublasStatus_t code, const char *call, const char *file, int line)
{
    return status_set(code == CUBLAS_STATUS_ALLOC_FAILED ? ERR_MEMORY : ERR_DEVICE, file, line,
                      "%.*s: %s", (int)strcspn(call, "("), call, cublasLtGetStatusString(code));
}

/* --- scratch, by rule ----------------------------------------------------- */

static int64_t most(int64_t a, int64_t b) { return a > b ? a : b; }
static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t round_up(int64_t n, int64_t to) { return (n + to - 1) / to * to; }

/* Columns of the widest product of a layer. */
static int64_t widest(const op_shapes *s)
{
    int64_t qkv = (s->NH + 2 * s->NKV) * s->HS, hidden = s->gated ? 2 * s->F : s->F;
    return most(s->C, most(qkv, hidden));
}

int64_t linear_library_bytes(const op_shapes *s)
{
    int64_t wanted = s->B * s->T * widest(s) * 16;
    return least(most(wanted, LIBRARY_LEAST), LIBRARY_MOST);
}

/* Distance of rows of logits, in f32 elements. */
static int64_t logits_stride(int64_t V) { return round_up(V, 8); }

int64_t linear_row_bytes(const op_shapes *s)
{
    return most(logits_stride(s->V), round_up(widest(s), 8)) * 4;
}

/* Room for all rows if they are few, else for as many as fit, but never less than PIECE_ROWS. */
int64_t linear_pieces_bytes(const op_shapes *s)
{
    int64_t row = linear_row_bytes(s), rows = s->B * s->T;
    return row * least(rows, most(PIECES_MOST / row / PIECE_ROWS * PIECE_ROWS, PIECE_ROWS));
}

/* Rows of `width` f32 elements that fit: the same for the same shapes, whatever ran before. */
static int64_t piece_rows(const device *d, int64_t width)
{
    int64_t rows = d->scratch.pieces_bytes / 4 / most(width, 1);
    ASSERT(rows > 0);
    return rows >= PIECE_ROWS ? rows / PIECE_ROWS * PIECE_ROWS : rows;
}

/* --- plans ---------------------------------------------------------------- */

status linear_plans_init(linear_plans *p)
{
    BLAS_TRY(cublasLtCreate(&p->library));
    return OK;
}

static void close_plan(linear_plan *p)
{
    if (p->product) (void)cublasLtMatmulDescDestroy(p->product);
    if (p->a) (void)cublasLtMatrixLayoutDestroy(p->a);
    if (p->b) (void)cublasLtMatrixLayoutDestroy(p->b);
    if (p->d) (void)cublasLtMatrixLayoutDestroy(p->d);
}

void linear_plans_clear(linear_plans *p)
{
    for (int32_t i = 0; i < p->capacity; i++)
        if (p->used[i]) close_plan(&p->plan[i]);
    free(p->plan);
    free(p->used);
    *p = (linear_plans){.library = p->library};
}

void linear_plans_deinit(linear_plans *p)
{
    linear_plans_clear(p);
    if (p->library) (void)cublasLtDestroy(p->library);
    *p = (linear_plans){0};
}

static uint64_t shape_hash(const linear_shape *s)
{
    uint64_t words[sizeof *s / 8], h = 0;
    memcpy(words, s, sizeof words);
    for (size_t i = 0; i < sizeof words / 8; i++) {
        h = (h ^ words[i]) * 0x9E3779B97F4A7C15u;
        h ^= h >> 32;
    }
    return h;
}

/* The place of this shape: its plan, or a free one. */
static int32_t find_place(const linear_plans *p, const linear_shape *s)
{
    int32_t at = (int32_t)(shape_hash(s) % (uint64_t)p->capacity);
    while (p->used[at] && memcmp(&p->plan[at].shape, s, sizeof *s) != 0)
        at = (at + 1) % p->capacity;
    return at;
}

static status grow(linear_plans *p)
{
    if (2 * p->count < p->capacity) return OK;
    linear_plans wider = {.library = p->library,
                          .count = p->count,
                          .capacity = p->capacity ? 2 * p->capacity : 64};
    wider.plan = calloc((size_t)wider.capacity, sizeof *wider.plan);
    wider.used = calloc((size_t)wider.capacity, sizeof *wider.used);
    if (!wider.plan || !wider.used) {
        free(wider.plan);
        free(wider.used);
        FAIL(ERR_MEMORY, "no memory for %d plans of products", wider.capacity);
    }
    for (int32_t i = 0; i < p->capacity; i++) {
        if (!p->used[i]) continue;
        int32_t at = find_place(&wider, &p->plan[i].shape);
        wider.plan[at] = p->plan[i];
        wider.used[at] = true;
    }
    free(p->plan);
    free(p->used);
    *p = wider;
    return OK;
}

static cudaDataType_t library_type(int32_t type)
{
    return type == DTYPE_BF16 ? CUDA_R_16BF : CUDA_R_32F;
}

#define SET(attribute, value)                                                                      \
    BLAS_TRY(cublasLtMatmulDescSetAttribute(p->product, (attribute), &(value), sizeof(value)))

/* Of what an epilogue reads or writes besides, the heuristics take the alignment from the address
 * itself (cublasLt.h), and NULL has any: until a call says where it is, an address aligned as all
 * that is promised. */
static status describe_places(linear_plan *p)
{
    const linear_shape *s = &p->shape;
    const uintptr_t place = 4096 + (uintptr_t)s->alignment;
    if (s->epilogue & (CUBLASLT_EPILOGUE_BIAS | CUBLASLT_EPILOGUE_BGRADB))
        SET(CUBLASLT_MATMUL_DESC_BIAS_POINTER, place);
    if (s->ld_aux > 0) SET(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER, place);
    return OK;
}

static status describe_product(linear_plan *p)
{
    const linear_shape *s = &p->shape;
    int32_t a_op = s->a_transposed ? CUBLAS_OP_T : CUBLAS_OP_N;
    int32_t b_op = s->b_transposed ? CUBLAS_OP_T : CUBLAS_OP_N;
    uint32_t epilogue = (uint32_t)s->epilogue;
    /* products of fp32 runs are f32 throughout: no TF32 */
    BLAS_TRY(cublasLtMatmulDescCreate(&p->product, CUBLAS_COMPUTE_32F, CUDA_R_32F));
    SET(CUBLASLT_MATMUL_DESC_TRANSA, a_op);
    SET(CUBLASLT_MATMUL_DESC_TRANSB, b_op);
    SET(CUBLASLT_MATMUL_DESC_EPILOGUE, epilogue);
    if (s->ld_aux > 0) SET(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD, s->ld_aux);
    TRY(describe_places(p));
    cudaDataType_t in = library_type(s->in), out = library_type(s->out);
    int64_t am = s->a_transposed ? s->k : s->m, an = s->a_transposed ? s->m : s->k;
    int64_t bm = s->b_transposed ? s->n : s->k, bn = s->b_transposed ? s->k : s->n;
    BLAS_TRY(cublasLtMatrixLayoutCreate(&p->a, in, (uint64_t)am, (uint64_t)an, s->lda));
    BLAS_TRY(cublasLtMatrixLayoutCreate(&p->b, in, (uint64_t)bm, (uint64_t)bn, s->ldb));
    BLAS_TRY(cublasLtMatrixLayoutCreate(&p->d, out, (uint64_t)s->m, (uint64_t)s->n, s->ldd));
    return OK;
}

/* What the library may use: reductions over parts of k in a fixed order only. */
static status set_preference(cublasLtMatmulPreference_t preference, const linear_shape *s,
                             int64_t workspace_bytes)
{
    uint32_t schemes = CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE, bytes = (uint32_t)s->alignment;
    uint64_t workspace = (uint64_t)workspace_bytes;
#define PREFER(name, value)                                                                        \
    BLAS_TRY(cublasLtMatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_##name,         \
                                                  &(value), sizeof(value)))
    PREFER(MAX_WORKSPACE_BYTES, workspace);
    PREFER(REDUCTION_SCHEME_MASK, schemes);
    PREFER(MIN_ALIGNMENT_A_BYTES, bytes);
    PREFER(MIN_ALIGNMENT_B_BYTES, bytes);
    PREFER(MIN_ALIGNMENT_C_BYTES, bytes);
    PREFER(MIN_ALIGNMENT_D_BYTES, bytes);
    return OK;
}

/* An epilogue that does not go with these types or sizes may also be called an invalid value. */
static bool is_refused_epilogue(const linear_shape *s, cublasStatus_t code)
{
    return s->epilogue != CUBLASLT_EPILOGUE_DEFAULT && code == CUBLAS_STATUS_INVALID_VALUE;
}

static status choose_algorithm(device *d, linear_plan *p)
{
    cublasLtMatmulPreference_t preference = NULL;
    cublasLtMatmulHeuristicResult_t found;
    int count = 0;
    BLAS_TRY(cublasLtMatmulPreferenceCreate(&preference));
    status s = set_preference(preference, &p->shape, d->scratch.library_bytes);
    cublasStatus_t code = CUBLAS_STATUS_SUCCESS;
    if (s == OK)
        code = cublasLtMatmulAlgoGetHeuristic(d->plans.library, p->product, p->a, p->b, p->d, p->d,
                                              preference, 1, &found, &count);
    (void)cublasLtMatmulPreferenceDestroy(preference);
    TRY(s);
    p->supported =
        code == CUBLAS_STATUS_SUCCESS && count > 0 && found.state == CUBLAS_STATUS_SUCCESS;
    if (p->supported)
        p->algorithm = found.algo;
    else if (code != CUBLAS_STATUS_NOT_SUPPORTED && !is_refused_epilogue(&p->shape, code))
        BLAS_TRY(code);
    return OK;
}

/* The plan of this shape, made when it is first asked for. */
static status find_plan(device *d, const linear_shape *s, linear_plan **out)
{
    linear_plans *all = &d->plans;
    TRY(grow(all));
    int32_t at = find_place(all, s);
    linear_plan *p = &all->plan[at];
    *out = p;
    if (all->used[at]) return OK;
    p->shape = *s;
    all->used[at] = true;
    all->count++;
    TRY(describe_product(p));
    return choose_algorithm(d, p);
}

/* --- one product ---------------------------------------------------------- */

typedef struct product {
    linear_shape shape; /* all but alignment */
    const void *a, *b;
    void *d;
    void *bias, *aux; /* where the epilogue has them */
} product;

/* The largest power of two, at most ALIGNMENT_MOST, that divides all addresses. */
static int32_t alignment_of(const product *p)
{
    uintptr_t bits = ALIGNMENT_MOST | (uintptr_t)p->a | (uintptr_t)p->b | (uintptr_t)p->d |
                     (uintptr_t)p->bias | (uintptr_t)p->aux;
    return (int32_t)(bits & (~bits + 1));
}

/* *done false: the library has no such product or epilogue, and nothing was queued. */
static status try_product(device *d, product *p, bool *done)
{
    static const float one = 1, zero = 0;
    linear_plan *plan;
    p->shape.alignment = alignment_of(p);
    TRY(find_plan(d, &p->shape, &plan));
    *done = plan->supported;
    if (!*done) return OK;
    if (p->bias)
        BLAS_TRY(cublasLtMatmulDescSetAttribute(plan->product, CUBLASLT_MATMUL_DESC_BIAS_POINTER,
                                                &p->bias, sizeof p->bias));
    if (p->aux)
        BLAS_TRY(cublasLtMatmulDescSetAttribute(plan->product,
                                                CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER, &p->aux,
                                                sizeof p->aux));
    BLAS_TRY(cublasLtMatmul(d->plans.library, plan->product, &one, p->a, plan->a, p->b, plan->b,
                            p->shape.accumulate ? &one : &zero, p->d, plan->d, p->d, plan->d,
                            &plan->algorithm, d->scratch.library, (size_t)d->scratch.library_bytes,
                            d->call.stream));
    return OK;
}

static status plain_product(device *d, product *p)
{
    bool done;
    p->shape.epilogue = CUBLASLT_EPILOGUE_DEFAULT;
    p->shape.ld_aux = 0;
    p->bias = p->aux = NULL;
    TRY(try_product(d, p, &done));
    REQUIRE(done, ERR_DEVICE, "cuBLASLt has no product of %lld x %lld x %lld, %d-byte aligned",
            (long long)p->shape.m, (long long)p->shape.n, (long long)p->shape.k,
            p->shape.alignment);
    return OK;
}

static char *row_at(tensor t, int64_t row)
{
    return (char *)t.data + row * t.dim[1] * dtype_bytes(t.type);
}

static tensor rows_of(tensor t, int64_t first, int64_t count)
{
    return t.data ? tensor_2(row_at(t, first), t.type, count, t.dim[1]) : t;
}

/* A factor of a product of row-major matrices, as it stands or transposed. */
typedef struct factor {
    tensor matrix;
    bool transposed;
} factor;
static factor plain(tensor t) { return (factor){t, false}; }
static factor transposed(tensor t) { return (factor){t, true}; }

/* d = left @ right as the library sees it: of the transposes, and so the other way round. */
static product product_of(tensor d, factor left, factor right)
{
    tensor l = left.matrix, r = right.matrix;
    return (product){.shape = {.m = d.dim[1],
                               .n = d.dim[0],
                               .k = left.transposed ? l.dim[0] : l.dim[1],
                               .lda = r.dim[1],
                               .ldb = l.dim[1],
                               .ldd = d.dim[1],
                               .a_transposed = right.transposed,
                               .b_transposed = left.transposed,
                               .in = (int32_t)l.type,
                               .out = (int32_t)d.type,
                               .epilogue = CUBLASLT_EPILOGUE_DEFAULT},
                     .a = r.data,
                     .b = l.data,
                     .d = d.data};
}

/* --- the ops -------------------------------------------------------------- */

/* The product in pieces of f32 rows, each finished by an own kernel. */
static status linear_in_pieces(device *d, const linear_args *a, tensor bias)
{
    int64_t M = a->x.dim[0], N = a->w.dim[0], step = piece_rows(d, N);
    for (int64_t first = 0; first < M; first += step) {
        int64_t count = least(step, M - first);
        tensor piece = tensor_2(d->scratch.pieces, DTYPE_F32, count, N);
        product p = product_of(piece, plain(rows_of(a->x, first, count)), transposed(a->w));
        TRY(plain_product(d, &p));
        cuda_activation_args rest = {.out = rows_of(a->out, first, count),
                                     .pre = rows_of(a->pre, first, count),
                                     .in = piece,
                                     .bias = bias,
                                     .act = a->act};
        CUDA_TRY(cuda_launch_activation(&d->call, &rest));
    }
    return OK;
}

/* An activation's input as the library keeps it: rows of a multiple of 8, whole vectors. */
static bool keeps_rows(tensor pre)
{
    return pre.dim[1] % 8 == 0 && (uintptr_t)pre.data % ALIGNMENT_MOST == 0;
}

status cuda_linear(device *d, const linear_args *a)
{
    int64_t N = a->w.dim[0];
    if (tensor_count(a->out) == 0) return OK;
    product p = product_of(a->out, plain(a->x), transposed(a->w));
    tensor bias = a->bias;
    if (bias.data && bias.type != a->out.type) {
        /* f32 logits with a bf16 bias */
        bias = tensor_1(d->scratch.row, a->out.type, N);
        CUDA_TRY(cuda_launch_convert(&d->call, bias, a->bias));
    }
    p.bias = bias.data;
    if (a->act != ACT_NONE) {
        p.aux = a->pre.data;
        p.shape.ld_aux = N;
    }
    if (p.aux)
        p.shape.epilogue = p.bias ? CUBLASLT_EPILOGUE_GELU_AUX_BIAS : CUBLASLT_EPILOGUE_GELU_AUX;
    else if (p.bias)
        p.shape.epilogue = CUBLASLT_EPILOGUE_BIAS;
    /* the library keeps it in the type of its output */
    bool done = false, fits = !p.aux || (keeps_rows(a->pre) && a->pre.type == a->out.type);
    if (fits) TRY(try_product(d, &p, &done));
    return done ? OK : linear_in_pieces(d, a, bias);
}

status cuda_linear_backward_input(device *d, const linear_backward_input_args *a)
{
    int64_t M = a->dy.dim[0], K = a->w.dim[1];
    if (M == 0 || K == 0) return OK;
    product p = product_of(a->dx, plain(a->dy), plain(a->w));
    if (a->act == ACT_NONE) return plain_product(d, &p);
    bool done = false;
    p.aux = a->pre.data;
    p.shape.ld_aux = K;
    p.shape.epilogue = CUBLASLT_EPILOGUE_DGELU;
    if (keeps_rows(a->pre)) TRY(try_product(d, &p, &done));
    if (done) return OK;
    /* in pieces of f32 rows, rounded once */
    int64_t step = piece_rows(d, K);
    for (int64_t first = 0; first < M; first += step) {
        int64_t count = least(step, M - first);
        tensor piece = tensor_2(d->scratch.pieces, DTYPE_F32, count, K);
        product rows = product_of(piece, plain(rows_of(a->dy, first, count)), plain(a->w));
        TRY(plain_product(d, &rows));
        CUDA_TRY(cuda_launch_activation_backward(&d->call, rows_of(a->dx, first, count), piece,
                                                 rows_of(a->pre, first, count), a->act));
    }
    return OK;
}

status cuda_linear_backward_weight(device *d, const linear_backward_weight_args *a)
{
    int64_t M = a->dy.dim[0];
    if (M == 0) {
        TRY(cuda_zero(d, a->dw.data, tensor_bytes(a->dw)));
        return a->dbias.data ? cuda_zero(d, a->dbias.data, tensor_bytes(a->dbias)) : OK;
    }
    if (tensor_count(a->dw) == 0) return OK;
    product p = product_of(a->dw, transposed(a->dy), plain(a->x));
    if (!a->dbias.data) return plain_product(d, &p);
    bool done;
    p.bias = a->dbias.data;
    p.shape.epilogue = CUBLASLT_EPILOGUE_BGRADB;
    TRY(try_product(d, &p, &done));
    if (done) return OK;
    TRY(plain_product(d, &p));
    CUDA_TRY(cuda_launch_column_sums(&d->call, a->dbias, a->dy));
    return OK;
}

/* One piece of tokens: logits, losses, and what they give to dx and dw. */
static status head_piece(device *d, const head_args *a, int64_t first, int64_t count)
{
    int64_t N = a->x.dim[0], C = a->x.dim[1], V = a->w.dim[0], stride = logits_stride(V);
    dtype act = a->x.type;
    tensor x = rows_of(a->x, first, count);
    product logits =
        product_of(tensor_2(d->scratch.pieces, DTYPE_F32, count, V), plain(x), transposed(a->w));
    logits.shape.ldd = stride;
    TRY(plain_product(d, &logits));
    cuda_loss_args loss = {.logits = d->scratch.pieces,
                           .targets = (const int32_t *)a->targets.data + first,
                           .losses = (float *)a->losses.data + first,
                           .rows = count,
                           .V = V,
                           .stride = stride,
                           .first = first,
                           .N = N,
                           .z_loss = a->z_loss,
                           .act = act,
                           .gradient = a->dx.data != NULL};
    CUDA_TRY(cuda_launch_loss(&d->call, &loss));
    if (!a->dx.data) return OK;

    /* the gradient stands where the logits were, in rows as long as before */
    int64_t ld = act == DTYPE_BF16 ? 2 * stride : stride;
    tensor dlogits = tensor_2(d->scratch.pieces, act, count, V);
    product dx = product_of(rows_of(a->dx, first, count), plain(dlogits), plain(a->w));
    dx.shape.ldb = ld;
    TRY(plain_product(d, &dx));
    product dw = product_of(a->dw, transposed(dlogits), plain(x));
    dw.shape.ldb = ld;
    dw.shape.accumulate = first > 0;
    ASSERT(dw.shape.m == C);
    return plain_product(d, &dw);
}

status cuda_head(device *d, const head_args *a)
{
    int64_t N = a->x.dim[0], step = piece_rows(d, logits_stride(a->w.dim[0]));
    if (N == 0) return a->dw.data ? cuda_zero(d, a->dw.data, tensor_bytes(a->dw)) : OK;
    for (int64_t first = 0; first < N; first += step)
        TRY(head_piece(d, a, first, least(step, N - first)));
    return OK;
}

/* --- the product unit ------------------------------------------------------------------------- */

int64_t cuda_burst_size(const device *d)
{
    /* three matrices of bf16 in the memory for pieces; a multiple of tiles */
    int64_t per_unit = d->properties.multiProcessorCount, n = 64 * per_unit / 128 * 128;
    while (n > 0 && 6 * n * n > d->scratch.pieces_bytes) n -= 128;
    return n >= 32 * per_unit ? n : 0;
}

status cuda_burst_fill(device *d, int64_t n)
{
    CUDA_TRY(cuda_launch_burst_fill(&d->call, tensor_2(d->scratch.pieces, DTYPE_BF16, 2 * n, n)));
    return OK;
}

status cuda_burst_product(device *d, int64_t n)
{
    uint16_t *at = (uint16_t *)(void *)d->scratch.pieces;
    tensor left = tensor_2(at, DTYPE_BF16, n, n), right = tensor_2(at + n * n, DTYPE_BF16, n, n);
    product p =
        product_of(tensor_2(at + 2 * n * n, DTYPE_BF16, n, n), plain(left), transposed(right));
    return plain_product(d, &p);
}
