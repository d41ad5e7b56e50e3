#include "base/digest.h"

#include <string.h>

uint64_t digest_bytes(const void *bytes, int64_t count)
{
    const char *at = bytes;
    uint64_t lane[4] = {1, 2, 3, 4}, word[4], tail = 0;
    int64_t left = count;
    for (; left >= 32; left -= 32, at += 32) {
        memcpy(word, at, 32);
        for (int i = 0; i < 4; i++) lane[i] = digest_fold(lane[i], word[i]);
    }
    for (; left >= 8; left -= 8, at += 8) {
        memcpy(word, at, 8);
        lane[0] = digest_fold(lane[0], word[0]);
    }
    memcpy(&tail, at, (size_t)left);
    uint64_t h = digest_fold(digest_fold(0, (uint64_t)count), tail);
    for (int i = 0; i < 4; i++) h = digest_fold(h, lane[i]);
    return h;
}
