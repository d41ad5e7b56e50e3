/* mock_cublaslt.cpp — cublasLtMatmul on the host, for what the project asks of it: in double, or at
 * the least exact that a device is (MOCK_SUMS). What the library's documentation does not allow
 * ends the program rather than being guessed.                                                  */
#include "mock.h"
#include "tensor_core.h"

#include <cublasLt.h>
#include <cuda_bf16.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

using mock::require;

/* --- descriptors ------------------------------------------------------------------------------
 */

namespace
{
struct layout {
    cudaDataType_t type;
    int64_t rows, columns, ld;
};
struct description {
    int32_t a_op = CUBLAS_OP_N, b_op = CUBLAS_OP_N, bias_type = -1;
    uint32_t epilogue = CUBLASLT_EPILOGUE_DEFAULT;
    void *bias = nullptr, *aux = nullptr;
    int64_t aux_ld = 0;
};
struct preference {
    uint64_t workspace = 0;
    uint32_t schemes = CUBLASLT_REDUCTION_SCHEME_MASK;
    uint32_t alignment[4] = {256, 256, 256, 256}; /* a, b, c, d */
};
/* what an algorithm was chosen for: it may not be used for anything else */
struct promise {
    uint32_t magic, epilogue;
    uint64_t workspace;
    uint16_t alignment[4], bias_alignment, aux_alignment;
    int32_t m, n, k, lda, ldb, ldd;
};
enum { MAGIC = 0x15f10b };
static_assert(sizeof(promise) <= sizeof(cublasLtMatmulAlgo_t), "an algorithm holds a promise");

size_t bytes_of(cudaDataType_t t) { return t == CUDA_R_32F ? 4 : 2; }
float get(const void *p, cudaDataType_t t, int64_t i)
{
    return t == CUDA_R_32F ? ((const float *)p)[i]
                           : __bfloat162float(((const __nv_bfloat16 *)p)[i]);
}
void put(void *p, cudaDataType_t t, int64_t i, float v)
{
    if (t == CUDA_R_32F)
        ((float *)p)[i] = v;
    else
        ((__nv_bfloat16 *)p)[i] = __float2bfloat16_rn(v);
}

const double SCALE = 0.79788456080286535588, CUBE = 0.044715;
double gelu(double x) { return 0.5 * x * (1 + tanh(SCALE * (x + CUBE * x * x * x))); }
double gelu_slope(double x)
{
    double t = tanh(SCALE * (x + CUBE * x * x * x));
    return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * SCALE * (1 + 3 * CUBE * x * x);
}

/* --- the product ------------------------------------------------------------------------------
 */

struct job {
    description d;
    layout a, b, out;
    const void *pa, *pb;
    void *pd, *workspace;
    size_t workspace_bytes;
    bool accumulate;
    int64_t m, n, k;
};

/* op(matrix) as rows x columns doubles, columns contiguous in `step` */
std::vector<double> unpack(const void *p, const layout &l, bool transposed)
{
    int64_t rows = transposed ? l.columns : l.rows, columns = transposed ? l.rows : l.columns;
    std::vector<double> out((size_t)(rows * columns));
    for (int64_t j = 0; j < columns; j++)
        for (int64_t i = 0; i < rows; i++)
            out[(size_t)(j * rows + i)] =
                (double)get(p, l.type, transposed ? i * l.ld + j : j * l.ld + i);
    return out;
}

void finish_column(const job &q, int64_t j, const std::vector<double> &sums)
{
    cudaDataType_t type = q.out.type,
                   bias = q.d.bias_type < 0 ? type : (cudaDataType_t)q.d.bias_type;
    uint32_t e = q.d.epilogue;
    bool biased = e == CUBLASLT_EPILOGUE_BIAS || e == CUBLASLT_EPILOGUE_GELU_AUX_BIAS;
    bool kept = e == CUBLASLT_EPILOGUE_GELU_AUX || e == CUBLASLT_EPILOGUE_GELU_AUX_BIAS;
    for (int64_t i = 0; i < q.m; i++) {
        double v = sums[(size_t)i];
        if (q.accumulate) v += (double)get(q.pd, type, j * q.out.ld + i);
        if (biased) v += (double)get(q.d.bias, bias, i);
        if (kept) put(q.d.aux, type, j * q.d.aux_ld + i, (float)v);
        if (kept) v = gelu(v);
        if (e == CUBLASLT_EPILOGUE_DGELU)
            v *= gelu_slope((double)get(q.d.aux, type, j * q.d.aux_ld + i));
        put(q.pd, type, j * q.out.ld + i, (float)v);
    }
}

/* One column of sums as a device may form them: f32 one after the other, bf16 eight at a time.
 * rows: of a, one after the other. */
void device_sums(const job &q, const std::vector<float> &rows, const float *column,
                 std::vector<double> &sums)
{
    constexpr int64_t BLOCK = 8;
    for (int64_t i = 0; i < q.m; i++) {
        const float *row = &rows[(size_t)(i * q.k)];
        float sum = 0;
        if (q.a.type == CUDA_R_16BF)
            for (int64_t l = 0; l < q.k; l += BLOCK)
                sum = emu::tensor_sum(sum, row + l, column + l, (int)std::min(BLOCK, q.k - l));
        else
            for (int64_t l = 0; l < q.k; l++) sum = std::fma(row[l], column[l], sum);
        sums[(size_t)i] = (double)sum;
    }
}

bool as_a_device()
{
    const char *text = getenv("MOCK_SUMS");
    require(!text || !strcmp(text, "device"), "MOCK_SUMS=%s is not 'device'", text);
    return text != nullptr;
}

void multiply(const job &q)
{
    const bool device = as_a_device();
    std::vector<float> rows, factors((size_t)q.k);
    std::vector<double> a = unpack(q.pa, q.a, q.d.a_op == CUBLAS_OP_T),
                        b = unpack(q.pb, q.b, q.d.b_op == CUBLAS_OP_T), sums((size_t)q.m);
    /* the library leaves anything in its workspace */
    memset(q.workspace, 0xff, q.workspace_bytes < 4096 ? q.workspace_bytes : 4096);
    for (int64_t i = 0; device && i < q.m; i++)
        for (int64_t l = 0; l < q.k; l++) rows.push_back((float)a[(size_t)(l * q.m + i)]);
    for (int64_t j = 0; j < q.n; j++) {
        for (auto &s : sums) s = 0;
        for (int64_t l = 0; l < q.k; l++) factors[(size_t)l] = (float)b[(size_t)(j * q.k + l)];
        if (device) device_sums(q, rows, factors.data(), sums);
        for (int64_t l = 0; !device && l < q.k; l++) {
            double factor = b[(size_t)(j * q.k + l)];
            const double *column = &a[(size_t)(l * q.m)];
            for (int64_t i = 0; i < q.m; i++) sums[(size_t)i] += factor * column[i];
        }
        finish_column(q, j, sums);
    }
    if (q.d.epilogue != CUBLASLT_EPILOGUE_BGRADB) return;
    /* sums of b over k, one per column of d */
    cudaDataType_t bias = q.d.bias_type < 0 ? q.out.type : (cudaDataType_t)q.d.bias_type;
    for (int64_t j = 0; j < q.n; j++) {
        double sum = 0;
        for (int64_t l = 0; l < q.k; l++) {
            sum += b[(size_t)(j * q.k + l)];
            if (device) sum = (double)(float)sum;
        }
        put(q.d.bias, bias, j, (float)sum);
    }
}

/* --- what may be asked for --------------------------------------------------------------------
 */

/* As documented: f32 throughout, or bf16 factors with a bf16 or f32 result; the bias and the kept
 * matrix have the result's type; the kept matrix has rows of 8. */
bool is_supported(const description &d, const layout &a, const layout &b, const layout &out)
{
    uint32_t e = d.epilogue;
    bool aux = e == CUBLASLT_EPILOGUE_GELU_AUX || e == CUBLASLT_EPILOGUE_GELU_AUX_BIAS ||
               e == CUBLASLT_EPILOGUE_DGELU;
    bool bias = e == CUBLASLT_EPILOGUE_BIAS || e == CUBLASLT_EPILOGUE_GELU_AUX_BIAS;
    require(e == CUBLASLT_EPILOGUE_DEFAULT || e == CUBLASLT_EPILOGUE_BGRADB || aux || bias,
            "cublasLt: epilogue %u is not known here", e);
    const char *refuse = getenv("MOCK_BLAS");
    if (refuse && !strcmp(refuse, "plain") && e != CUBLASLT_EPILOGUE_DEFAULT) return false;
    bool types = a.type == b.type && (a.type == CUDA_R_16BF || out.type == CUDA_R_32F);
    bool kept = !aux || (d.aux_ld >= out.rows && d.aux_ld % 8 == 0);
    bool added = !bias || d.bias_type < 0 || d.bias_type == (int32_t)out.type;
    return types && kept && added;
}

uint32_t alignment_of(const void *p)
{
    uintptr_t bits = (uintptr_t)p | 256;
    return (uint32_t)(bits & (~bits + 1));
}

void check_sizes(const description &d, const layout &a, const layout &b, const layout &out, job *q)
{
    bool at = d.a_op == CUBLAS_OP_T, bt = d.b_op == CUBLAS_OP_T;
    q->m = at ? a.columns : a.rows;
    q->k = at ? a.rows : a.columns;
    q->n = bt ? b.rows : b.columns;
    require(q->k == (bt ? b.columns : b.rows), "cublasLt: inner sizes differ");
    require(out.rows == q->m && out.columns == q->n, "cublasLt: the result has another size");
}

size_t span(const layout &l)
{
    return (size_t)((l.columns - 1) * l.ld + l.rows) * bytes_of(l.type);
}

void check_memory(const job &q, const promise &p)
{
    const void *pointer[4] = {q.pa, q.pb, q.pd, q.pd};
    for (int i = 0; i < 4; i++)
        require(alignment_of(pointer[i]) >= p.alignment[i],
                "cublasLt: an operand is less aligned than its algorithm was promised");
    require(mock::on_device(q.pa, span(q.a)), "cublasLt: a is not device memory");
    require(mock::on_device(q.pb, span(q.b)), "cublasLt: b is not device memory");
    require(mock::on_device(q.pd, span(q.out)), "cublasLt: d is not device memory");
    require(q.pd != q.pa && q.pd != q.pb, "cublasLt: d is also a factor");
    uint32_t e = q.d.epilogue;
    cudaDataType_t bias = q.d.bias_type < 0 ? q.out.type : (cudaDataType_t)q.d.bias_type;
    bool rows = e == CUBLASLT_EPILOGUE_BIAS || e == CUBLASLT_EPILOGUE_GELU_AUX_BIAS;
    if (rows || e == CUBLASLT_EPILOGUE_BGRADB)
        require(mock::on_device(q.d.bias, (size_t)(rows ? q.m : q.n) * bytes_of(bias)) &&
                    alignment_of(q.d.bias) >= p.bias_alignment,
                "cublasLt: the bias is not device memory, or less aligned than its address was "
                "when the algorithm was chosen");
    if (e & 128) {
        layout aux = {q.out.type, q.m, q.n, q.d.aux_ld};
        require(mock::on_device(q.d.aux, span(aux)), "cublasLt: aux is not device memory");
        require(alignment_of(q.d.aux) >= 16 && alignment_of(q.d.aux) >= p.aux_alignment,
                "cublasLt: aux is not 16-byte aligned, or less than when the algorithm was chosen");
    }
    require(q.workspace_bytes >= p.workspace && mock::on_device(q.workspace, q.workspace_bytes) &&
                alignment_of(q.workspace) >= 256,
            "cublasLt: the workspace is not what the algorithm was promised");
}
} // namespace

/* --- the library's functions -------------------------------------------------------------------
 */

extern "C" {
size_t cublasLtGetVersion(void) { return CUBLAS_VERSION; }
const char *cublasLtGetStatusString(cublasStatus_t) { return "pretended cuBLASLt error"; }
cublasStatus_t cublasLtCreate(cublasLtHandle_t *out)
{
    *out = (cublasLtHandle_t)malloc(1);
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtDestroy(cublasLtHandle_t h)
{
    free(h);
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t *out, cublasComputeType_t compute,
                                        cudaDataType_t scale)
{
    require(compute == CUBLAS_COMPUTE_32F && scale == CUDA_R_32F, "cublasLt: compute type");
    *out = (cublasLtMatmulDesc_t) new description;
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t d)
{
    delete (description *)d;
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t handle,
                                              cublasLtMatmulDescAttributes_t attribute,
                                              const void *value, size_t bytes)
{
    description *d = (description *)handle;
    void *to = nullptr;
    size_t size = 4;
    switch (attribute) {
    case CUBLASLT_MATMUL_DESC_TRANSA:
        to = &d->a_op;
        break;
    case CUBLASLT_MATMUL_DESC_TRANSB:
        to = &d->b_op;
        break;
    case CUBLASLT_MATMUL_DESC_EPILOGUE:
        to = &d->epilogue;
        break;
    case CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE:
        to = &d->bias_type;
        break;
    case CUBLASLT_MATMUL_DESC_BIAS_POINTER:
        to = &d->bias, size = 8;
        break;
    case CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER:
        to = &d->aux, size = 8;
        break;
    case CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD:
        to = &d->aux_ld, size = 8;
        break;
    default:
        require(false, "cublasLt: attribute %d of a product is not known here", attribute);
    }
    require(bytes == size, "cublasLt: attribute %d has %zu bytes", attribute, bytes);
    memcpy(to, value, size);
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t *out, cudaDataType_t type,
                                          uint64_t rows, uint64_t columns, int64_t ld)
{
    require(type == CUDA_R_32F || type == CUDA_R_16BF, "cublasLt: type %d", type);
    require(rows > 0 && columns > 0 && ld >= (int64_t)rows, "cublasLt: %zu x %zu, ld %zd",
            (size_t)rows, (size_t)columns, (ssize_t)ld);
    *out = (cublasLtMatrixLayout_t) new layout{type, (int64_t)rows, (int64_t)columns, ld};
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t l)
{
    delete (layout *)l;
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t *out)
{
    *out = (cublasLtMatmulPreference_t) new preference;
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t p)
{
    delete (preference *)p;
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t handle,
                                                    cublasLtMatmulPreferenceAttributes_t attribute,
                                                    const void *value, size_t bytes)
{
    preference *p = (preference *)handle;
    if (attribute == CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES && bytes == 8)
        memcpy(&p->workspace, value, 8);
    else if (attribute == CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK && bytes == 4)
        memcpy(&p->schemes, value, 4);
    else if (attribute >= CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES &&
             attribute <= CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES && bytes == 4)
        memcpy(&p->alignment[attribute - CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES], value, 4);
    else
        require(false, "cublasLt: preference %d of %zu bytes", attribute, bytes);
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t, cublasLtMatmulDesc_t desc,
                                              cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                              cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                              cublasLtMatmulPreference_t prefers, int wanted,
                                              cublasLtMatmulHeuristicResult_t results[], int *count)
{
    const description &q = *(description *)desc;
    const layout &la = *(layout *)a, &lb = *(layout *)b, &ld = *(layout *)d;
    const preference &p = *(preference *)prefers;
    job sizes = {};
    *count = 0;
    /* as CUDA 13.3 answers while a stream is recorded */
    if (mock::recording()) return CUBLAS_STATUS_INTERNAL_ERROR;
    require(wanted >= 1 && c == d, "cublasLt: heuristic for another c than d");
    require(p.schemes == CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE,
            "cublasLt: reductions that give other bits each time are allowed");
    check_sizes(q, la, lb, ld, &sizes);
    /* the library says it in either way */
    if (!is_supported(q, la, lb, ld))
        return q.aux_ld > 0 ? CUBLAS_STATUS_INVALID_VALUE : CUBLAS_STATUS_NOT_SUPPORTED;
    memset(results, 0, sizeof *results);
    promise made = {MAGIC,
                    q.epilogue,
                    p.workspace,
                    {},
                    (uint16_t)alignment_of(q.bias),
                    (uint16_t)alignment_of(q.aux),
                    (int32_t)sizes.m,
                    (int32_t)sizes.n,
                    (int32_t)sizes.k,
                    (int32_t)la.ld,
                    (int32_t)lb.ld,
                    (int32_t)ld.ld};
    for (int i = 0; i < 4; i++) made.alignment[i] = (uint16_t)p.alignment[i];
    memcpy(&results->algo, &made, sizeof made);
    results->state = CUBLAS_STATUS_SUCCESS;
    results->workspaceSize = p.workspace;
    *count = 1;
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmul(cublasLtHandle_t, cublasLtMatmulDesc_t desc, const void *alpha,
                              const void *pa, cublasLtMatrixLayout_t a, const void *pb,
                              cublasLtMatrixLayout_t b, const void *beta, const void *pc,
                              cublasLtMatrixLayout_t c, void *pd, cublasLtMatrixLayout_t d,
                              const cublasLtMatmulAlgo_t *algorithm, void *workspace,
                              size_t workspace_bytes, cudaStream_t stream)
{
    job q = {*(description *)desc,
             *(layout *)a,
             *(layout *)b,
             *(layout *)d,
             pa,
             pb,
             pd,
             workspace,
             workspace_bytes,
             *(const float *)beta == 1,
             0,
             0,
             0};
    promise p;
    memcpy(&p, algorithm, sizeof p);
    require(*(const float *)alpha == 1 && (q.accumulate || *(const float *)beta == 0),
            "cublasLt: alpha and beta");
    require(pc == pd && c == d, "cublasLt: c is not d");
    check_sizes(q.d, q.a, q.b, q.out, &q);
    require(is_supported(q.d, q.a, q.b, q.out), "cublasLt: a product that it does not support");
    require(p.magic == MAGIC && p.m == q.m && p.n == q.n && p.k == q.k && p.lda == q.a.ld &&
                p.ldb == q.b.ld && p.ldd == q.out.ld && p.epilogue == q.d.epilogue,
            "cublasLt: the algorithm was chosen for another product");
    check_memory(q, p);
    mock::enqueue(stream, [q] { multiply(q); });
    return CUBLAS_STATUS_SUCCESS;
}
}
