/* utf8.h — how much of some bytes is well-formed UTF-8 (Unicode 3.9, table 3-7: no surrogates, no
 * long forms). */
#ifndef DATA_UTF8_H
#define DATA_UTF8_H

#include <stdint.h>

/* Length of the character at the front of at[0..count): 1 to 4, or 0 if it is not well-formed.
 * count > 0. */
static inline int32_t utf8_length(const uint8_t *at, int64_t count)
{
    uint8_t a = at[0];
    if (a < 0x80) return 1;
    if (a < 0xC2 || a > 0xF4) return 0;
    int32_t length = a < 0xE0 ? 2 : a < 0xF0 ? 3 : 4;
    if (count < length) return 0;
    uint8_t low = a == 0xE0 ? 0xA0 : a == 0xF0 ? 0x90 : 0x80;
    uint8_t high = a == 0xED ? 0x9F : a == 0xF4 ? 0x8F : 0xBF;
    if (at[1] < low || at[1] > high) return 0;
    for (int32_t i = 2; i < length; i++)
        if ((at[i] & 0xC0) != 0x80) return 0;
    return length;
}

/* Bytes of the longest well-formed front of at[0..count). */
int64_t utf8_valid(const uint8_t *at, int64_t count);

#endif
