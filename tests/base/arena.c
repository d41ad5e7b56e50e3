#include "base/arena.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <string.h>

Test(arena, pieces_are_aligned_zeros_and_counted)
{
    arena a;
    cr_assert(arena_init(&a, "test", 4 * ARENA_ALIGN) == OK);
    unsigned char *one = arena_take(&a, 1), *two = arena_take(&a, ARENA_ALIGN + 1),
                  *none = arena_take(&a, 0);
    cr_expect((uintptr_t)one % ARENA_ALIGN == 0 && (uintptr_t)two % ARENA_ALIGN == 0);
    cr_expect(two == one + ARENA_ALIGN && none == two + 2 * ARENA_ALIGN);
    cr_expect(a.used == 3 * ARENA_ALIGN);
    for (int i = 0; i < 4 * ARENA_ALIGN; i++) cr_assert(one[i] == 0);
    arena_deinit(&a);
    cr_expect(a.base == NULL && a.bytes == 0);
}

Test(arena, used_bytes_are_the_sum_of_the_planned_pieces)
{
    const int64_t sizes[] = {0, 1, 63, 64, 65, 1000, 4096};
    int64_t planned = 0;
    arena a;
    for (int i = 0; i < 7; i++) planned += arena_piece(sizes[i]);
    cr_assert(arena_init(&a, "test", planned) == OK);
    for (int i = 0; i < 7; i++) (void)arena_take(&a, sizes[i]);
    cr_expect(a.used == a.bytes && planned == 0 + 64 + 64 + 64 + 128 + 1024 + 4096);
    arena_deinit(&a);
}

Test(arena, more_than_planned_is_a_bug, .signal = SIGABRT)
{
    arena a;
    cr_assert(arena_init(&a, "test", 128) == OK);
    (void)arena_take(&a, 65);
    (void)arena_take(&a, 1);
}

Test(arena, more_memory_than_there_is_is_refused_by_name)
{
    arena a;
    cr_expect(arena_init(&a, "activations", (int64_t)1 << 60) == ERR_MEMORY);
    cr_expect(strstr(status_message(), "activations") != NULL);
}

Test(arena, an_empty_arena_takes_empty_pieces)
{
    arena a;
    cr_assert(arena_init(&a, "test", 0) == OK);
    cr_expect(arena_take(&a, 0) == NULL && a.used == 0);
    arena_deinit(&a);
}

Test(arena, a_view_leaves_the_memory_to_its_owner)
{
    static _Alignas(ARENA_ALIGN) char memory[2 * ARENA_ALIGN];
    arena a;
    arena_view(&a, "window", memory, sizeof memory);
    char *piece = arena_take(&a, 100);
    cr_expect(piece == memory && a.used == 128);
    arena_deinit(&a);
    memory[0] = 1;
}
