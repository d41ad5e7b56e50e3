/* study_text.h — a study file and its tiny base config in a folder of its own. */
#ifndef TESTS_STUDY_TEXT_H
#define TESTS_STUDY_TEXT_H

#include "study/expand.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char base_text[] =
    "name: law\n"
    "model: {layers: 2, width: 32, heads: 2, ffn: 96, vocab: 80, context: 48, mlp: swiglu}\n"
    "data: {synthetic: zipf_facts, zipf_facts: {keys: 1000, values: 64, base: 16}}\n"
    "train: {tokens: 9216, batch_tokens: 1536, micro_batch: 4, precision: fp32}\n"
    "optimizer: {learning_rate: 1e-2}\n"
    "schedule: {name: cosine, warmup_tokens: 1536}\n"
    "evaluate: {tokens: 2000}\n";

static inline void put_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    cr_assert(f && fputs(text, f) >= 0 && fclose(f) == 0);
}

/* A folder that is left to the system's cleaning of /tmp only when a test fails. */
static inline void make_folder(char out[64])
{
    (void)snprintf(out, 64, "/tmp/isoflop-study-XXXXXX");
    cr_assert(mkdtemp(out));
}

/* Parses and expands the study `text` ("name" and "base" are put before it). */
static inline status expand_text(study_runs *runs, study *s, const char *text)
{
    char folder[64], base[96], whole[1 << 16];
    make_folder(folder);
    (void)snprintf(base, sizeof base, "%s/base.yaml", folder);
    put_file(base, base_text);
    (void)snprintf(whole, sizeof whole, "name: tiny\nbase: %s\n%s", base, text);
    *runs = (study_runs){0};
    status code = study_parse(s, "study.yaml", whole, (int64_t)strlen(whole));
    if (code == OK) code = expand_study(runs, s);
    (void)unlink(base);
    (void)rmdir(folder);
    return code;
}

#endif
