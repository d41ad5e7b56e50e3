/* digest.h — 64-bit fingerprints against damage and for comparing runs; not against an adversary.
 */
#ifndef BASE_DIGEST_H
#define BASE_DIGEST_H

#include <stdint.h>

/* Folds one more value into an ordered fingerprint; start with 0. */
static inline uint64_t digest_fold(uint64_t h, uint64_t value)
{
    h = (h ^ value) * 0x9E3779B97F4A7C15u;
    return h ^ (h >> 29);
}
/* Fingerprint of bytes[0..count): four interleaved folds of 8-byte words, then the tail and the
 * count. */
uint64_t digest_bytes(const void *bytes, int64_t count);

#endif
