/* digest.c — NH digests of chunks: integer sums, so any order gives the same bits. */
#include "kernels/cpu/kernels.h"

INLINE uint32_t digest_key(uint64_t j)
{
    return (uint32_t)(((j + 1) * 0x9E3779B9u) ^ ((j >> 3) * 0x85EBCA6Bu));
}

void CPU_FN(digest)(const digest_args *a)
{
    const int64_t count = tensor_count(a->values);
    const char *values = a->values.data;
    uint64_t *out = a->out.data;
    for (int64_t chunk = 0; chunk * CHUNK < count; chunk++) {
        const int64_t first = chunk * CHUNK;
        const int64_t n = count - first < CHUNK ? count - first : CHUNK;
        uint64_t sum = 0;
        for (int64_t i = 0; i + 1 < n; i += 2) {
            uint32_t pair[2];
            memcpy(pair, values + (first + i) * 4, 8);
            sum += (uint64_t)(uint32_t)(pair[0] + digest_key((uint64_t)i)) *
                   (uint32_t)(pair[1] + digest_key((uint64_t)i + 1));
        }
        if (n % 2) {
            uint32_t last;
            memcpy(&last, values + (first + n - 1) * 4, 4);
            sum +=
                (uint64_t)(uint32_t)(last + digest_key((uint64_t)n - 1)) * digest_key((uint64_t)n);
        }
        out[chunk] = sum;
    }
}
