#include "base/arena.h"

#include <string.h>
#include <sys/mman.h>

int64_t arena_piece(int64_t bytes) { return (bytes + ARENA_ALIGN - 1) / ARENA_ALIGN * ARENA_ALIGN; }

status arena_init(arena *out, const char *name, int64_t bytes)
{
    ASSERT(bytes >= 0);
    *out = (arena){.name = name, .bytes = bytes};
    if (bytes == 0) return OK;
    void *base =
        mmap(NULL, (size_t)bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    REQUIRE(base != MAP_FAILED, ERR_MEMORY, "cannot reserve %.1f MiB for %s",
            (double)bytes / 1048576, name);
    /* advice only: without huge pages everything works, more slowly */
    (void)madvise(base, (size_t)bytes, MADV_HUGEPAGE);
    out->base = base;
    out->mapped = true;
    return OK;
}

void arena_view(arena *out, const char *name, void *base, int64_t bytes)
{
    *out = (arena){.base = base, .bytes = bytes, .name = name};
}

void arena_deinit(arena *a)
{
    if (a->mapped) (void)munmap(a->base, (size_t)a->bytes);
    memset(a, 0, sizeof *a);
}

void *arena_take(arena *a, int64_t bytes)
{
    ASSERT(bytes >= 0 && a->used + arena_piece(bytes) <= a->bytes);
    void *piece = a->base ? a->base + a->used : NULL;
    a->used += arena_piece(bytes);
    return piece;
}
