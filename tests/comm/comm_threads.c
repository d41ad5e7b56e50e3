/* comm_threads.c — conformance on threads as a plain program: Criterion cannot start under the
 * thread sanitizer. Usage: comm_threads RANKS...; the exit code is the verdict.                 */
#include "comm/conformance.h"
#include "comm/thread_ranks.h"

#include <stdio.h>
#include <stdlib.h>

static status conform(comm *c) { return comm_conformance(c, comm_size(c)); }

int main(int count, char **words)
{
    int code = 0;
    for (int i = 1; i < count; i++) {
        thread_rank ranks[THREAD_RANKS_MAX];
        int32_t size = atoi(words[i]);
        thread_ranks(ranks, size, 120, conform);
        for (int32_t r = 0; r < size; r++) {
            if (ranks[r].result == OK) continue;
            (void)fprintf(stderr, "rank %d of %d: %s\n", r, size, ranks[r].message);
            code = 1;
        }
    }
    return code;
}
