/* mock_cudnn.cpp — a libcudnn.so.9 for the pretended GPU: checks descriptors as the library's
 * reference says (types and counts of attributes, order of finalising, shapes, unique ids, one
 * producer per tensor, a complete variant pack, alignment) and then computes what the graph says,
 * operation by operation; it does not know attention. What it offers as engines it offers only for
 * graphs with the operations of fused attention, forward or backward.
 *   MOCK_DNN=refuse   no engine for any graph        MOCK_DNN=old     it is version 9.1.0
 *   MOCK_DNN=loose    every engine may give other bits each time
 *   MOCK_DNN=broken   a handle cannot be made
 * Wrong calls return an error, as the library's do. What it needs of mock.h comes from the program
 * that opens it. */
#include "mock.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <cudnn_graph.h>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

struct cudnnContext {
    cudaStream_t stream = nullptr;
};

namespace
{
using name_t = cudnnBackendAttributeName_t;
using type_t = cudnnBackendAttributeType_t;

std::string last_error;
int alive; // descriptors and handles

cudnnStatus_t wrong(const std::string &text, cudnnStatus_t code = CUDNN_STATUS_BAD_PARAM)
{
    last_error = text;
    return code;
}
bool asked(const char *what)
{
    const char *mode = getenv("MOCK_DNN");
    return mode && strcmp(mode, what) == 0;
}

/* --- what attributes there are -------------------------------------------- */

struct rule {
    cudnnBackendDescriptorType_t of;
    name_t name;
    type_t type;
    int64_t least, most; // elements
    bool needed;
};
#define ONE(of, name, type)                                                                        \
    {                                                                                              \
        CUDNN_BACKEND_##of##_DESCRIPTOR, CUDNN_ATTR_##name, CUDNN_TYPE_##type, 1, 1, true          \
    }
#define MAYBE(of, name, type)                                                                      \
    {                                                                                              \
        CUDNN_BACKEND_##of##_DESCRIPTOR, CUDNN_ATTR_##name, CUDNN_TYPE_##type, 1, 1, false         \
    }
#define MANY(of, name, type, least, most)                                                          \
    {                                                                                              \
        CUDNN_BACKEND_##of##_DESCRIPTOR, CUDNN_ATTR_##name, CUDNN_TYPE_##type, least, most, true   \
    }
const rule rules[] = {
    ONE(TENSOR, TENSOR_UNIQUE_ID, INT64),
    ONE(TENSOR, TENSOR_DATA_TYPE, DATA_TYPE),
    MANY(TENSOR, TENSOR_DIMENSIONS, INT64, 4, 4),
    MANY(TENSOR, TENSOR_STRIDES, INT64, 4, 4),
    ONE(TENSOR, TENSOR_BYTE_ALIGNMENT, INT64),
    MAYBE(TENSOR, TENSOR_IS_VIRTUAL, BOOLEAN),
    MAYBE(TENSOR, TENSOR_IS_BY_VALUE, BOOLEAN),
    ONE(MATMUL, MATMUL_COMP_TYPE, DATA_TYPE),
    ONE(OPERATION_MATMUL, OPERATION_MATMUL_ADESC, BACKEND_DESCRIPTOR),
    ONE(OPERATION_MATMUL, OPERATION_MATMUL_BDESC, BACKEND_DESCRIPTOR),
    ONE(OPERATION_MATMUL, OPERATION_MATMUL_CDESC, BACKEND_DESCRIPTOR),
    ONE(OPERATION_MATMUL, OPERATION_MATMUL_DESC, BACKEND_DESCRIPTOR),
    ONE(POINTWISE, POINTWISE_MODE, POINTWISE_MODE),
    ONE(POINTWISE, POINTWISE_MATH_PREC, DATA_TYPE),
    MAYBE(POINTWISE, POINTWISE_AXIS, INT64),
    ONE(OPERATION_POINTWISE, OPERATION_POINTWISE_PW_DESCRIPTOR, BACKEND_DESCRIPTOR),
    ONE(OPERATION_POINTWISE, OPERATION_POINTWISE_XDESC, BACKEND_DESCRIPTOR),
    MAYBE(OPERATION_POINTWISE, OPERATION_POINTWISE_BDESC, BACKEND_DESCRIPTOR),
    MAYBE(OPERATION_POINTWISE, OPERATION_POINTWISE_TDESC, BACKEND_DESCRIPTOR),
    ONE(OPERATION_POINTWISE, OPERATION_POINTWISE_YDESC, BACKEND_DESCRIPTOR),
    ONE(REDUCTION, REDUCTION_OPERATOR, REDUCTION_OPERATOR_TYPE),
    ONE(REDUCTION, REDUCTION_COMP_TYPE, DATA_TYPE),
    ONE(OPERATION_REDUCTION, OPERATION_REDUCTION_DESC, BACKEND_DESCRIPTOR),
    ONE(OPERATION_REDUCTION, OPERATION_REDUCTION_XDESC, BACKEND_DESCRIPTOR),
    ONE(OPERATION_REDUCTION, OPERATION_REDUCTION_YDESC, BACKEND_DESCRIPTOR),
    ONE(OPERATION_RESHAPE, OPERATION_RESHAPE_XDESC, BACKEND_DESCRIPTOR),
    ONE(OPERATION_RESHAPE, OPERATION_RESHAPE_YDESC, BACKEND_DESCRIPTOR),
    MAYBE(OPERATIONGRAPH, OPERATIONGRAPH_HANDLE, HANDLE),
    MANY(OPERATIONGRAPH, OPERATIONGRAPH_OPS, BACKEND_DESCRIPTOR, 1, 100),
    ONE(ENGINEHEUR, ENGINEHEUR_OPERATION_GRAPH, BACKEND_DESCRIPTOR),
    ONE(ENGINEHEUR, ENGINEHEUR_MODE, HEUR_MODE),
    ONE(EXECUTION_PLAN, EXECUTION_PLAN_HANDLE, HANDLE),
    ONE(EXECUTION_PLAN, EXECUTION_PLAN_ENGINE_CONFIG, BACKEND_DESCRIPTOR),
    MANY(VARIANT_PACK, VARIANT_PACK_UNIQUE_IDS, INT64, 1, 100),
    MANY(VARIANT_PACK, VARIANT_PACK_DATA_POINTERS, VOID_PTR, 1, 100),
    ONE(VARIANT_PACK, VARIANT_PACK_WORKSPACE, VOID_PTR),
};

size_t width_of(type_t type)
{
    switch (type) {
    case CUDNN_TYPE_BOOLEAN:
        return sizeof(bool);
    case CUDNN_TYPE_INT64:
    case CUDNN_TYPE_HANDLE:
    case CUDNN_TYPE_VOID_PTR:
    case CUDNN_TYPE_BACKEND_DESCRIPTOR:
        return 8;
    default:
        return 4; // enumerations
    }
}

/* --- descriptors ---------------------------------------------------------- */

struct graph;

struct descriptor {
    cudnnBackendDescriptorType_t type;
    bool finalized = false;
    std::map<int, std::vector<char>> set; // by name
    std::shared_ptr<graph> made_of;       // of graphs, and what is made from them
    int engine = 0;

    bool has(name_t name) const { return set.count(name) > 0; }
    template <class T> T one(name_t name) const
    {
        T value{};
        auto at = set.find(name);
        if (at != set.end()) memcpy(&value, at->second.data(), sizeof value);
        return value;
    }
    template <class T> std::vector<T> all(name_t name) const
    {
        auto at = set.find(name);
        if (at == set.end()) return {};
        std::vector<T> values(at->second.size() / sizeof(T));
        memcpy(values.data(), at->second.data(), at->second.size());
        return values;
    }
    descriptor *link(name_t name) const { return one<descriptor *>(name); }
};
std::set<const descriptor *> known;

struct tensor {
    int64_t uid, alignment;
    cudnnDataType_t type;
    std::array<int64_t, 4> dim, stride;
    bool between, number;

    explicit tensor(const descriptor *d)
        : uid(d->one<int64_t>(CUDNN_ATTR_TENSOR_UNIQUE_ID)),
          alignment(d->one<int64_t>(CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT)),
          type(d->one<cudnnDataType_t>(CUDNN_ATTR_TENSOR_DATA_TYPE)),
          between(d->one<bool>(CUDNN_ATTR_TENSOR_IS_VIRTUAL)),
          number(d->one<bool>(CUDNN_ATTR_TENSOR_IS_BY_VALUE))
    {
        auto dims = d->all<int64_t>(CUDNN_ATTR_TENSOR_DIMENSIONS);
        auto strides = d->all<int64_t>(CUDNN_ATTR_TENSOR_STRIDES);
        for (int i = 0; i < 4; i++) dim[i] = dims[i], stride[i] = strides[i];
    }
    int64_t at(const std::array<int64_t, 4> &i) const
    {
        int64_t offset = 0;
        for (int k = 0; k < 4; k++) offset += i[k] * stride[k];
        return offset;
    }
    int64_t span() const { return 1 + at({dim[0] - 1, dim[1] - 1, dim[2] - 1, dim[3] - 1}); }
    int64_t count() const { return dim[0] * dim[1] * dim[2] * dim[3]; }
    size_t width() const
    {
        return type == CUDNN_DATA_BFLOAT16 ? 2 : type == CUDNN_DATA_BOOLEAN ? 1 : 4;
    }
    template <class F> void each(F f) const
    {
        std::array<int64_t, 4> i;
        for (i[0] = 0; i[0] < dim[0]; i[0]++)
            for (i[1] = 0; i[1] < dim[1]; i[1]++)
                for (i[2] = 0; i[2] < dim[2]; i[2]++)
                    for (i[3] = 0; i[3] < dim[3]; i[3]++) f(i);
    }
};

struct operation {
    cudnnBackendDescriptorType_t type;
    cudnnPointwiseMode_t mode{};
    cudnnReduceTensorOp_t how{};
    int64_t axis = 0;
    std::vector<tensor> in; // x b t, or a b
    std::vector<tensor> out;
};

struct graph {
    std::vector<operation> operations;
    std::map<int64_t, tensor> bound; // what a variant pack must name
    int64_t workspace = 0;
    bool backward = false;
};

/* --- checks at finalising ------------------------------------------------- */

cudnnStatus_t check_tensor(const descriptor *d)
{
    tensor t(d);
    if (t.between && t.number) return wrong("a tensor both virtual and by value");
    if (t.alignment <= 0 || (t.alignment & (t.alignment - 1)))
        return wrong("alignment of a tensor");
    for (int i = 0; i < 4; i++)
        if (t.dim[i] < 1 || t.stride[i] < 1) return wrong("a dimension or stride below 1");
    if (t.number && t.count() != 1) return wrong("a number of several elements");
    return CUDNN_STATUS_SUCCESS;
}

bool broadcasts(const tensor &from, const tensor &to)
{
    for (int i = 0; i < 4; i++)
        if (from.dim[i] != to.dim[i] && from.dim[i] != 1) return false;
    return true;
}

cudnnStatus_t check_matmul(const descriptor *d)
{
    tensor a(d->link(CUDNN_ATTR_OPERATION_MATMUL_ADESC)),
        b(d->link(CUDNN_ATTR_OPERATION_MATMUL_BDESC)),
        c(d->link(CUDNN_ATTR_OPERATION_MATMUL_CDESC));
    if (a.dim[0] != b.dim[0] || a.dim[1] % b.dim[1] != 0 || a.dim[3] != b.dim[2] ||
        c.dim != std::array<int64_t, 4>{a.dim[0], a.dim[1], a.dim[2], b.dim[3]})
        return wrong("shapes of a product", CUDNN_STATUS_BAD_PARAM_SHAPE_MISMATCH);
    if (a.type != CUDNN_DATA_BFLOAT16 || b.type != CUDNN_DATA_BFLOAT16)
        return wrong("factors of a product are bf16 here", CUDNN_STATUS_NOT_SUPPORTED_DATA_TYPE);
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t check_pointwise(const descriptor *d)
{
    const descriptor *how = d->link(CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR);
    auto mode = how->one<cudnnPointwiseMode_t>(CUDNN_ATTR_POINTWISE_MODE);
    const bool two = d->has(CUDNN_ATTR_OPERATION_POINTWISE_BDESC);
    const bool three = d->has(CUDNN_ATTR_OPERATION_POINTWISE_TDESC);
    tensor x(d->link(CUDNN_ATTR_OPERATION_POINTWISE_XDESC)),
        y(d->link(CUDNN_ATTR_OPERATION_POINTWISE_YDESC));
    static const std::set<int> ones = {CUDNN_POINTWISE_EXP, CUDNN_POINTWISE_LOG,
                                       CUDNN_POINTWISE_IDENTITY, CUDNN_POINTWISE_GEN_INDEX};
    static const std::set<int> twos = {CUDNN_POINTWISE_ADD, CUDNN_POINTWISE_SUB,
                                       CUDNN_POINTWISE_MUL, CUDNN_POINTWISE_DIV,
                                       CUDNN_POINTWISE_CMP_GE};
    const bool select = mode == CUDNN_POINTWISE_BINARY_SELECT,
               index = mode == CUDNN_POINTWISE_GEN_INDEX;
    if (!(ones.count(mode) && !two && !three) && !(twos.count(mode) && two && !three) &&
        !(select && two && three))
        return wrong("a pointwise mode with other operands");
    if (x.dim != y.dim) return wrong("shapes of a pointwise operation");
    if (two && !broadcasts(tensor(d->link(CUDNN_ATTR_OPERATION_POINTWISE_BDESC)), y))
        return wrong("a second operand that does not broadcast");
    if (three && tensor(d->link(CUDNN_ATTR_OPERATION_POINTWISE_TDESC)).type != CUDNN_DATA_BOOLEAN)
        return wrong("a selection by what is not boolean");
    if (index != how->has(CUDNN_ATTR_POINTWISE_AXIS) || (index && y.type != CUDNN_DATA_INT32))
        return wrong("places need an axis and i32");
    if ((mode == CUDNN_POINTWISE_CMP_GE) != (y.type == CUDNN_DATA_BOOLEAN))
        return wrong("a comparison is boolean");
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t check_reduction(const descriptor *d)
{
    tensor x(d->link(CUDNN_ATTR_OPERATION_REDUCTION_XDESC)),
        y(d->link(CUDNN_ATTR_OPERATION_REDUCTION_YDESC));
    for (int i = 0; i < 4; i++) // heads may be summed in groups
        if (y.dim[i] != x.dim[i] && y.dim[i] != 1 && !(i == 1 && x.dim[i] % y.dim[i] == 0))
            return wrong("shapes of a reduction", CUDNN_STATUS_BAD_PARAM_SHAPE_MISMATCH);
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t check_reshape(const descriptor *d)
{
    tensor x(d->link(CUDNN_ATTR_OPERATION_RESHAPE_XDESC)),
        y(d->link(CUDNN_ATTR_OPERATION_RESHAPE_YDESC));
    if (x.count() != y.count() || x.span() != y.span()) return wrong("a reshape to another size");
    return CUDNN_STATUS_SUCCESS;
}

operation operation_of(const descriptor *d)
{
    operation o{};
    o.type = d->type;
    auto input = [&](name_t name) {
        if (d->has(name)) o.in.emplace_back(d->link(name));
    };
    auto output = [&](name_t name) { o.out.emplace_back(d->link(name)); };
    switch (d->type) {
    case CUDNN_BACKEND_OPERATION_MATMUL_DESCRIPTOR:
        input(CUDNN_ATTR_OPERATION_MATMUL_ADESC);
        input(CUDNN_ATTR_OPERATION_MATMUL_BDESC);
        output(CUDNN_ATTR_OPERATION_MATMUL_CDESC);
        break;
    case CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR: {
        const descriptor *how = d->link(CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR);
        o.mode = how->one<cudnnPointwiseMode_t>(CUDNN_ATTR_POINTWISE_MODE);
        o.axis = how->one<int64_t>(CUDNN_ATTR_POINTWISE_AXIS);
        input(CUDNN_ATTR_OPERATION_POINTWISE_XDESC);
        input(CUDNN_ATTR_OPERATION_POINTWISE_BDESC);
        input(CUDNN_ATTR_OPERATION_POINTWISE_TDESC);
        output(CUDNN_ATTR_OPERATION_POINTWISE_YDESC);
        break;
    }
    case CUDNN_BACKEND_OPERATION_REDUCTION_DESCRIPTOR:
        o.how = d->link(CUDNN_ATTR_OPERATION_REDUCTION_DESC)
                    ->one<cudnnReduceTensorOp_t>(CUDNN_ATTR_REDUCTION_OPERATOR);
        input(CUDNN_ATTR_OPERATION_REDUCTION_XDESC);
        output(CUDNN_ATTR_OPERATION_REDUCTION_YDESC);
        break;
    default:
        input(CUDNN_ATTR_OPERATION_RESHAPE_XDESC);
        output(CUDNN_ATTR_OPERATION_RESHAPE_YDESC);
    }
    return o;
}

/* Every tensor has one description; what is between operations is made once, before it is used. */
cudnnStatus_t check_graph(descriptor *d)
{
    auto g = std::make_shared<graph>();
    std::map<int64_t, const descriptor *> described;
    std::set<int64_t> made;
    for (const descriptor *o : d->all<descriptor *>(CUDNN_ATTR_OPERATIONGRAPH_OPS)) {
        if (!known.count(o) || !o->finalized) return wrong("an operation that is not finalized");
        for (auto &[name, bytes] : o->set)
            if (bytes.size() == 8) {
                auto *t = o->link((name_t)name);
                if (t->type != CUDNN_BACKEND_TENSOR_DESCRIPTOR) continue;
                auto [at, fresh] = described.emplace(tensor(t).uid, t);
                if (!fresh && at->second != t)
                    return wrong("two tensors of one id",
                                 CUDNN_STATUS_BAD_PARAM_DUPLICATED_ENTRIES);
            }
        operation op = operation_of(o);
        for (auto &t : op.in) {
            if (t.between && !made.count(t.uid))
                return wrong("a virtual tensor used before it is made");
            if (!t.between) g->bound.emplace(t.uid, t);
        }
        for (auto &t : op.out) {
            if (t.number) return wrong("a result by value");
            if (!made.insert(t.uid).second) return wrong("a tensor made twice");
            if (!t.between) g->bound.emplace(t.uid, t);
        }
        g->operations.push_back(op);
    }
    d->made_of = g;
    return CUDNN_STATUS_SUCCESS;
}

/* --- engines -------------------------------------------------------------- */

/* The operations of a graph, sorted: what fused attention consists of, whatever the order. */
std::vector<int> kinds_of(const graph &g)
{
    std::vector<int> kinds;
    for (auto &o : g.operations)
        kinds.push_back(o.type == CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR   ? 1000 + o.mode
                        : o.type == CUDNN_BACKEND_OPERATION_REDUCTION_DESCRIPTOR ? 2000 + o.how
                                                                                 : o.type);
    std::sort(kinds.begin(), kinds.end());
    return kinds;
}

/* 0: no engine for it; else the number of configurations suggested */
int64_t suggest(descriptor *d)
{
    enum {
        PRODUCT = CUDNN_BACKEND_OPERATION_MATMUL_DESCRIPTOR,
        TURN = CUDNN_BACKEND_OPERATION_RESHAPE_DESCRIPTOR
    };
    enum {
        MUL = 1000 + CUDNN_POINTWISE_MUL,
        ADD = 1000 + CUDNN_POINTWISE_ADD,
        SUB = 1000 + CUDNN_POINTWISE_SUB
    };
    enum {
        DIV = 1000 + CUDNN_POINTWISE_DIV,
        EXP = 1000 + CUDNN_POINTWISE_EXP,
        LOG = 1000 + CUDNN_POINTWISE_LOG
    };
    enum { PLACE = 1000 + CUDNN_POINTWISE_GEN_INDEX, GE = 1000 + CUDNN_POINTWISE_CMP_GE };
    enum { SELECT = 1000 + CUDNN_POINTWISE_BINARY_SELECT };
    enum { SUM = 2000 + CUDNN_REDUCE_TENSOR_ADD, MOST = 2000 + CUDNN_REDUCE_TENSOR_MAX };
    std::vector<int> forward = {PRODUCT, MUL, PLACE, PLACE, GE,  SELECT, MOST,
                                SUB,     EXP, SUM,   LOG,   ADD, DIV,    PRODUCT};
    std::vector<int> backward = {MUL,   SUM, MUL,    PRODUCT, MUL,     SUB,     PLACE,
                                 PLACE, GE,  SELECT, EXP,     TURN,    PRODUCT, PRODUCT,
                                 SUB,   MUL, MUL,    TURN,    PRODUCT, TURN,    PRODUCT};
    graph &g = *d->made_of;
    std::vector<int> kinds = kinds_of(g), grouped = backward;
    grouped.insert(grouped.end(), {SUM, SUM}); // heads that share keys
    for (auto *k : {&forward, &backward, &grouped}) std::sort(k->begin(), k->end());
    g.backward = kinds == backward || kinds == grouped;
    if (asked("refuse") || !(kinds == forward || g.backward)) return 0;
    auto up = [](int64_t n, int64_t to) { return (n + to - 1) / to * to; };
    for (auto &[uid, t] : g.bound) {
        if (t.type == CUDNN_DATA_BFLOAT16) {
            const int64_t wide = t.stride[3] == 1 ? t.dim[3] : t.dim[2],
                          row = t.stride[3] == 1 ? t.stride[2] : t.stride[3];
            if (std::min(t.stride[2], t.stride[3]) != 1 || wide % 8 != 0 || row % 8 != 0 ||
                wide > 128)
                return 0;
            if (g.backward) g.workspace = 256 + 2 * t.dim[0] * up(std::max(t.dim[2], t.dim[3]), 64);
        } else if (!t.number && (t.stride[2] != 1 || t.stride[1] != t.dim[2])) {
            return 0; // statistics are packed
        }
    }
    for (auto &o : g.operations)
        if (g.backward && o.out[0].dim[2] == o.out[0].dim[3])
            g.workspace = 256 + 2 * o.out[0].dim[0] * o.out[0].dim[1] * up(o.out[0].dim[2], 64) *
                                    up(o.out[0].dim[3], 128);
    if (!g.backward) g.workspace = 256;
    return 2;
}

/* Of two engines the first may give other bits. */
bool steady(int engine) { return engine == 1 && !asked("loose"); }

/* --- computing ------------------------------------------------------------ */

float of_bf16(uint16_t bits)
{
    const uint32_t wide = (uint32_t)bits << 16;
    float f;
    memcpy(&f, &wide, 4);
    return f;
}
uint16_t to_bf16(float f)
{
    uint32_t bits;
    memcpy(&bits, &f, 4);
    if (f != f) return (uint16_t)(bits >> 16 | 64);
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}
float rounded(float f, cudnnDataType_t type)
{
    return type == CUDNN_DATA_BFLOAT16 ? of_bf16(to_bf16(f)) : f;
}

/* Values of all tensors of a running graph, each as its strides lay it out. */
struct running {
    std::shared_ptr<graph> g;
    std::map<int64_t, char *> data; // of bound tensors
    std::map<int64_t, float> numbers;
    std::map<int64_t, std::vector<float>> values;
    char *workspace = nullptr;

    std::vector<float> &of(const tensor &t)
    {
        auto [at, fresh] = values.try_emplace(t.uid);
        if (!fresh) return at->second;
        at->second.assign((size_t)t.span(), NAN);
        if (t.number)
            at->second[0] = numbers[t.uid];
        else if (!t.between)
            t.each([&](auto &i) {
                const char *p = data[t.uid] + t.at(i) * (int64_t)t.width();
                float f;
                uint16_t half;
                if (t.width() == 2)
                    memcpy(&half, p, 2), f = of_bf16(half);
                else
                    memcpy(&f, p, 4);
                at->second[(size_t)t.at(i)] = f;
            });
        return at->second;
    }
    void store(const tensor &t)
    {
        auto &v = of(t);
        t.each([&](auto &i) {
            char *p = data[t.uid] + t.at(i) * (int64_t)t.width();
            const float f = v[(size_t)t.at(i)];
            const uint16_t half = to_bf16(f);
            t.width() == 2 ? memcpy(p, &half, 2) : memcpy(p, &f, 4);
        });
    }

    void product(const operation &o)
    {
        const tensor &a = o.in[0], &b = o.in[1], &c = o.out[0];
        auto &x = of(a), &y = of(b), &z = of(c);
        c.each([&](auto &i) {
            double sum = 0;
            const int64_t head = i[1] / (a.dim[1] / b.dim[1]);
            for (int64_t k = 0; k < a.dim[3]; k++)
                sum += (double)x[(size_t)a.at({i[0], i[1], i[2], k})] *
                       (double)y[(size_t)b.at({i[0], head, k, i[3]})];
            z[(size_t)c.at(i)] = rounded((float)sum, c.type);
        });
    }
    void pointwise(const operation &o)
    {
        const tensor &tx = o.in[0], &ty = o.out[0];
        auto &x = of(tx), &y = of(ty);
        auto other = [&](size_t n, std::array<int64_t, 4> i) {
            const tensor &t = o.in[n];
            for (int k = 0; k < 4; k++)
                if (t.dim[k] == 1) i[k] = 0;
            return of(t)[(size_t)t.at(i)];
        };
        ty.each([&](auto &i) {
            const float v = x[(size_t)tx.at(i)], b = o.in.size() > 1 ? other(1, i) : 0.f;
            float r = NAN;
            switch (o.mode) {
            case CUDNN_POINTWISE_ADD:
                r = v + b;
                break;
            case CUDNN_POINTWISE_SUB:
                r = v - b;
                break;
            case CUDNN_POINTWISE_MUL:
                r = v * b;
                break;
            case CUDNN_POINTWISE_DIV:
                r = v / b;
                break;
            case CUDNN_POINTWISE_EXP:
                r = std::exp(v);
                break;
            case CUDNN_POINTWISE_LOG:
                r = std::log(v);
                break;
            case CUDNN_POINTWISE_CMP_GE:
                r = v >= b ? 1.f : 0.f;
                break;
            case CUDNN_POINTWISE_GEN_INDEX:
                r = (float)i[(size_t)o.axis];
                break;
            case CUDNN_POINTWISE_BINARY_SELECT:
                r = other(2, i) != 0.f ? v : b;
                break;
            default:
                r = v;
            }
            y[(size_t)ty.at(i)] = rounded(r, ty.type);
        });
    }
    void reduce(const operation &o)
    {
        const tensor &tx = o.in[0], &ty = o.out[0];
        auto &x = of(tx), &y = of(ty);
        const bool most = o.how == CUDNN_REDUCE_TENSOR_MAX;
        std::vector<double> sums((size_t)ty.span(), most ? -INFINITY : 0.0);
        tx.each([&](auto &i) {
            std::array<int64_t, 4> to;
            for (int k = 0; k < 4; k++) to[(size_t)k] = i[k] / (tx.dim[k] / ty.dim[k]);
            double &sum = sums[(size_t)ty.at(to)];
            const double v = x[(size_t)tx.at(i)];
            sum = most ? std::max(sum, v) : sum + v;
        });
        ty.each([&](auto &i) {
            y[(size_t)ty.at(i)] = rounded((float)sums[(size_t)ty.at(i)], ty.type);
        });
    }
    void turn(const operation &o) // the same memory by other strides
    {
        const tensor &tx = o.in[0], &ty = o.out[0];
        auto &x = of(tx), &y = of(ty);
        ty.each([&](auto &i) { y[(size_t)ty.at(i)] = rounded(x[(size_t)ty.at(i)], ty.type); });
    }
    void run()
    {
        memset(workspace, 0xff, (size_t)g->workspace);
        for (auto &o : g->operations) {
            switch (o.type) {
            case CUDNN_BACKEND_OPERATION_MATMUL_DESCRIPTOR:
                product(o);
                break;
            case CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR:
                pointwise(o);
                break;
            case CUDNN_BACKEND_OPERATION_REDUCTION_DESCRIPTOR:
                reduce(o);
                break;
            default:
                turn(o);
            }
            if (!o.out[0].between) store(o.out[0]);
        }
    }
};

struct at_end {
    ~at_end()
    {
        if (alive) fprintf(stderr, "mock: not freed: %d descriptors or handles of cuDNN\n", alive);
    }
} watch;
} // namespace

/* --- the library ---------------------------------------------------------- */

extern "C" {
size_t cudnnGetVersion(void) { return asked("old") ? 90100 : CUDNN_VERSION; }
const char *cudnnGetErrorString(cudnnStatus_t code)
{
    return code == CUDNN_STATUS_SUCCESS ? "success" : "CUDNN_STATUS of the mock";
}
void cudnnGetLastErrorString(char *text, size_t bytes)
{
    snprintf(text, bytes, "%s", last_error.c_str());
    last_error.clear();
}

cudnnStatus_t cudnnCreate(cudnnHandle_t *handle)
{
    if (asked("broken")) return wrong("the driver is too old", CUDNN_STATUS_NOT_INITIALIZED);
    *handle = new cudnnContext;
    alive++;
    return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnDestroy(cudnnHandle_t handle)
{
    delete handle;
    alive--;
    return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnSetStream(cudnnHandle_t handle, cudaStream_t stream)
{
    handle->stream = stream;
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnBackendCreateDescriptor(cudnnBackendDescriptorType_t type,
                                           cudnnBackendDescriptor_t *out)
{
    auto *d = new descriptor{};
    d->type = type;
    known.insert(d);
    alive++;
    *out = d;
    return CUDNN_STATUS_SUCCESS;
}
cudnnStatus_t cudnnBackendDestroyDescriptor(cudnnBackendDescriptor_t p)
{
    auto *d = (descriptor *)p;
    if (!known.erase(d)) return wrong("a descriptor destroyed twice");
    delete d;
    alive--;
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnBackendSetAttribute(cudnnBackendDescriptor_t p, name_t name, type_t type,
                                       int64_t count, const void *values)
{
    auto *d = (descriptor *)p;
    if (!known.count(d))
        return wrong("an attribute of no descriptor", CUDNN_STATUS_BAD_PARAM_NULL_POINTER);
    if (d->finalized) return wrong("an attribute set after finalizing");
    if (!values) return wrong("no values", CUDNN_STATUS_BAD_PARAM_NULL_POINTER);
    for (const rule &r : rules) {
        if (r.of != d->type || r.name != name) continue;
        if (r.type != type)
            return wrong("an attribute of another type", CUDNN_STATUS_BAD_PARAM_ATTRIBUTE_TYPE);
        if (count < r.least || count > r.most)
            return wrong("an attribute of another count", CUDNN_STATUS_BAD_PARAM_OUT_OF_BOUND);
        if (type == CUDNN_TYPE_BACKEND_DESCRIPTOR)
            for (int64_t i = 0; i < count; i++) {
                auto *to = ((descriptor *const *)values)[i];
                if (!known.count(to) || !to->finalized)
                    return wrong("a link to what is not finalized",
                                 CUDNN_STATUS_BAD_PARAM_NOT_FINALIZED);
            }
        const char *bytes = (const char *)values;
        d->set[name].assign(bytes, bytes + (size_t)count * width_of(type));
        return CUDNN_STATUS_SUCCESS;
    }
    return wrong("an attribute that this descriptor has not");
}

cudnnStatus_t cudnnBackendFinalize(cudnnBackendDescriptor_t p)
{
    auto *d = (descriptor *)p;
    if (!known.count(d) || d->finalized) return wrong("finalized twice, or no descriptor");
    for (const rule &r : rules)
        if (r.of == d->type && r.needed && !d->has(r.name)) return wrong("an attribute is missing");
    cudnnStatus_t s = CUDNN_STATUS_SUCCESS;
    switch (d->type) {
    case CUDNN_BACKEND_TENSOR_DESCRIPTOR:
        s = check_tensor(d);
        break;
    case CUDNN_BACKEND_OPERATION_MATMUL_DESCRIPTOR:
        s = check_matmul(d);
        break;
    case CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR:
        s = check_pointwise(d);
        break;
    case CUDNN_BACKEND_OPERATION_REDUCTION_DESCRIPTOR:
        s = check_reduction(d);
        break;
    case CUDNN_BACKEND_OPERATION_RESHAPE_DESCRIPTOR:
        s = check_reshape(d);
        break;
    case CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR:
        s = check_graph(d);
        break;
    case CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR:
        d->made_of = d->link(CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH)->made_of;
        break;
    case CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR:
        d->made_of = d->link(CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG)->made_of;
        if (!d->made_of) s = wrong("a plan of no engine");
        break;
    case CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR:
        if (d->all<int64_t>(CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS).size() !=
            d->all<void *>(CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS).size())
            s = wrong("ids and pointers of a variant pack");
        break;
    default:
        break;
    }
    d->finalized = s == CUDNN_STATUS_SUCCESS;
    return s;
}

cudnnStatus_t cudnnBackendGetAttribute(cudnnBackendDescriptor_t const p, name_t name, type_t type,
                                       int64_t room, int64_t *count, void *values)
{
    auto *d = (descriptor *)p;
    if (!known.count(d) || !d->finalized)
        return wrong("asked before it was finalized", CUDNN_STATUS_BAD_PARAM_NOT_FINALIZED);
    if (name == CUDNN_ATTR_ENGINEHEUR_RESULTS && type == CUDNN_TYPE_BACKEND_DESCRIPTOR) {
        *count = suggest(d);
        for (int64_t i = 0; i < *count && i < room; i++) {
            auto *config = ((descriptor **)values)[i];
            if (!known.count(config) || config->type != CUDNN_BACKEND_ENGINECFG_DESCRIPTOR)
                return wrong("results want descriptors of configurations");
            config->made_of = d->made_of;
            config->engine = (int)i;
            config->finalized = true;
        }
    } else if (name == CUDNN_ATTR_ENGINECFG_ENGINE && type == CUDNN_TYPE_BACKEND_DESCRIPTOR) {
        auto *engine = *(descriptor **)values;
        if (!known.count(engine) || engine->type != CUDNN_BACKEND_ENGINE_DESCRIPTOR)
            return wrong("no descriptor for an engine");
        engine->engine = d->engine;
        engine->finalized = true;
        *count = 1;
    } else if (name == CUDNN_ATTR_ENGINE_NUMERICAL_NOTE && type == CUDNN_TYPE_NUMERICAL_NOTE) {
        auto *notes = (cudnnBackendNumericalNote_t *)values;
        *count = steady(d->engine) ? 1 : 2;
        if (room < *count) return wrong("no room for the notes");
        notes[0] = CUDNN_NUMERICAL_NOTE_TENSOR_CORE;
        if (*count == 2) notes[1] = CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC;
    } else if (name == CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE && type == CUDNN_TYPE_INT64) {
        *(int64_t *)values = d->made_of->workspace;
        *count = 1;
    } else {
        return wrong("an attribute nobody can ask for here");
    }
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnBackendExecute(cudnnHandle_t handle, cudnnBackendDescriptor_t of,
                                  cudnnBackendDescriptor_t with)
{
    auto *plan = (descriptor *)of, *pack = (descriptor *)with;
    if (!handle || !known.count(plan) || !known.count(pack) || !plan->finalized || !pack->finalized)
        return wrong("run before it was finalized", CUDNN_STATUS_BAD_PARAM_NOT_FINALIZED);
    auto uids = pack->all<int64_t>(CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS);
    auto data = pack->all<char *>(CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS);
    running r{plan->made_of, {}, {}, {}};
    r.workspace = pack->one<char *>(CUDNN_ATTR_VARIANT_PACK_WORKSPACE);
    if (uids.size() != r.g->bound.size())
        return wrong("the variant pack is not the tensors of the graph");
    for (size_t i = 0; i < uids.size(); i++) {
        auto at = r.g->bound.find(uids[i]);
        if (at == r.g->bound.end() || r.data.count(uids[i]) || r.numbers.count(uids[i]))
            return wrong("a tensor the graph has not, or twice");
        const tensor &t = at->second;
        if (t.number) {
            memcpy(&r.numbers[t.uid], data[i], 4);
            continue;
        }
        if ((uintptr_t)data[i] % (uintptr_t)t.alignment != 0)
            return wrong("alignment", CUDNN_STATUS_BAD_PARAM_MISALIGNED_POINTER);
        mock::require(mock::on_device(data[i], (size_t)t.span() * t.width()),
                      "cuDNN: tensor %lld is not in device memory", (long long)t.uid);
        r.data[t.uid] = data[i];
    }
    mock::require(mock::on_device(r.workspace, (size_t)r.g->workspace),
                  "cuDNN: the workspace is not in device memory");
    mock::enqueue(handle->stream, [r] { running(r).run(); });
    return CUDNN_STATUS_SUCCESS;
}
}
