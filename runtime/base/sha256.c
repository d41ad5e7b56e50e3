#include "base/sha256.h"

#include <string.h>
#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
#endif

static const uint32_t K[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

static uint32_t turn(uint32_t x, int by) { return x >> by | x << (32 - by); }

static void blocks_plain(uint32_t state[8], const uint8_t *at, int64_t count)
{
    for (; count > 0; count--, at += 64) {
        /* the message schedule */
        uint32_t w[64];
        for (int i = 0; i < 16; i++)
            w[i] = (uint32_t)at[4 * i] << 24 | (uint32_t)at[4 * i + 1] << 16 |
                   (uint32_t)at[4 * i + 2] << 8 | at[4 * i + 3];
        for (int i = 16; i < 64; i++) {
            uint32_t x = w[i - 15], y = w[i - 2];
            w[i] = w[i - 16] + (turn(x, 7) ^ turn(x, 18) ^ x >> 3) + w[i - 7] +
                   (turn(y, 17) ^ turn(y, 19) ^ y >> 10);
        }
        /* 64 rounds */
        uint32_t a = state[0], b = state[1], c = state[2], d = state[3];
        uint32_t e = state[4], f = state[5], g = state[6], h = state[7];
        for (int i = 0; i < 64; i++) {
            uint32_t t1 =
                h + (turn(e, 6) ^ turn(e, 11) ^ turn(e, 25)) + ((e & f) ^ (~e & g)) + K[i] + w[i];
            uint32_t t2 = (turn(a, 2) ^ turn(a, 13) ^ turn(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
            h = g, g = f, f = e, e = d + t1;
            d = c, c = b, b = a, a = t1 + t2;
        }
        state[0] += a, state[1] += b, state[2] += c, state[3] += d;
        state[4] += e, state[5] += f, state[6] += g, state[7] += h;
    }
}

#if defined(__x86_64__)
/* asked once: on a virtual machine the question itself costs microseconds */
static int has_sha(void)
{
    static _Atomic int known = -1;
    if (known < 0) {
        unsigned a, b, c, d;
        known = __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b >> 29 & 1u) &&
                __builtin_cpu_supports("sse4.1");
    }
    return known;
}

/* The same with the SHA instructions: state kept as ABEF and CDGH, four rounds a step. */
__attribute__((target("sha,sse4.1"))) static void blocks_sha(uint32_t state[8], const uint8_t *at,
                                                             int64_t count)
{
    const __m128i swap = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
    __m128i low = _mm_loadu_si128((const __m128i *)(const void *)state);
    __m128i high = _mm_loadu_si128((const __m128i *)(const void *)(state + 4));
    low = _mm_shuffle_epi32(low, 0xB1);
    high = _mm_shuffle_epi32(high, 0x1B);
    __m128i abef = _mm_alignr_epi8(low, high, 8), cdgh = _mm_blend_epi16(high, low, 0xF0);
    for (; count > 0; count--, at += 64) {
        __m128i w[4], abef0 = abef, cdgh0 = cdgh;
        for (int i = 0; i < 4; i++)
            w[i] = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(const void *)(at + 16 * i)),
                                    swap);
        for (int i = 0; i < 16; i++) {
            __m128i now = w[i & 3];
            __m128i k = _mm_loadu_si128((const __m128i *)(const void *)(K + 4 * i));
            __m128i sum = _mm_add_epi32(now, k);
            cdgh = _mm_sha256rnds2_epu32(cdgh, abef, sum);
            abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32(sum, 0x0E));
            /* the four schedule words that this slot holds 16 rounds later */
            __m128i w1 = w[(i + 1) & 3], w2 = w[(i + 2) & 3], w3 = w[(i + 3) & 3];
            __m128i next = _mm_add_epi32(_mm_sha256msg1_epu32(now, w1), _mm_alignr_epi8(w3, w2, 4));
            w[i & 3] = _mm_sha256msg2_epu32(next, w3);
        }
        abef = _mm_add_epi32(abef, abef0);
        cdgh = _mm_add_epi32(cdgh, cdgh0);
    }
    low = _mm_shuffle_epi32(abef, 0x1B);
    high = _mm_shuffle_epi32(cdgh, 0xB1);
    _mm_storeu_si128((__m128i *)(void *)state, _mm_blend_epi16(low, high, 0xF0));
    _mm_storeu_si128((__m128i *)(void *)(state + 4), _mm_alignr_epi8(high, low, 8));
}
#endif

static void blocks(uint32_t state[8], const uint8_t *at, int64_t count)
{
#if defined(__x86_64__)
    if (has_sha()) {
        blocks_sha(state, at, count);
        return;
    }
#endif
    blocks_plain(state, at, count);
}

void sha256_init(sha256 *h)
{
    static const uint32_t start[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                      0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    memset(h, 0, sizeof *h);
    memcpy(h->state, start, sizeof start);
}

void sha256_add(sha256 *h, const void *bytes, int64_t count)
{
    const uint8_t *at = bytes;
    int64_t held = (int64_t)(h->bytes % 64);
    h->bytes += (uint64_t)count;
    /* fill the block that was begun, then whole blocks, then keep the rest */
    if (held > 0) {
        int64_t take = count < 64 - held ? count : 64 - held;
        if (take > 0) memcpy(h->block + held, at, (size_t)take);
        at += take, count -= take, held += take;
        if (held < 64) return;
        blocks(h->state, h->block, 1);
    }
    if (count >= 64) blocks(h->state, at, count / 64);
    if (count % 64) memcpy(h->block, at + count / 64 * 64, (size_t)(count % 64));
}

void sha256_end(sha256 *h, uint8_t out[SHA256_BYTES])
{
    uint64_t bits = h->bytes * 8;
    uint8_t pad[72] = {0x80};
    int64_t zeros = (int64_t)((119 - h->bytes % 64) % 64);
    for (int i = 0; i < 8; i++) pad[1 + zeros + i] = (uint8_t)(bits >> (56 - 8 * i));
    sha256_add(h, pad, 1 + zeros + 8);
    for (int i = 0; i < SHA256_BYTES; i++)
        out[i] = (uint8_t)(h->state[i / 4] >> (24 - 8 * (i % 4)));
}

void sha256_hex(const uint8_t digest[SHA256_BYTES], char out[SHA256_HEX])
{
    for (int i = 0; i < 64; i++) out[i] = "0123456789abcdef"[digest[i / 2] >> (i % 2 ? 0 : 4) & 15];
    out[64] = '\0';
}

void sha256_of(const void *bytes, int64_t count, char out[SHA256_HEX])
{
    sha256 h;
    uint8_t digest[SHA256_BYTES];
    sha256_init(&h);
    sha256_add(&h, bytes, count);
    sha256_end(&h, digest);
    sha256_hex(digest, out);
}
