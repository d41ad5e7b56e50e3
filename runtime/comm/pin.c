#include "comm/pin.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* the lowest processor of the core that `cpu` belongs to; cpu itself where Linux does not say */
static int core_of(int cpu)
{
    char path[96];
    int lowest = cpu;
    (void)snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/topology/thread_siblings_list",
                   cpu);
    FILE *f = fopen(path, "r");
    if (!f) return cpu;
    if (fscanf(f, "%d", &lowest) != 1) lowest = cpu;
    (void)fclose(f);
    return lowest;
}

/* one allowed processor of every core, in order */
static int find_cores(int cores[CPU_SETSIZE], const cpu_set_t *allowed)
{
    bool seen[CPU_SETSIZE] = {false};
    int count = 0;
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (!CPU_ISSET((size_t)cpu, allowed)) continue;
        int core = core_of(cpu);
        if (core < 0 || core >= CPU_SETSIZE) core = cpu;
        if (!seen[core]) cores[count++] = cpu;
        seen[core] = true;
    }
    return count;
}

typedef struct place {
    cpu_set_t allowed;
    char node[64]; /* ranks of other nodes do not count */
} place;

/* how many ranks of this node may use the same processors, and whether any part of them */
static void compare(const place *all, const place *mine, int32_t ranks, int *same, int *overlap)
{
    for (int32_t r = 0; r < ranks; r++) {
        cpu_set_t both;
        if (strcmp(all[r].node, mine->node) != 0) continue;
        CPU_AND(&both, &all[r].allowed, &mine->allowed);
        if (CPU_EQUAL(&all[r].allowed, &mine->allowed))
            (*same)++;
        else if (CPU_COUNT(&both) > 0)
            (*overlap)++;
    }
}

static void bind_to_core(world *w, const place *mine, char *text, size_t bytes)
{
    int cores[CPU_SETSIZE], count = find_cores(cores, &mine->allowed);
    int32_t ranks = world_local_size(w);
    if (count < ranks) {
        (void)snprintf(text, bytes, "not pinned: %d ranks on %d cores", ranks, count);
        return;
    }
    int cpu = cores[(int64_t)world_local_rank(w) * count / ranks];
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET((size_t)cpu, &one);
    if (sched_setaffinity(0, sizeof one, &one) != 0)
        (void)snprintf(text, bytes, "not pinned: the system refuses");
    else
        (void)snprintf(text, bytes, "pinned to processor %d, one of %d cores for %d ranks", cpu,
                       count, ranks);
}

status pin_rank(world *w, char *text, size_t bytes)
{
    place mine;
    memset(&mine, 0, sizeof mine);
    bool known = sched_getaffinity(0, sizeof mine.allowed, &mine.allowed) == 0;
    (void)gethostname(mine.node, sizeof mine.node - 1);
    place *all = malloc((size_t)world_size(w) * sizeof *all);
    ASSERT(all);
    status s = world_gather(w, all, &mine, sizeof mine);
    int same = 0, overlap = 0;
    if (s == OK) compare(all, &mine, world_size(w), &same, &overlap);
    free(all);
    TRY(s);
    if (!known || world_local_size(w) == 1)
        (void)snprintf(text, bytes, "not pinned: %s",
                       known ? "alone on the node" : "unknown processors");
    else if (overlap > 0)
        (void)snprintf(text, bytes, "not pinned: the launcher gave ranks overlapping processors");
    else if (same == 1)
        (void)snprintf(text, bytes, "pinned by the launcher to %d processor%s",
                       CPU_COUNT(&mine.allowed), CPU_COUNT(&mine.allowed) == 1 ? "" : "s");
    else if (same > world_local_size(w))
        (void)snprintf(text, bytes, "not pinned: several nodes on one host");
    else
        bind_to_core(w, &mine, text, bytes);
    return OK;
}
