#include "data/pass.h"

#include "base/sha256.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct task {
    pass_item item;
    uint8_t *owned; /* text out of JSON */
    status failed;
    char *message; /* of the worker's thread */
} task;

typedef struct batch {
    const pass *pass;
    document_block block;
    task *task;
    int64_t room;
} batch;

static uint64_t word_of(const uint8_t *at)
{
    uint64_t word = 0;
    for (int i = 0; i < 8; i++) word = word << 8 | at[i];
    return word;
}

static status run_one(const pass *p, int32_t worker, task *t, const uint8_t *text)
{
    const document *d = t->item.from;
    t->item.text = text + d->offset;
    t->item.bytes = d->count;
    if (d->json) {
        TRY(document_json(&t->owned, &t->item.bytes, t->item.text, d,
                          p->field ? p->field : "text"));
        t->item.text = t->owned;
    }
    sha256 h;
    uint8_t digest[SHA256_BYTES];
    sha256_init(&h);
    sha256_add(&h, t->item.text, t->item.bytes);
    sha256_end(&h, digest);
    t->item.hash[0] = word_of(digest);
    t->item.hash[1] = word_of(digest + 8);
    return p->work(p->context, worker, &t->item);
}

static void work(void *context, int32_t worker, int64_t index)
{
    batch *b = context;
    task *t = &b->task[index];
    *t = (task){.item.from = &b->block.document[index]};
    t->failed = run_one(b->pass, worker, t, b->block.text);
    if (t->failed != OK) t->message = strdup(status_message());
}

static status start(batch *b, pool *workers)
{
    if (b->block.count > b->room) {
        task *more = realloc(b->task, (size_t)b->block.count * sizeof *more);
        REQUIRE(more, ERR_MEMORY, "no memory for %lld documents", (long long)b->block.count);
        b->task = more;
        b->room = b->block.count;
    }
    pool_start(workers, work, b, b->block.count);
    return OK;
}

/* in document order; frees every item, also behind a failure */
static status take(batch *b, status s)
{
    for (int64_t i = 0; i < b->block.count; i++) {
        task *t = &b->task[i];
        if (s == OK && t->failed != OK)
            s = status_set(t->failed, __FILE__, __LINE__, "%s",
                           t->message ? t->message : "no memory");
        /* an empty text is no document */
        if (s == OK && t->item.bytes > 0) s = b->pass->take(b->pass->context, &t->item);
        free(t->item.ids);
        free(t->owned);
        free(t->message);
    }
    return s;
}

status pass_run(const pass *p, input *in, pool *workers)
{
    batch now = {.pass = p}, next = {.pass = p};
    input_rewind(in);
    status s = input_next(in, &now.block);
    while (s == OK && now.block.count > 0) {
        s = start(&now, workers);
        if (s != OK) break;
        s = input_next(in, &next.block);
        pool_wait(workers);
        s = take(&now, s);
        if (s == OK && p->progress) p->progress(p->context);
        batch other = now;
        now = next;
        next = other;
    }
    document_block_deinit(&now.block);
    document_block_deinit(&next.block);
    free(now.task);
    free(next.task);
    return s;
}
