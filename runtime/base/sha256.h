/* sha256.h — SHA-256 (FIPS 180-4): names of texts, tokenizers and sources in manifests and
 * records. */
#ifndef BASE_SHA256_H
#define BASE_SHA256_H

#include <stdint.h>

enum { SHA256_BYTES = 32, SHA256_HEX = 65 /* 64 digits and NUL */ };

typedef struct sha256 {
    uint32_t state[8];
    uint8_t block[64];
    uint64_t bytes; /* taken so far */
} sha256;

void sha256_init(sha256 *h);
void sha256_add(sha256 *h, const void *bytes, int64_t count);
/* Ends the hash; h must be initialised again before further use. */
void sha256_end(sha256 *h, uint8_t out[SHA256_BYTES]);
/* 64 hex digits of a digest. */
void sha256_hex(const uint8_t digest[SHA256_BYTES], char out[SHA256_HEX]);
/* The whole of bytes[0..count), in hex. */
void sha256_of(const void *bytes, int64_t count, char out[SHA256_HEX]);

#endif
