/* digest.c — NH digests of chunks: integer sums, so any order gives the same bits. */
#include "kernels/cpu/kernels.h"
#include "kernels/cpu/wide.h"

#define KEY_STEP  0x9E3779B9u
#define KEY_EIGHT 0x85EBCA6Bu

INLINE uint32_t digest_key(uint64_t j)
{
    return (uint32_t)(((j + 1) * KEY_STEP) ^ ((j >> 3) * KEY_EIGHT));
}

#if defined(CPU_AVX512)
/* *sum += the pairs of the first elements of a chunk, 16 elements at a time; how many those were */
INLINE int64_t digest_wide(uint64_t *sum, const char *values, int64_t n)
{
    const __m512i lane = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
    __m512i step = _mm512_mullo_epi32(_mm512_add_epi32(lane, _mm512_set1_epi32(1)),
                                      _mm512_set1_epi32((int)KEY_STEP));
    __m512i eight =
        _mm512_mullo_epi32(_mm512_srli_epi32(lane, 3), _mm512_set1_epi32((int)KEY_EIGHT));
    __m512i total = _mm512_setzero_si512();
    int64_t i = 0;
    for (; i + 16 <= n; i += 16) {
        _mm_prefetch(values + i * 4 + AHEAD, _MM_HINT_T0);
        const __m512i keyed =
            _mm512_add_epi32(_mm512_loadu_si512(values + i * 4), _mm512_xor_si512(step, eight));
        total = _mm512_add_epi64(total, _mm512_mul_epu32(keyed, _mm512_srli_epi64(keyed, 32)));
        step = _mm512_add_epi32(step, _mm512_set1_epi32((int)(16 * KEY_STEP)));
        eight = _mm512_add_epi32(eight, _mm512_set1_epi32((int)(2 * KEY_EIGHT)));
    }
    uint64_t part[8];
    _mm512_storeu_si512(part, total);
    for (int j = 0; j < 8; j++) *sum += part[j];
    return i;
}
#else
INLINE int64_t digest_wide(uint64_t *sum, const char *values, int64_t n)
{
    (void)sum, (void)values, (void)n;
    return 0;
}
#endif

void CPU_FN(digest)(const digest_args *a)
{
    const int64_t count = tensor_count(a->values);
    const char *values = a->values.data;
    uint64_t *out = a->out.data;
    for (int64_t chunk = 0; chunk * CHUNK < count; chunk++) {
        const int64_t first = chunk * CHUNK;
        const int64_t n = count - first < CHUNK ? count - first : CHUNK;
        uint64_t sum = 0;
        int64_t i = digest_wide(&sum, values + first * 4, n);
        for (; i + 1 < n; i += 2) {
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
