#include "kernels/cuda/dnn_graph.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

enum { VERSION_LEAST = 91600, ALIGNMENT = 16, PLANS_MOST = 32, NOTES_MOST = 32 };

/* --- the library ---------------------------------------------------------- */

static bool find_calls(dnn_library *l)
{
    bool all = true;
#define AS_LOOKUP(symbol, member, result, args)                                                    \
    {                                                                                              \
        void *found = dlsym(l->file, symbol);                                                      \
        memcpy(&l->member, &found, sizeof found);                                                  \
        all &= found != NULL;                                                                      \
    }
    DNN_CALLS(AS_LOOKUP)
#undef AS_LOOKUP
    return all;
}

/* The library's last words, or those for the code. */
static void words_of(const dnn_library *l, cudnnStatus_t code, char *text, size_t bytes)
{
    text[0] = '\0';
    l->last_error(text, bytes);
    text[strcspn(text, "\n")] = '\0';
    if (text[0] == '\0') (void)snprintf(text, bytes, "%s", l->error_text(code));
}

static cudnnStatus_t open_properties(dnn_library *l, const char *json)
{
    cudnnStatus_t s = l->make(CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR, &l->properties);
    if (s == CUDNN_STATUS_SUCCESS)
        s = l->set(l->properties, CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION, CUDNN_TYPE_CHAR,
                   (int64_t)strlen(json) + 1, json);
    return s == CUDNN_STATUS_SUCCESS ? l->finalize(l->properties) : s;
}

static cudnnStatus_t open_handle(dnn_library *l, cudaStream_t stream)
{
    cudnnStatus_t s = l->create(&l->handle);
    return s == CUDNN_STATUS_SUCCESS ? l->set_stream(l->handle, stream) : s;
}

static status start_library(dnn_library *l, cudaStream_t stream, const char *properties)
{
    char text[300];
    l->file = dlopen("libcudnn.so.9", RTLD_NOW | RTLD_LOCAL);
    REQUIRE(l->file, ERR_CONFIG, "libcudnn.so.9 does not open (%s)", dlerror());
    REQUIRE(find_calls(l), ERR_CONFIG, "libcudnn.so.9 has no backend interface");
    dnn_library_version(l, text, sizeof text);
    REQUIRE(l->version() >= VERSION_LEAST, ERR_CONFIG, "cuDNN %s is older than %d.%d", text,
            VERSION_LEAST / 10000, VERSION_LEAST / 100 % 100);
    cudnnStatus_t s = properties ? open_properties(l, properties) : open_handle(l, stream);
    if (s == CUDNN_STATUS_SUCCESS) return OK;
    words_of(l, s, text, sizeof text);
    FAIL(ERR_CONFIG, "cuDNN does not start (%s)", text);
}

status dnn_library_open(dnn_library *out, cudaStream_t stream, const char *properties)
{
    dnn_library l = {0};
    status s = start_library(&l, stream, properties);
    if (s != OK)
        dnn_library_close(&l);
    else
        *out = l;
    return s;
}

void dnn_library_close(dnn_library *l)
{
    if (l->properties) (void)l->unmake(l->properties);
    if (l->handle) (void)l->destroy(l->handle);
    if (l->file) (void)dlclose(l->file);
    *l = (dnn_library){0};
}

void dnn_library_version(const dnn_library *l, char *text, size_t bytes)
{
    const size_t v = l->version();
    (void)snprintf(text, bytes, "%zu.%zu.%zu", v / 10000, v / 100 % 100, v % 100);
}

/* --- descriptors ---------------------------------------------------------- */

void dnn_graph_init(dnn_graph *g, const dnn_library *l)
{
    *g = (dnn_graph){.library = l, .next_uid = DNN_UID_FREE};
}

void dnn_graph_deinit(dnn_graph *g)
{
    while (g->made_count > 0) (void)g->library->unmake(g->made[--g->made_count]);
    *g = (dnn_graph){0};
}

/* The first failure stays, with what was being done. */
static void check(dnn_graph *g, cudnnStatus_t code, const char *what)
{
    if (code == CUDNN_STATUS_SUCCESS || g->failed != CUDNN_STATUS_SUCCESS) return;
    char text[300];
    g->failed = code;
    words_of(g->library, code, text, sizeof text);
    (void)snprintf(g->why, sizeof g->why, "%s: %s", what, text);
}

static cudnnBackendDescriptor_t make(dnn_graph *g, cudnnBackendDescriptorType_t type)
{
    cudnnBackendDescriptor_t d = NULL;
    if (g->failed != CUDNN_STATUS_SUCCESS) return NULL;
    ASSERT(g->made_count < DNN_DESCRIPTORS);
    check(g, g->library->make(type, &d), "a descriptor");
    if (d) g->made[g->made_count++] = d;
    return d;
}

static void set(dnn_graph *g, cudnnBackendDescriptor_t d, cudnnBackendAttributeName_t name,
                cudnnBackendAttributeType_t type, int64_t count, const void *values)
{
    char what[40];
    (void)snprintf(what, sizeof what, "attribute %d", (int)name);
    if (g->failed == CUDNN_STATUS_SUCCESS)
        check(g, g->library->set(d, name, type, count, values), what);
}

static void set_link(dnn_graph *g, cudnnBackendDescriptor_t d, cudnnBackendAttributeName_t name,
                     cudnnBackendDescriptor_t to)
{
    set(g, d, name, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &to);
}

static void set_type(dnn_graph *g, cudnnBackendDescriptor_t d, cudnnBackendAttributeName_t name,
                     cudnnDataType_t type)
{
    set(g, d, name, CUDNN_TYPE_DATA_TYPE, 1, &type);
}

static void finalize(dnn_graph *g, cudnnBackendDescriptor_t d, const char *what)
{
    if (g->failed == CUDNN_STATUS_SUCCESS) check(g, g->library->finalize(d), what);
}

/* --- tensors -------------------------------------------------------------- */

dnn_shape dnn_packed(int64_t b, int64_t h, int64_t rows, int64_t columns)
{
    return (dnn_shape){{b, h, rows, columns}, {h * rows * columns, rows * columns, columns, 1}};
}

typedef enum place { BOUND, NUMBER, BETWEEN } place;

static dnn_tensor describe(dnn_graph *g, int64_t uid, cudnnDataType_t type, dnn_shape shape,
                           place where)
{
    const int64_t alignment = ALIGNMENT;
    const bool between = where == BETWEEN, number = where == NUMBER;
    cudnnBackendDescriptor_t d = make(g, CUDNN_BACKEND_TENSOR_DESCRIPTOR);
    set(g, d, CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, 1, &uid);
    set_type(g, d, CUDNN_ATTR_TENSOR_DATA_TYPE, type);
    set(g, d, CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, 4, shape.dim);
    set(g, d, CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, 4, shape.stride);
    set(g, d, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, CUDNN_TYPE_INT64, 1, &alignment);
    set(g, d, CUDNN_ATTR_TENSOR_IS_VIRTUAL, CUDNN_TYPE_BOOLEAN, 1, &between);
    set(g, d, CUDNN_ATTR_TENSOR_IS_BY_VALUE, CUDNN_TYPE_BOOLEAN, 1, &number);
    finalize(g, d, "a tensor");
    return (dnn_tensor){d, shape};
}

dnn_tensor dnn_bound(dnn_graph *g, int64_t uid, cudnnDataType_t type, dnn_shape shape)
{
    ASSERT(uid > 0 && uid < DNN_UID_FREE);
    return describe(g, uid, type, shape, BOUND);
}

dnn_tensor dnn_number(dnn_graph *g, int64_t uid)
{
    ASSERT(uid > 0 && uid < DNN_UID_FREE);
    return describe(g, uid, CUDNN_DATA_FLOAT, dnn_packed(1, 1, 1, 1), NUMBER);
}

dnn_tensor dnn_between(dnn_graph *g, cudnnDataType_t type, dnn_shape shape)
{
    return describe(g, g->next_uid++, type, shape, BETWEEN);
}

/* --- operations ----------------------------------------------------------- */

static void add_operation(dnn_graph *g, cudnnBackendDescriptor_t d, const char *what)
{
    finalize(g, d, what);
    ASSERT(g->operation_count < DNN_OPERATIONS);
    g->operation[g->operation_count++] = d;
}

void dnn_product(dnn_graph *g, dnn_tensor c, dnn_tensor a, dnn_tensor b)
{
    cudnnBackendDescriptor_t how = make(g, CUDNN_BACKEND_MATMUL_DESCRIPTOR);
    set_type(g, how, CUDNN_ATTR_MATMUL_COMP_TYPE, CUDNN_DATA_FLOAT);
    finalize(g, how, "a product");
    cudnnBackendDescriptor_t d = make(g, CUDNN_BACKEND_OPERATION_MATMUL_DESCRIPTOR);
    set_link(g, d, CUDNN_ATTR_OPERATION_MATMUL_ADESC, a.descriptor);
    set_link(g, d, CUDNN_ATTR_OPERATION_MATMUL_BDESC, b.descriptor);
    set_link(g, d, CUDNN_ATTR_OPERATION_MATMUL_CDESC, c.descriptor);
    set_link(g, d, CUDNN_ATTR_OPERATION_MATMUL_DESC, how);
    add_operation(g, d, "a product of matrices");
}

static cudnnBackendDescriptor_t mode_of(dnn_graph *g, cudnnPointwiseMode_t mode,
                                        cudnnDataType_t type, const int64_t *axis)
{
    cudnnBackendDescriptor_t how = make(g, CUDNN_BACKEND_POINTWISE_DESCRIPTOR);
    set(g, how, CUDNN_ATTR_POINTWISE_MODE, CUDNN_TYPE_POINTWISE_MODE, 1, &mode);
    set_type(g, how, CUDNN_ATTR_POINTWISE_MATH_PREC, type);
    if (axis) set(g, how, CUDNN_ATTR_POINTWISE_AXIS, CUDNN_TYPE_INT64, 1, axis);
    finalize(g, how, "a pointwise mode");
    return how;
}

static void add_pointwise(dnn_graph *g, cudnnBackendDescriptor_t how, dnn_tensor y, dnn_tensor x,
                          const dnn_tensor *b, const dnn_tensor *where)
{
    cudnnBackendDescriptor_t d = make(g, CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR);
    set_link(g, d, CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, how);
    set_link(g, d, CUDNN_ATTR_OPERATION_POINTWISE_XDESC, x.descriptor);
    if (b) set_link(g, d, CUDNN_ATTR_OPERATION_POINTWISE_BDESC, b->descriptor);
    if (where) set_link(g, d, CUDNN_ATTR_OPERATION_POINTWISE_TDESC, where->descriptor);
    set_link(g, d, CUDNN_ATTR_OPERATION_POINTWISE_YDESC, y.descriptor);
    add_operation(g, d, "a pointwise operation");
}

void dnn_pointwise(dnn_graph *g, cudnnPointwiseMode_t mode, dnn_tensor y, dnn_tensor x,
                   dnn_tensor b)
{
    const bool compares = mode >= CUDNN_POINTWISE_CMP_EQ && mode <= CUDNN_POINTWISE_CMP_LE;
    cudnnDataType_t type = compares ? CUDNN_DATA_BOOLEAN : CUDNN_DATA_FLOAT;
    add_pointwise(g, mode_of(g, mode, type, NULL), y, x, b.descriptor ? &b : NULL, NULL);
}

void dnn_select(dnn_graph *g, dnn_tensor y, dnn_tensor x, dnn_tensor b, dnn_tensor where)
{
    add_pointwise(g, mode_of(g, CUDNN_POINTWISE_BINARY_SELECT, CUDNN_DATA_FLOAT, NULL), y, x, &b,
                  &where);
}

void dnn_place(dnn_graph *g, dnn_tensor y, dnn_tensor x, int64_t axis)
{
    add_pointwise(g, mode_of(g, CUDNN_POINTWISE_GEN_INDEX, CUDNN_DATA_INT32, &axis), y, x, NULL,
                  NULL);
}

void dnn_reduce(dnn_graph *g, cudnnReduceTensorOp_t how, dnn_tensor y, dnn_tensor x)
{
    cudnnBackendDescriptor_t by = make(g, CUDNN_BACKEND_REDUCTION_DESCRIPTOR);
    set(g, by, CUDNN_ATTR_REDUCTION_OPERATOR, CUDNN_TYPE_REDUCTION_OPERATOR_TYPE, 1, &how);
    set_type(g, by, CUDNN_ATTR_REDUCTION_COMP_TYPE, CUDNN_DATA_FLOAT);
    finalize(g, by, "a reduction");
    cudnnBackendDescriptor_t d = make(g, CUDNN_BACKEND_OPERATION_REDUCTION_DESCRIPTOR);
    set_link(g, d, CUDNN_ATTR_OPERATION_REDUCTION_DESC, by);
    set_link(g, d, CUDNN_ATTR_OPERATION_REDUCTION_XDESC, x.descriptor);
    set_link(g, d, CUDNN_ATTR_OPERATION_REDUCTION_YDESC, y.descriptor);
    add_operation(g, d, "a reduction of a tensor");
}

void dnn_reshape(dnn_graph *g, dnn_tensor y, dnn_tensor x)
{
    cudnnBackendDescriptor_t d = make(g, CUDNN_BACKEND_OPERATION_RESHAPE_DESCRIPTOR);
    set_link(g, d, CUDNN_ATTR_OPERATION_RESHAPE_XDESC, x.descriptor);
    set_link(g, d, CUDNN_ATTR_OPERATION_RESHAPE_YDESC, y.descriptor);
    add_operation(g, d, "a reshape");
}

/* --- plans ---------------------------------------------------------------- */

static cudnnBackendDescriptor_t describe_graph(dnn_graph *g)
{
    const dnn_library *l = g->library;
    cudnnBackendDescriptor_t d = make(g, CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
    if (l->handle) set(g, d, CUDNN_ATTR_OPERATIONGRAPH_HANDLE, CUDNN_TYPE_HANDLE, 1, &l->handle);
    set(g, d, CUDNN_ATTR_OPERATIONGRAPH_OPS, CUDNN_TYPE_BACKEND_DESCRIPTOR, g->operation_count,
        g->operation);
    finalize(g, d, "the graph");
    return d;
}

/* What the heuristics suggest, best first. */
static int64_t suggestions(dnn_graph *g, cudnnBackendDescriptor_t graph,
                           cudnnBackendDescriptor_t *configs)
{
    const cudnnBackendHeurMode_t mode = CUDNN_HEUR_MODE_A;
    int64_t count = 0;
    cudnnBackendDescriptor_t d = make(g, CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR);
    set_link(g, d, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, graph);
    set(g, d, CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, 1, &mode);
    if (g->library->properties)
        set_link(g, d, CUDNN_ATTR_ENGINEHEUR_DEVICEPROP, g->library->properties);
    finalize(g, d, "the heuristics");
    for (int i = 0; i < PLANS_MOST; i++) configs[i] = make(g, CUDNN_BACKEND_ENGINECFG_DESCRIPTOR);
    if (g->failed == CUDNN_STATUS_SUCCESS)
        check(g,
              g->library->get(d, CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_TYPE_BACKEND_DESCRIPTOR,
                              PLANS_MOST, &count, configs),
              "the heuristics");
    return g->failed == CUDNN_STATUS_SUCCESS && count < PLANS_MOST ? count : PLANS_MOST;
}

/* The library notes it where an engine may give other bits for the same inputs. */
static bool same_bits(dnn_graph *g, cudnnBackendDescriptor_t config)
{
    const dnn_library *l = g->library;
    cudnnBackendNumericalNote_t notes[NOTES_MOST];
    int64_t count = 0, engines = 0;
    cudnnBackendDescriptor_t engine = make(g, CUDNN_BACKEND_ENGINE_DESCRIPTOR);
    if (!engine ||
        l->get(config, CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &engines,
               &engine) != CUDNN_STATUS_SUCCESS ||
        l->get(engine, CUDNN_ATTR_ENGINE_NUMERICAL_NOTE, CUDNN_TYPE_NUMERICAL_NOTE, NOTES_MOST,
               &count, notes) != CUDNN_STATUS_SUCCESS)
        return false;
    for (int64_t i = 0; i < count && i < NOTES_MOST; i++)
        if (notes[i] == CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC) return false;
    return true;
}

/* NULL: this configuration is not for this graph or device. */
static cudnnBackendDescriptor_t finish(dnn_graph *g, cudnnBackendDescriptor_t config)
{
    const dnn_library *l = g->library;
    cudnnBackendDescriptor_t d = make(g, CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR);
    if (l->handle) set(g, d, CUDNN_ATTR_EXECUTION_PLAN_HANDLE, CUDNN_TYPE_HANDLE, 1, &l->handle);
    if (l->properties) set_link(g, d, CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP, l->properties);
    set_link(g, d, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, config);
    if (g->failed != CUDNN_STATUS_SUCCESS) return NULL;
    return l->finalize(d) == CUDNN_STATUS_SUCCESS ? d : NULL;
}

static status choose(dnn_plan *p)
{
    dnn_graph *g = &p->graph;
    cudnnBackendDescriptor_t configs[PLANS_MOST];
    cudnnBackendDescriptor_t graph = describe_graph(g);
    const int64_t count = suggestions(g, graph, configs);
    REQUIRE(g->failed == CUDNN_STATUS_SUCCESS, ERR_CONFIG, "%s", g->why);
    int64_t refused = 0;
    for (int64_t i = 0; i < count && !p->plan; i++) {
        if (same_bits(g, configs[i]))
            p->plan = finish(g, configs[i]);
        else
            refused++;
        REQUIRE(g->failed == CUDNN_STATUS_SUCCESS, ERR_CONFIG, "%s", g->why);
    }
    REQUIRE(p->plan, ERR_CONFIG,
            "it has no plan that always gives the same bits (%lld suggested, %lld may differ)",
            (long long)count, (long long)refused);
    int64_t got = 0;
    check(g,
          g->library->get(p->plan, CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE, CUDNN_TYPE_INT64, 1,
                          &got, &p->workspace_bytes),
          "the workspace of a plan");
    REQUIRE(g->failed == CUDNN_STATUS_SUCCESS, ERR_CONFIG, "%s", g->why);
    return OK;
}

status dnn_plan_open(dnn_plan *out, dnn_graph *g)
{
    *out = (dnn_plan){.library = g->library, .graph = *g};
    *g = (dnn_graph){0};
    status s = choose(out);
    if (s != OK) dnn_plan_close(out);
    return s;
}

void dnn_plan_close(dnn_plan *p)
{
    dnn_graph_deinit(&p->graph);
    *p = (dnn_plan){0};
}

/* What a plan runs with. */
static cudnnStatus_t fill(const dnn_library *l, cudnnBackendDescriptor_t pack, int64_t count,
                          const int64_t *uids, void *const *data, void *workspace)
{
    cudnnStatus_t s =
        l->set(pack, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64, count, uids);
    if (s == CUDNN_STATUS_SUCCESS)
        s = l->set(pack, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, count, data);
    if (s == CUDNN_STATUS_SUCCESS)
        s = l->set(pack, CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, 1, &workspace);
    return s == CUDNN_STATUS_SUCCESS ? l->finalize(pack) : s;
}

status dnn_plan_run(const dnn_plan *p, int64_t count, const int64_t *uids, void *const *data,
                    void *workspace)
{
    const dnn_library *l = p->library;
    cudnnBackendDescriptor_t pack = NULL;
    cudnnStatus_t s = l->make(CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR, &pack);
    if (s == CUDNN_STATUS_SUCCESS) s = fill(l, pack, count, uids, data, workspace);
    if (s == CUDNN_STATUS_SUCCESS) s = l->execute(l->handle, p->plan, pack);
    char text[300];
    if (s != CUDNN_STATUS_SUCCESS) words_of(l, s, text, sizeof text);
    if (pack) (void)l->unmake(pack);
    REQUIRE(s == CUDNN_STATUS_SUCCESS, ERR_DEVICE, "cuDNN: %s", text);
    return OK;
}
