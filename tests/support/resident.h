/* resident.h — memory of this process that the system keeps in RAM. */
#ifndef SUPPORT_RESIDENT_H
#define SUPPORT_RESIDENT_H

#include <stdint.h>
#include <stdio.h>

/* RssAnon + RssShmem, bytes; -1 where /proc does not say. Mapped files do not count. */
static inline int64_t resident_bytes(void)
{
    char line[256];
    int64_t total = 0;
    FILE *f = fopen("/proc/self/status", "r");
    if (!f) return -1;
    while (fgets(line, sizeof line, f)) {
        long long kib;
        if (sscanf(line, "RssAnon: %lld", &kib) == 1 || sscanf(line, "RssShmem: %lld", &kib) == 1)
            total += kib * 1024;
    }
    (void)fclose(f);
    return total;
}

#endif
