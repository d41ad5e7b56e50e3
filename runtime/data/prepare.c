#include "data/prepare.h"

#include "base/file.h"
#include "data/bpe_train.h"
#include "data/pass.h"
#include "data/prepare_folder.h"
#include "data/pretoken.h"
#include "data/shard_writer.h"
#include "data/tokenizer.h"
#include "data/word_count.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TRAIN, VALIDATION, TEST, DROPPED, STAGES = 2 };
static const char *const split_names[] = {"train", "validation", "test"};

/* 16 bytes of the SHA-256 of a held-out document */
typedef struct print {
    uint64_t word[2];
} print;

/* all that a run of prepare holds */
typedef struct job {
    const prepare_options *o;
    prepare_result *result;
    pool *pool;
    input *input[PREPARE_SPLITS]; /* [0] the inputs; [1], [2] held-out files or NULL           */
    int32_t set;                  /* which of them is being read                               */
    uint64_t end[PREPARE_SPLITS]; /* a hash below end[1] is validation, below end[2] test      */
    uint64_t
        lowest[PREPARE_SPLITS];     /* lowest hash at or above end[1], end[2]: the next candidate */
    int64_t documents[4], bytes[4]; /* of each split, and dropped                                */
    print *held;                    /* sorted                                                    */
    int64_t held_count, held_room;
    overlap *overlap;
    tokenizer *tokenizer;
    int64_t train_vocab; /* bpe:VOCAB: of the tokenizer to train; 0: it is given   */
    pretoken *rules;     /* and what counts its words: one counter a worker        */
    pretoken_walk *walk;
    word_count *words;
    shard_writer *writer[PREPARE_SPLITS];
    const char *last_path; /* of the document before, and the split it went to          */
    int32_t last_split;
    const char *stage;
    int32_t stage_number; /* of STAGES, for the progress                               */
    int64_t taken;        /* bytes of the sets already read in this stage              */
    prepare_folder folder;
} job;

const char *prepare_split_name(int32_t split) { return split_names[split]; }

/* ---- which split ---- */

static int by_print(const void *a, const void *b)
{
    const print *x = a, *y = b;
    for (int i = 0; i < 2; i++)
        if (x->word[i] != y->word[i]) return x->word[i] < y->word[i] ? -1 : 1;
    return 0;
}

static int32_t split_of(const job *j, const pass_item *item)
{
    if (j->set != TRAIN) return j->set;
    print key = {{item->hash[0], item->hash[1]}};
    if (j->held_count > 0 && bsearch(&key, j->held, (size_t)j->held_count, sizeof key, by_print))
        return DROPPED;
    if (item->hash[0] < j->end[VALIDATION]) return VALIDATION;
    return item->hash[0] < j->end[TEST] ? TEST : TRAIN;
}

/* the hash below which this share of all hashes lies */
static uint64_t hash_at(double share)
{
    return share >= 1 ? UINT64_MAX : (uint64_t)(share * 0x1p64);
}

static void set_ends(job *j)
{
    double validation = j->o->held[VALIDATION] ? 0 : j->o->share[VALIDATION];
    double test = j->o->held[TEST] ? 0 : j->o->share[TEST];
    j->end[VALIDATION] = hash_at(validation);
    j->end[TEST] = hash_at(validation + test);
}

/* ---- pass 1: survey ---- */

/* words of a document of train; pieces longer than any word are no lesson */
static status count_words(job *j, int32_t worker, const pass_item *item)
{
    enum { LONGEST = 256 };
    pretoken_walk *walk = &j->walk[worker];
    const uint8_t *piece = NULL;
    pretoken_walk_text(walk, item->text, item->bytes);
    for (int64_t n; (n = pretoken_next(walk, &piece)) > 0;)
        if (n > 1 && n <= LONGEST) TRY(word_count_add(&j->words[worker], piece, n, 1));
    return OK;
}

static status survey_work(void *context, int32_t worker, pass_item *item)
{
    job *j = context;
    item->split = split_of(j, item);
    return j->train_vocab > 0 && item->split == TRAIN ? count_words(j, worker, item) : OK;
}

static status keep_print(job *j, const pass_item *item)
{
    if (j->held_count == j->held_room) {
        int64_t room = 2 * j->held_room + 1024;
        print *more = realloc(j->held, (size_t)room * sizeof *more);
        REQUIRE(more, ERR_MEMORY, "no memory for held-out documents");
        j->held = more;
        j->held_room = room;
    }
    j->held[j->held_count++] = (print){{item->hash[0], item->hash[1]}};
    return OK;
}

static status survey_take(void *context, const pass_item *item)
{
    job *j = context;
    j->documents[item->split]++;
    j->bytes[item->split] += item->bytes;
    if (j->set != TRAIN) TRY(keep_print(j, item));
    if (j->set == TRAIN && item->split != DROPPED)
        for (int k = VALIDATION; k <= TEST; k++)
            if (item->hash[0] >= j->end[k] && item->hash[0] < j->lowest[k])
                j->lowest[k] = item->hash[0];
    if (item->split == VALIDATION || item->split == TEST)
        TRY(overlap_hold(j->overlap, item->split, item->text, item->bytes));
    return OK;
}

static void tell(void *context)
{
    const job *j = context;
    double total = 0;
    for (int k = 0; k < PREPARE_SPLITS; k++)
        if (j->input[k]) total += (double)input_bytes(j->input[k]);
    double taken = (double)(j->taken + input_taken(j->input[j->set]));
    if (j->o->progress && total > 0)
        j->o->progress(j->o->context, j->stage, (j->stage_number + taken / total) / STAGES);
}

/* held-out files first: whatever stands in them is dropped from the inputs */
static status all_sets(job *j, const pass *p)
{
    static const int32_t order[] = {VALIDATION, TEST, TRAIN};
    j->taken = 0;
    for (int i = 0; i < PREPARE_SPLITS; i++) {
        j->set = order[i];
        j->last_path = NULL;
        if (!j->input[j->set]) continue;
        if (j->set == TRAIN && j->held_count > 0)
            qsort(j->held, (size_t)j->held_count, sizeof *j->held, by_print);
        TRY(pass_run(p, j->input[j->set], j->pool));
        j->taken += input_bytes(j->input[j->set]);
    }
    return OK;
}

static status survey_once(job *j)
{
    pass p = {j->o->field, survey_work, survey_take, tell, j};
    overlap_close(j->overlap);
    j->overlap = NULL;
    TRY(overlap_open(&j->overlap));
    memset(j->documents, 0, sizeof j->documents);
    memset(j->bytes, 0, sizeof j->bytes);
    for (int k = 0; k < PREPARE_SPLITS; k++) j->lowest[k] = UINT64_MAX;
    j->held_count = 0;
    for (int32_t w = 0; j->train_vocab > 0 && w < j->o->workers; w++)
        word_count_deinit(&j->words[w]);
    return all_sets(j, &p);
}

/* few documents: an empty split gets those with the lowest hash, so that it is not empty by bad
 * luck */
static status survey(job *j)
{
    j->stage = "reading";
    for (int again = 0; again < PREPARE_SPLITS; again++) {
        TRY(survey_once(j));
        bool changed = false;
        for (int k = VALIDATION; k <= TEST && !changed; k++) {
            if (j->documents[k] > 0 || !j->o->must[k] || j->o->held[k] ||
                j->lowest[k] == UINT64_MAX)
                continue;
            j->end[k] = j->lowest[k] + 1;
            if (j->end[TEST] < j->end[VALIDATION]) j->end[TEST] = j->end[VALIDATION];
            changed = true;
        }
        if (!changed) break;
    }
    int64_t all = j->documents[TRAIN] + j->documents[VALIDATION] + j->documents[TEST];
    REQUIRE(all > 0, ERR_IO, "the inputs hold no text");
    for (int k = TRAIN; k < PREPARE_SPLITS; k++)
        REQUIRE(
            j->documents[k] > 0 || !j->o->must[k], ERR_CONFIG,
            "no document for the %s split: there %s %lld document%s in all. Give more text, cut "
            "it smaller (--split line or blank), name files (--validation FILE), or do without "
            "(--validation-share 0, --test-share 0)",
            split_names[k], all == 1 ? "is" : "are", (long long)all, all == 1 ? "" : "s");
    return OK;
}

/* ---- the tokenizer ---- */

/* "bpe:VOCAB" is trained on what the survey counts; everything else is there already */
static status open_tokenizer(job *j)
{
    const char *spec = j->o->tokenizer;
    if (strncmp(spec, "bpe:", 4) != 0) return tokenizer_open(&j->tokenizer, spec);
    char *end = NULL;
    j->train_vocab = strtoll(spec + 4, &end, 10);
    REQUIRE(end != spec + 4 && *end == '\0' && j->train_vocab >= 257 &&
                j->train_vocab <= BPE_VOCAB_MAX,
            ERR_CONFIG,
            "--tokenizer %s: wanted is bpe:VOCAB with VOCAB in [257, %d], 256 bytes and "
            "end-of-text included",
            spec, BPE_VOCAB_MAX);
    j->walk = calloc((size_t)j->o->workers, sizeof *j->walk);
    j->words = calloc((size_t)j->o->workers, sizeof *j->words);
    REQUIRE(j->walk && j->words, ERR_MEMORY, "no memory to train a tokenizer");
    TRY(pretoken_open(&j->rules));
    for (int32_t w = 0; w < j->o->workers; w++) TRY(pretoken_walk_init(&j->walk[w], j->rules));
    return OK;
}

static status train_tokenizer(job *j)
{
    word_count all = {0};
    bpe *vocabulary = NULL;
    if (j->train_vocab == 0) return OK;
    TRY(word_count_gather(&all, j->words, j->o->workers));
    status s = bpe_train(&vocabulary, &all, (int32_t)j->train_vocab);
    word_count_deinit(&all);
    return s == OK ? tokenizer_open_bpe(&j->tokenizer, vocabulary) : s;
}

static void close_counters(job *j)
{
    for (int32_t w = 0; w < j->o->workers; w++) {
        if (j->walk) pretoken_walk_deinit(&j->walk[w]);
        if (j->words) word_count_deinit(&j->words[w]);
    }
    pretoken_close(j->rules);
    free(j->walk);
    free(j->words);
}

/* OUT/tokenizer.json, as read or as trained */
static status write_tokenizer(const job *j)
{
    char path[1200];
    int64_t bytes;
    const char *text = tokenizer_json(j->tokenizer, &bytes);
    if (!text) return OK;
    (void)snprintf(path, sizeof path, "%s/tokenizer.json", j->folder.stage);
    return file_write_text(path, text, bytes);
}

/* ---- pass 2: write ---- */

static status write_work(void *context, int32_t worker, pass_item *item)
{
    job *j = context;
    (void)worker;
    item->split = split_of(j, item);
    if (item->split == DROPPED) return OK;
    if (item->split == TRAIN) overlap_scan(j->overlap, item->text, item->bytes);
    return tokenizer_encode(j->tokenizer, item->text, item->bytes, &item->ids, &item->id_count);
}

static status write_take(void *context, const pass_item *item)
{
    job *j = context;
    bool follows =
        item->from->joined && j->last_path == item->from->path && j->last_split == item->split;
    j->last_path = item->from->path;
    j->last_split = item->split;
    if (item->split == DROPPED) return OK;
    REQUIRE(j->writer[item->split], ERR_IO, "%s changed while it was read", item->from->path);
    return shard_writer_add(j->writer[item->split], item->ids, item->id_count, item->text,
                            item->bytes, follows);
}

static status open_writers(job *j)
{
    for (int k = 0; k < PREPARE_SPLITS; k++) {
        char folder[1200];
        if (j->documents[k] == 0) continue;
        (void)snprintf(folder, sizeof folder, "%s/%s", j->folder.stage, split_names[k]);
        TRY(shard_writer_open(&j->writer[k],
                              &(shard_options){.folder = folder,
                                               .split = split_names[k],
                                               .vocab = tokenizer_vocab(j->tokenizer),
                                               .eot = tokenizer_eot(j->tokenizer),
                                               .shard_tokens = j->o->shard_tokens}));
    }
    return OK;
}

static status write_all(job *j)
{
    pass p = {j->o->field, write_work, write_take, tell, j};
    j->stage = "writing";
    j->stage_number = 1;
    TRY(overlap_seal(j->overlap));
    TRY(open_writers(j));
    TRY(all_sets(j, &p));
    for (int k = 0; k < PREPARE_SPLITS; k++) {
        if (!j->writer[k]) continue;
        token_manifest *m = &j->result->split[k];
        TRY(shard_writer_finish(j->writer[k], m));
        REQUIRE(m->bytes == j->bytes[k], ERR_IO, "the inputs changed while they were read");
        (void)snprintf(m->tokenizer, sizeof m->tokenizer, "%s", tokenizer_name(j->tokenizer));
        (void)snprintf(m->tokenizer_sha256, sizeof m->tokenizer_sha256, "%s",
                       tokenizer_sha256(j->tokenizer));
    }
    return OK;
}

/* ---- what is said about it, and where it goes ---- */

static status list_append(json_t *list, const char *text)
{
    REQUIRE(json_array_append_new(list, json_string(text)) == 0, ERR_CONFIG,
            "the name %s is not UTF-8; manifests cannot hold it", text);
    return OK;
}

/* what the split was made of and how, for manifest.json */
static status describe(const job *j, json_t *about)
{
    static const char *const cuts[] = {"auto", "file", "blank", "line"};
    const prepare_options *o = j->o;
    json_t *inputs = json_array(), *rule = json_object();
    (void)json_object_set_new(about, "inputs", inputs);
    (void)json_object_set_new(about, "split_rule", rule);
    for (int32_t i = 0; i < o->count; i++) TRY(list_append(inputs, o->names[i]));
    (void)json_object_set_new(rule, "cut", json_string(cuts[o->cut]));
    (void)json_object_set_new(rule, "by",
                              json_string("first 8 bytes of the SHA-256 of the document / 2^64"));
    for (int k = VALIDATION; k <= TEST; k++) {
        if (o->held[k]) {
            json_t *files = json_array();
            (void)json_object_set_new(rule, split_names[k], files);
            TRY(list_append(files, o->held[k]));
        } else {
            double low = k == TEST ? (double)j->end[VALIDATION] * 0x1p-64 : 0;
            (void)json_object_set_new(rule, split_names[k],
                                      json_pack("[f, f]", low, (double)j->end[k] * 0x1p-64));
        }
    }
    (void)json_object_set_new(about, "dropped_documents",
                              json_integer((json_int_t)j->documents[DROPPED]));
    if (strcmp(tokenizer_name(j->tokenizer), "bytes") != 0) {
        char rules[64];
        pretoken_describe(rules, sizeof rules);
        (void)json_object_set_new(about, "pretokenizer", json_string(rules));
    }
    json_t *shares = json_object();
    (void)json_object_set_new(about, "overlap", shares);
    (void)json_object_set_new(shares, "string_bytes", json_integer(OVERLAP_BYTES));
    for (int k = VALIDATION; k <= TEST; k++) {
        const overlap_share *v = &j->result->overlap[k];
        if (j->documents[k] > 0)
            (void)json_object_set_new(shares, split_names[k],
                                      json_pack("{s:f, s:I, s:I}", "share", v->share,
                                                "inside_bytes", (json_int_t)v->inside,
                                                "measured_bytes", (json_int_t)v->measured));
    }
    return OK;
}

static status write_manifests(job *j)
{
    json_t *about = json_object();
    REQUIRE(about, ERR_MEMORY, "no memory for the manifests");
    status s = describe(j, about);
    for (int k = 0; s == OK && k < PREPARE_SPLITS; k++) {
        char folder[1200];
        (void)snprintf(folder, sizeof folder, "%s/%s", j->folder.stage, split_names[k]);
        if (j->documents[k] > 0) s = token_manifest_write(&j->result->split[k], folder, about);
    }
    json_decref(about);
    return s;
}

/* held-out splits and the tokenizer before train: whoever sees train can use all of it */
static status publish(const job *j)
{
    const char *parts[PREPARE_SPLITS + 1];
    int32_t count = 0;
    char path[1200];
    (void)snprintf(path, sizeof path, "%s/tokenizer.json", j->folder.stage);
    if (file_exists(path)) parts[count++] = "tokenizer.json";
    for (int k = PREPARE_SPLITS - 1; k >= 0; k--)
        if (j->documents[k] > 0) parts[count++] = split_names[k];
    return prepare_folder_publish(&j->folder, parts, count);
}

/* ---- from options to files ---- */

static status open_inputs(job *j)
{
    for (int k = 0; k < PREPARE_SPLITS; k++) {
        const char *const *names = k == TRAIN ? j->o->names : &j->o->held[k];
        input_options options = {names, k == TRAIN ? j->o->count : 1, j->o->cut, j->o->field, 0};
        if (k == TRAIN || j->o->held[k]) TRY(input_open(&j->input[k], &options));
    }
    return OK;
}

static status run_job(job *j)
{
    TRY(open_tokenizer(j));
    TRY(open_inputs(j));
    TRY(prepare_folder_init(&j->folder, j->o->out, j->o->force));
    TRY(pool_open(&j->pool, j->o->workers));
    set_ends(j);
    TRY(survey(j));
    TRY(train_tokenizer(j));
    TRY(write_tokenizer(j));
    TRY(write_all(j));
    for (int k = VALIDATION; k <= TEST; k++) j->result->overlap[k] = overlap_measure(j->overlap, k);
    TRY(write_manifests(j));
    TRY(publish(j));
    j->result->dropped = j->documents[DROPPED];
    j->result->vocab = tokenizer_vocab(j->tokenizer);
    j->result->eot = tokenizer_eot(j->tokenizer);
    (void)snprintf(j->result->tokenizer, sizeof j->result->tokenizer, "%s",
                   tokenizer_name(j->tokenizer));
    return OK;
}

status prepare_run(prepare_result *out, const prepare_options *options)
{
    prepare_result result = {0};
    job j = {.o = options, .result = &result, .folder = {.lock = -1}};
    status s = run_job(&j);
    pool_close(j.pool);
    for (int k = 0; k < PREPARE_SPLITS; k++) {
        shard_writer_close(j.writer[k]);
        input_close(j.input[k]);
    }
    prepare_folder_deinit(&j.folder);
    overlap_close(j.overlap);
    tokenizer_close(j.tokenizer);
    close_counters(&j);
    free(j.held);
    if (s == OK)
        *out = result;
    else
        prepare_result_deinit(&result);
    return s;
}

void prepare_result_deinit(prepare_result *r)
{
    for (int k = 0; k < PREPARE_SPLITS; k++) token_manifest_deinit(&r->split[k]);
}
