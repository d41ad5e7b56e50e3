/* golden_samples.c — samples.h with the tokens of a golden file: linked in place of the real
 * source. */
#include "data/samples.h"
#include "golden/golden.h"

#include <stdlib.h>

struct samples {
    golden shape; /* batch, micro_batches, context, vocab */
    samples_info info;
};

status samples_open(samples **out, const config *cfg, split which)
{
    (void)which;
    samples *s = calloc(1, sizeof *s);
    REQUIRE(s, ERR_MEMORY, "no memory");
    s->shape.context = cfg->model.context;
    s->shape.vocab = cfg->model.vocab;
    s->info = (samples_info){.count = INT64_MAX,
                             .tokens = INT64_MAX,
                             .vocab = cfg->model.vocab,
                             .tokenizer = "golden",
                             .identity = "golden"};
    *out = s;
    return OK;
}

void samples_close(samples *s) { free(s); }
const samples_info *samples_about(const samples *s) { return &s->info; }

int64_t samples_order(const samples *s, int64_t global_index)
{
    (void)s;
    return global_index;
}

status samples_read(const samples *s, int64_t k, int32_t *tokens)
{
    golden_tokens(&s->shape, k, tokens);
    return OK;
}

status samples_entropy(const samples *s, int64_t k, double *nats)
{
    (void)s, (void)k, (void)nats;
    FAIL(ERR_INTERNAL, "golden samples have no entropy");
}

int32_t samples_token_bytes(const samples *s, int32_t token)
{
    (void)s, (void)token;
    return 0;
}
