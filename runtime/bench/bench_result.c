#include "bench/bench_result.h"

#include "base/file.h"
#include "base/json.h"
#include "bench/bench.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { BYTES_MAX = 64 << 20 };

/* What later arithmetic counts with. */
static status check_counts(const json_t *root, const char *path)
{
    static const struct {
        const char *path;
        double most;
    } counts[] = {{"hardware.nodes", 1e7},
                  {"hardware.ranks", 1e7},
                  {"hardware.ranks_on_node", 1e5},
                  {"step.ranks", 1e7},
                  {"step.batch_tokens", 1e15}};
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        const double n = json_number_at(root, counts[i].path);
        if (strncmp(counts[i].path, "step", 4) == 0 && !json_at(root, "step")) continue;
        REQUIRE(n >= 1 && n <= counts[i].most && n == floor(n), ERR_CONFIG,
                "%s: %s: not a whole number from 1 on; the result is damaged: measure again", path,
                counts[i].path);
    }
    return OK;
}

status bench_result_read(json_t **out, const char *path)
{
    char *text = NULL;
    int64_t bytes = 0;
    json_error_t why;
    TRY(file_read_text(&text, &bytes, path, BYTES_MAX));
    json_t *root = json_loads(text, 0, &why);
    free(text);
    REQUIRE(root, ERR_CONFIG, "%s:%d: no JSON: %s", path, why.line, why.text);
    const char *type = json_string_value(json_object_get(root, "type"));
    json_int_t schema = json_integer_value(json_object_get(root, "schema"));
    if (!type || strcmp(type, "bench") != 0 || schema != BENCH_SCHEMA) {
        status s = type && strcmp(type, "bench") == 0
                       ? status_set(ERR_CONFIG, __FILE__, __LINE__,
                                    "%s: schema %lld; this version reads schema %d: measure again",
                                    path, (long long)schema, BENCH_SCHEMA)
                       : status_set(ERR_CONFIG, __FILE__, __LINE__,
                                    "%s: not a result of isoflop bench --json", path);
        json_decref(root);
        return s;
    }
    const status s = check_counts(root, path);
    if (s != OK) json_decref(root);
    if (s == OK) *out = root;
    return s;
}

status bench_result_config(config *out, const json_t *result)
{
    const char *text = json_string_value(json_object_get(result, "config"));
    REQUIRE(text, ERR_CONFIG, "a result of bench does not hold its config: measure again");
    return config_parse(out, "config of a bench result", text, (int64_t)strlen(text), 0, NULL);
}
