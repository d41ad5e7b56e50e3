/* Any bytes as a run config: refused with a message that names the file, or read to a config that
 * is within its limits and whose resolved echo reads back to the same one. Lines from a first line
 * "#!" on are overrides. */
#include "config/config.h"
#include "fuzz/fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OVERRIDES = 8 };

/* What is accepted survives being written and read. */
static void check_round_trip(const config *cfg)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    ASSERT(out != NULL);
    ASSERT(config_write(cfg, out) == OK);
    ASSERT(fclose(out) == 0);
    config again;
    ASSERT(config_parse(&again, "echo", text, (int64_t)size, 0, NULL) == OK);
    free(text);
    char first[17], second[17];
    config_hash(cfg, first);
    config_hash(&again, second);
    ASSERT(strcmp(first, second) == 0);
    ASSERT(config_same_identity(cfg, &again) == OK);
    ASSERT(strcmp(cfg->run.name, again.run.name) == 0);
    ASSERT(strcmp(cfg->data.train, again.data.train) == 0);
    ASSERT(strcmp(cfg->model_name, again.model_name) == 0);
}

/* Parts the input at "\n#!": the file, then one override per line. Returns the number of overrides.
 */
static int part(char *text, size_t *size, const char *overrides[OVERRIDES])
{
    char *at = memmem(text, *size, "\n#!", 3);
    if (!at) return 0;
    *size = (size_t)(at - text) + 1;
    int count = 0;
    for (at += 3; count < OVERRIDES; count++) {
        overrides[count] = at;
        char *end = strchr(at, '\n');
        if (!end) return count + 1;
        *end = '\0';
        at = end + 1;
    }
    return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    if (!text) return 0;
    memcpy(text, data, size);
    text[size] = '\0';
    const char *overrides[OVERRIDES] = {NULL};
    const int count = part(text, &size, overrides);

    /* the file in memory of its own, so that reading past its end is seen */
    char *file = malloc(size ? size : 1);
    ASSERT(file != NULL);
    memcpy(file, text, size);
    config cfg;
    const status s = config_parse(&cfg, "fuzz.yaml", file, (int64_t)size, count, overrides);
    ASSERT(s == OK || s == ERR_CONFIG);
    if (s == OK)
        check_round_trip(&cfg);
    else
        ASSERT(*status_message() != '\0');
    free(file);
    free(text);
    return 0;
}
