#include "which_tokenizer.h"
#include "base/file.h"
#include "data/corpus.h"

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

/* That of the training data, as far as it is still there; *out NULL: none. */
static status of_data(tokenizer **out, const char *source)
{
    char folder[1024], path[1100];
    token_manifest m;
    corpus_folder(folder, sizeof folder, source, "train");
    (void)snprintf(path, sizeof path, "%s/manifest.json", folder);
    if (!file_exists(path)) return corpus_tokenizer(out, folder, NULL);
    TRY(token_manifest_read(&m, folder));
    const status s = corpus_tokenizer(out, folder, &m);
    token_manifest_deinit(&m);
    return s;
}

status which_tokenizer(tokenizer **out, const char *spec, const char *path, const model_config *m)
{
    config cfg;
    *out = NULL;
    if (!spec && config_of_run(&cfg, path) && cfg.data.train[0]) TRY(of_data(out, cfg.data.train));
    if (!spec && !*out && m->vocab == 257) spec = "bytes";
    REQUIRE(spec || *out, ERR_CONFIG,
            "no tokenizer found beside the training data; name one with --tokenizer");
    if (!*out) TRY(tokenizer_open(out, spec));
    const int32_t vocab = tokenizer_vocab(*out);
    if (vocab <= m->vocab) return OK;
    tokenizer_close(*out);
    *out = NULL;
    FAIL(ERR_CONFIG, "%s%s has %" PRId32 " tokens, the model %" PRId64,
         spec ? "--tokenizer " : "the tokenizer of ", spec ? spec : cfg.data.train, vocab,
         m->vocab);
}
