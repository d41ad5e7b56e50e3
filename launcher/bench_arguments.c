#include "bench_arguments.h"

#include "cli.h"
#include "bench/bench.h"

#include <stdlib.h>
#include <string.h>

/* Options as typed; a->... where the text is the value. */
typedef struct typed {
    const char *seconds, *repeats, *max_bytes;
    bool compare;
} typed;

static status sort_words(bench_arguments *a, const char *const *rest, int count)
{
    const bench_section *unused;
    for (int i = 0; i < count; i++) {
        if (strchr(rest[i], '=')) {
            REQUIRE(a->override_count < BENCH_OVERRIDES_MAX, ERR_CONFIG, "more than %d overrides",
                    BENCH_OVERRIDES_MAX);
            a->overrides[a->override_count++] = rest[i];
            continue;
        }
        TRY(bench_find(&unused, rest[i]));
        REQUIRE(a->section_count < BENCH_SECTIONS_MAX, ERR_CONFIG, "more than %d sections",
                BENCH_SECTIONS_MAX);
        a->sections[a->section_count++] = rest[i];
    }
    return OK;
}

static bool measures(const bench_arguments *a, const char *section)
{
    for (int i = 0; i < a->section_count; i++)
        if (strcmp(a->sections[i], section) == 0) return true;
    return a->section_count == 0;
}

/* What the sections chosen would ignore is refused. */
static status check_used(const bench_arguments *a, const typed *t)
{
    REQUIRE(!t->max_bytes || measures(a, "memory") || measures(a, "collectives"), ERR_CONFIG,
            "--max-bytes belongs to the sections memory and collectives");
    REQUIRE(!t->repeats || measures(a, "scaling"), ERR_CONFIG,
            "--repeats belongs to the section scaling");
    REQUIRE(!a->stand_in || measures(a, "step") || measures(a, "scaling"), ERR_CONFIG,
            "--stand-in belongs to the sections step and scaling");
    REQUIRE(!a->folder || measures(a, "io"), ERR_CONFIG, "--folder belongs to the section io");
    REQUIRE(!t->seconds || measures(a, "gemm") || measures(a, "memory") ||
                measures(a, "collectives") || measures(a, "step"),
            ERR_CONFIG, "--seconds belongs to the sections gemm, memory, collectives and step");
    REQUIRE(!a->write || (measures(a, "gemm") && measures(a, "memory")), ERR_CONFIG,
            "--write needs the sections gemm and memory");
    return OK;
}

/* Whether anything is asked that only a measurement answers. */
static bool asks_to_measure(const bench_arguments *a, const typed *t)
{
    return a->config || a->cluster || t->seconds || t->repeats || t->max_bytes || a->folder ||
           a->out || a->stand_in;
}

static status read_compare(bench_arguments *a, const typed *t, const char *const *rest, int count)
{
    REQUIRE(count == 2, ERR_CONFIG, "--compare takes two results: A.json B.json");
    REQUIRE(!asks_to_measure(a, t) && !a->write && !a->from, ERR_CONFIG,
            "--compare measures nothing: of the other options it takes --json");
    a->compare[0] = rest[0], a->compare[1] = rest[1];
    return OK;
}

static status read_words(bench_arguments *a, const typed *t, const char *const *rest, int count)
{
    if (t->compare) return read_compare(a, t, rest, count);
    const size_t n = a->write ? strlen(a->write) : 0;
    REQUIRE(!a->write || (n > 5 && strcmp(a->write + n - 5, ".yaml") == 0), ERR_CONFIG,
            "--write: %s does not end in .yaml", a->write);
    if (a->from) {
        REQUIRE(a->write && count == 0 && !asks_to_measure(a, t) && !a->json, ERR_CONFIG,
                "--from measures nothing: it takes --write FILE.yaml and nothing else");
        return OK;
    }
    TRY(cli_number(&a->seconds, "--seconds", t->seconds, 0.1, 3600));
    TRY(cli_integer(&a->repeats, "--repeats", t->repeats, 1, 100));
    TRY(cli_integer(&a->max_bytes, "--max-bytes", t->max_bytes, 1 << 20, (int64_t)1 << 34));
    TRY(sort_words(a, rest, count));
    return check_used(a, t);
}

status bench_arguments_read(bench_arguments *out, int argc, char **argv)
{
    bench_arguments a = {.seconds = 20, .repeats = 5};
    typed t = {0};
    const cli_option options[] = {{"--config", &a.config, NULL},
                                  {"--json", NULL, &a.json},
                                  {"--out", &a.out, NULL},
                                  {"--write", &a.write, NULL},
                                  {"--cluster", &a.cluster, NULL},
                                  {"--seconds", &t.seconds, NULL},
                                  {"--repeats", &t.repeats, NULL},
                                  {"--max-bytes", &t.max_bytes, NULL},
                                  {"--folder", &a.folder, NULL},
                                  {"--from", &a.from, NULL},
                                  {"--stand-in", &a.stand_in, NULL},
                                  {"--compare", NULL, &t.compare},
                                  {NULL, NULL, NULL}};
    int count;
    const char **rest = calloc((size_t)argc + 1, sizeof *rest);
    REQUIRE(rest, ERR_MEMORY, "no memory for arguments");
    status s = cli_parse(argc, argv, options, rest, &count);
    if (s == OK) s = read_words(&a, &t, rest, count);
    free(rest);
    if (s == OK) *out = a;
    return s;
}
