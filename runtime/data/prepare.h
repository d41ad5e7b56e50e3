/* prepare.h — text in, token shards out.
 * OUT/{train,validation,test}/{tokens-*.bin, manifest.json} and, unless tokens are bytes,
 * OUT/tokenizer.json. They depend on texts and options alone, not on the number of workers.
 *   1  survey: every document is hashed and split; held-out text is kept for the overlap, words of
 *      train are counted
 *   2  the tokenizer is read, or trained on the words of train
 *   3  write: documents are encoded and written, train is scanned for held-out strings
 *   4  the parts of the folder are renamed into place, train last
 * Everything is written below OUT/.prepare: a run that fails or is killed leaves no half shard.
 * Flow: input.h, tokenizer.h -> pass.h -> shard_writer.h, overlap.h -> corpus.h reads it      */
#ifndef DATA_PREPARE_H
#define DATA_PREPARE_H

#include "data/input.h"
#include "data/overlap.h"
#include "data/token_manifest.h"

enum { PREPARE_SPLITS = 3 }; /* train, validation, test */

typedef struct prepare_options {
    const char *const *names; /* inputs: files, folders, "-", "gcide"              */
    int32_t count;
    const char *out;
    const char *tokenizer;            /* "bytes", "bpe:VOCAB", a tokenizer.json, "gpt2:DIR" */
    const char *held[PREPARE_SPLITS]; /* [1], [2]: an input that is that split, or NULL     */
    double share[PREPARE_SPLITS];     /* [1], [2]: share of the documents, else             */
    bool must[PREPARE_SPLITS];        /* the split was asked for: an empty one is an error  */
    const char *field;                /* of JSON lines; NULL: "text", stdin is plain text  */
    cut_rule cut;
    int32_t workers;      /* >= 1                                              */
    int64_t shard_tokens; /* of a full shard                                   */
    bool force;           /* replace what an earlier prepare wrote             */
    /* Called now and then; stage is "reading", "writing"; done in [0, 1]. Nullable. */
    void (*progress)(void *context, const char *stage, double done);
    void *context;
} prepare_options;

typedef struct prepare_result {
    token_manifest split[PREPARE_SPLITS];  /* tokens 0: the split was not made        */
    overlap_share overlap[PREPARE_SPLITS]; /* [1], [2]: of its text with train        */
    int64_t dropped; /* documents of the inputs that stand in a held-out file */
    char tokenizer[32];
    int64_t vocab, eot;
} prepare_result;

const char *prepare_split_name(int32_t split);
/* ERR_CONFIG: the folder is not empty, an empty split, a tokenizer that cannot be made; ERR_IO. The
 * caller deinits. */
status prepare_run(prepare_result *out, const prepare_options *options);
void prepare_result_deinit(prepare_result *r);

#endif
