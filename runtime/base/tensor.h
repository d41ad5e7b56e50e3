/* tensor.h — dtype, shape, view. A tensor is a borrowed view: data pointer, type and up to four
 * dimensions, row-major, last axis contiguous. {0} (data NULL) means "none".                  */
#ifndef BASE_TENSOR_H
#define BASE_TENSOR_H

#include <stdint.h>
#include <string.h>

typedef enum dtype { DTYPE_F32, DTYPE_BF16, DTYPE_I32, DTYPE_I64, DTYPE_F64, DTYPE_U64 } dtype;

typedef struct tensor {
    void *data;
    dtype type;
    int32_t axes;
    int64_t dim[4];
} tensor;

static inline int64_t dtype_bytes(dtype type)
{
    return type == DTYPE_BF16 ? 2 : (type == DTYPE_F32 || type == DTYPE_I32) ? 4 : 8;
}
static inline tensor tensor_1(void *data, dtype type, int64_t n)
{
    tensor t = {data, type, 1, {n, 1, 1, 1}};
    return t;
}
static inline tensor tensor_2(void *data, dtype type, int64_t n, int64_t m)
{
    tensor t = {data, type, 2, {n, m, 1, 1}};
    return t;
}
static inline tensor tensor_3(void *data, dtype type, int64_t a, int64_t b, int64_t c)
{
    tensor t = {data, type, 3, {a, b, c, 1}};
    return t;
}
static inline int64_t tensor_count(tensor t) { return t.dim[0] * t.dim[1] * t.dim[2] * t.dim[3]; }
static inline int64_t tensor_bytes(tensor t) { return tensor_count(t) * dtype_bytes(t.type); }

/* bfloat16 <-> float, round to nearest even; NaN stays a (quiet) NaN. */
static inline uint16_t bf16_from_f32(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, 4);
    if ((bits & 0x7fffffffu) > 0x7f800000u) return (uint16_t)((bits >> 16) | 0x40u);
    return (uint16_t)((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}
static inline float f32_from_bf16(uint16_t value)
{
    uint32_t bits = (uint32_t)value << 16;
    float out;
    memcpy(&out, &bits, 4);
    return out;
}

#endif
