#include "which_tokenizer.h"
#include "base/file.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* config.yaml of the run that holds path: beside it, or two folders up from checkpoints/step-N. */
static bool config_of_run(config *out, const char *path)
{
    static const char *const above[] = {"", "/..", "/../.."};
    for (int i = 0; i < 3; i++) {
        char name[1100];
        (void)snprintf(name, sizeof name, "%s%s/config.yaml", path, above[i]);
        if (file_exists(name)) return config_load(out, name, 0, NULL) == OK;
    }
    return false;
}

/* tokenizer.json in the data folder or the one above it. */
static bool beside_data(char *out, size_t bytes, const char *data)
{
    static const char *const places[] = {"tokenizer.json", "../tokenizer.json"};
    for (int i = 0; i < 2; i++) {
        (void)snprintf(out, bytes, "%s/%s", data, places[i]);
        if (file_exists(out)) return true;
    }
    return false;
}

status which_tokenizer(tokenizer **out, const char *spec, const char *path, const model_config *m)
{
    config cfg;
    char found[1100];
    if (!spec && config_of_run(&cfg, path) && beside_data(found, sizeof found, cfg.data.train))
        spec = found;
    if (!spec && m->vocab == 257) spec = "bytes";
    REQUIRE(spec, ERR_CONFIG,
            "no tokenizer found beside the training data; name one with --tokenizer");
    TRY(tokenizer_open(out, spec));
    if (tokenizer_vocab(*out) <= m->vocab) return OK;
    int32_t vocab = tokenizer_vocab(*out);
    tokenizer_close(*out);
    *out = NULL;
    FAIL(ERR_CONFIG, "--tokenizer %s has %" PRId32 " tokens, the model %" PRId64, spec, vocab,
         m->vocab);
}
