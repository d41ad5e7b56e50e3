/* memory_mpirun.c — the bytes a rank takes are the bytes planned, on several ranks too.
 * Usage: memory_mpirun [key=value ...], under mpirun; the exit code is the verdict. */
#include "support/resident.h"
#include "train/run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char yaml[] =
    "name: unit\n"
    "model: {layers: 8, width: 256, heads: 2, ffn: 1024, vocab: 4096, context: 32}\n"
    "data: {synthetic: zipf_facts, zipf_facts: {keys: 1000, values: 64, base: 16}}\n"
    "train: {tokens: 8192, batch_tokens: 1024, micro_batch: 4, precision: bf16}\n"
    "optimizer: {learning_rate: 1e-2}\n";

static status grows_by_the_plan(world *w, const config *cfg)
{
    run *r = NULL;
    step_result s;
    int64_t before = resident_bytes();
    TRY(run_open(&r, cfg, w));
    for (memory_kind k = 0; k < MEMORY_KINDS; k++)
        REQUIRE(k == MEMORY_SNAPSHOT || r->arenas[k].used == r->plan.bytes[k], ERR_NUMERIC,
                "%s uses %lld of %lld bytes", memory_kind_name(k), (long long)r->arenas[k].used,
                (long long)r->plan.bytes[k]);
    for (int i = 0; i < 3; i++) TRY(run_step(r, false, &s));
    int64_t of_peers = memory_of_peers(&r->plan, cfg, world_size(w), world_local_size(w));
    int64_t growth = resident_bytes() - before, planned = r->plan.total + of_peers;
    int64_t allowed = planned / 50 > 8 << 20 ? planned / 50 : 8 << 20;
    printf("rank %d: grew by %.2f MiB, planned %.2f MiB, %.2f MiB of them seen in peers' windows\n",
           world_rank(w), (double)growth / 1048576, (double)planned / 1048576,
           (double)of_peers / 1048576);
    run_close(r);
    REQUIRE(llabs(growth - planned) <= allowed, ERR_NUMERIC, "grew by %lld bytes, planned %lld",
            (long long)growth, (long long)planned);
    return OK;
}

int main(int argc, char **argv)
{
    world *w = NULL;
    config *cfg = calloc(1, sizeof *cfg);
    status s = cfg ? world_open(&w) : ERR_MEMORY;
    if (s == OK)
        s = config_parse(cfg, "unit.yaml", yaml, (int64_t)strlen(yaml), argc - 1,
                         (const char *const *)argv + 1);
    if (s == OK) s = world_agree(w, grows_by_the_plan(w, cfg));
    if (s != OK && world_prints(w)) (void)fprintf(stderr, "%s\n", status_message());
    world_close(w);
    free(cfg);
    return (int)s;
}
