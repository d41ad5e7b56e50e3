#include "data/samples.h"

#include "base/sha256.h"
#include "data/corpus.h"
#include "data/permutation.h"
#include "data/tokenizer.h"
#include "data/zipf_facts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct samples {
    samples_info info;
    int64_t context; /* T */
    uint64_t seed;
    corpus *corpus;       /* token files, or */
    zipf_facts *facts;    /* synthetic       */
    tokenizer *tokenizer; /* NULL: what tokens spell is not known */
};

static const char *const split_names[] = {"train", "validation", "test"};

static status open_files(samples *s, const config *cfg, split which)
{
    const char *source = which == SPLIT_TRAIN ? cfg->data.train : cfg->data.validation;
    const char *key = split_names[which];
    REQUIRE(source[0], ERR_CONFIG, "data.%s: missing; a folder written by isoflop prepare", key);
    status opened = corpus_open(&s->corpus, source, key);
    if (opened != OK) return status_prefix(opened, "data.%s", key);
    const corpus_info *about = corpus_about(s->corpus);
    const token_manifest *m = about->has_manifest ? &about->manifest : NULL;
    s->info.vocab = m ? m->vocab : cfg->model.vocab;
    REQUIRE(s->info.vocab <= cfg->model.vocab, ERR_CONFIG,
            "model.vocab: %lld, but data.%s (%s) has tokens of a vocabulary of %lld; use "
            "model.vocab=%lld",
            (long long)cfg->model.vocab, key, source, (long long)s->info.vocab,
            (long long)s->info.vocab);
    TRY(corpus_tokenizer(&s->tokenizer, about->folder, m));
    s->info.tokens = about->tokens;
    s->info.count = about->tokens > 0 ? (about->tokens - 1) / s->context : 0;
    REQUIRE(s->info.count > 0, ERR_IO,
            "data.%s: %s holds %lld tokens; one sample of model.context=%lld needs %lld", key,
            source, (long long)about->tokens, (long long)s->context, (long long)s->context + 1);
    s->info.has_bytes = s->tokenizer != NULL;
    const char *name = m ? m->tokenizer : s->tokenizer ? tokenizer_name(s->tokenizer) : "unknown";
    (void)snprintf(s->info.tokenizer, sizeof s->info.tokenizer, "%s", name);
    const char *hash = m ? m->tokenizer_sha256 : s->tokenizer ? tokenizer_sha256(s->tokenizer) : "";
    (void)snprintf(s->info.tokenizer_sha256, sizeof s->info.tokenizer_sha256, "%s", hash);
    if (m) (void)snprintf(s->info.text_sha256, sizeof s->info.text_sha256, "%s", m->text_sha256);
    s->info.overlap_share = m ? m->overlap_share : (double)NAN;
    char text[256];
    int n = snprintf(text, sizeof text, "files %s context %lld vocab %lld", about->identity,
                     (long long)s->context, (long long)s->info.vocab);
    sha256_of(text, n, s->info.identity);
    return OK;
}

static status open_facts(samples *s, const config *cfg, split which)
{
    const zipf_config *z = &cfg->zipf;
    s->info.overlap_share = (double)NAN;
    s->info.vocab = z->base + z->values;
    REQUIRE(s->info.vocab <= cfg->model.vocab, ERR_CONFIG,
            "model.vocab: %lld, but data.zipf_facts has base %lld + values %lld tokens; use "
            "model.vocab=%lld",
            (long long)cfg->model.vocab, (long long)z->base, (long long)z->values,
            (long long)s->info.vocab);
    TRY(zipf_facts_open(&s->facts, z, s->seed, (uint64_t)which));
    s->info.tokens = s->info.count = INT64_MAX;
    s->info.has_entropy = true;
    (void)snprintf(s->info.tokenizer, sizeof s->info.tokenizer, "zipf_facts");
    char text[512];
    int n = snprintf(
        text, sizeof text,
        "zipf_facts 1: keys %lld exponent %.17g values %lld noise %.17g base %lld seed %llu "
        "split %d context %lld",
        (long long)z->keys, z->exponent, (long long)z->values, z->noise, (long long)z->base,
        (unsigned long long)s->seed, (int)which, (long long)s->context);
    sha256_of(text, n, s->info.identity);
    return OK;
}

status samples_open(samples **out, const config *cfg, split which)
{
    samples *s = calloc(1, sizeof *s);
    REQUIRE(s, ERR_MEMORY, "no memory for samples");
    s->context = cfg->model.context;
    s->seed = (uint64_t)cfg->data.seed;
    status opened = cfg->data.synthetic == SYNTHETIC_ZIPF_FACTS ? open_facts(s, cfg, which)
                                                                : open_files(s, cfg, which);
    if (opened != OK) {
        samples_close(s);
        return opened;
    }
    *out = s;
    return OK;
}

void samples_close(samples *s)
{
    if (!s) return;
    corpus_close(s->corpus);
    zipf_facts_close(s->facts);
    tokenizer_close(s->tokenizer);
    free(s);
}

const samples_info *samples_about(const samples *s) { return &s->info; }

int64_t samples_permute(uint64_t seed, uint64_t epoch, int64_t index, int64_t count)
{
    return permutation_at(seed, epoch, index, count);
}

int64_t samples_order(const samples *s, int64_t global_index)
{
    ASSERT(global_index >= 0);
    /* synthetic samples are independent of each other: any order is a random one */
    if (s->facts) return global_index;
    int64_t count = s->info.count;
    return samples_permute(s->seed, (uint64_t)(global_index / count), global_index % count, count);
}

status samples_read(const samples *s, int64_t k, int32_t *tokens)
{
    ASSERT(k >= 0 && k < s->info.count);
    if (!s->facts)
        return corpus_read(s->corpus, k * s->context, s->context + 1, s->info.vocab, tokens);
    zipf_facts_read(s->facts, k, s->context + 1, tokens);
    return OK;
}

status samples_entropy(const samples *s, int64_t k, double *nats)
{
    ASSERT(k >= 0 && k < s->info.count);
    REQUIRE(s->facts, ERR_CONFIG, "token files do not know their entropy; data.synthetic does");
    *nats = zipf_facts_nats(s->facts, k, s->context + 1);
    return OK;
}

int32_t samples_token_bytes(const samples *s, int32_t token)
{
    int32_t length = 0;
    if (s->tokenizer) (void)tokenizer_bytes(s->tokenizer, token, &length);
    return length;
}
