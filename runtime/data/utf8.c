#include "data/utf8.h"

#include <string.h>

int64_t utf8_valid(const uint8_t *at, int64_t count)
{
    int64_t i = 0;
    while (i < count) {
        /* eight ASCII bytes at a time */
        uint64_t word;
        if (i + 8 <= count) {
            memcpy(&word, at + i, sizeof word);
            if ((word & UINT64_C(0x8080808080808080)) == 0) {
                i += 8;
                continue;
            }
        }
        int32_t length = utf8_length(at + i, count - i);
        if (length == 0) break;
        i += length;
    }
    return i;
}
