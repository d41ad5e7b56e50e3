/* checkpoint.h — the state of a run as logical arrays on disk, whole or not there at all.
 *
 * Layout: FOLDER/step-N/{weights.safetensors, optimizer.safetensors, config.json, manifest.json}.
 * Writing: 1 rank 0 makes FOLDER/.step-N.tmp and both files at full size; AGREE  2 every rank
 * writes its stripes, fsyncs and reads them back (in a thread when asynchronous)  3 AGREE; ranks
 * digest the files chunk by chunk; rank 0 writes the manifest and renames the folder; COLLECTIVE.
 * Without a manifest whose digests match, a checkpoint does not exist. Nothing in a file depends on
 * ranks.     */
#ifndef TRAIN_CHECKPOINT_H
#define TRAIN_CHECKPOINT_H

#include "train/run.h"

typedef struct checkpoint_writer checkpoint_writer;

/* Begins a checkpoint of the present state under folder. With asynchronous it returns once the own
 * stripes are copied, else when they are on disk. One at a time. record_bytes: length of
 * record.jsonl now. COLLECTIVE. */
status checkpoint_start(run *r, const char *folder, int64_t record_bytes);
/* Bytes this rank writes of one. */
int64_t checkpoint_bytes(const run *r);
/* This rank is still writing. */
bool checkpoint_busy(const run *r);
/* Waits for the writer, verifies and publishes, then removes what keep_last and keep_every_tokens
 * do not keep. No-op without a writer. COLLECTIVE. */
status checkpoint_finish(run *r);
/* NULL is a no-op. Joins the thread; leaves an unpublished folder to checkpoint_set_aside. */
void checkpoint_writer_close(checkpoint_writer *w);

typedef struct checkpoint_info {
    progress at;
    int64_t record_bytes;
    int32_t ranks;
    char path[1024];
    char config_hash[17], data_identity[65], arithmetic_id[512];
} checkpoint_info;

/* Step numbers of folder/step-N, newest first, complete or not; *steps is malloc'ed. Returns how
 * many. */
int64_t checkpoint_list(const char *folder, int64_t **steps);

/* Finds the newest complete checkpoint under folder; complete = manifest readable, every file of
 * its size and digest. skipped (may be NULL) is called for each newer one that is not, with the
 * reason. out->path "" when there is none. COLLECTIVE over w. */
status checkpoint_find(checkpoint_info *out, world *w, const char *folder,
                       void (*skipped)(void *context, const char *path, const char *why),
                       void *context);
/* Before a run goes on from `step` (0: from the beginning): newer folders, which were skipped,
 * become step-N.skipped (their record is cut back, and what is written next is newer), and what an
 * earlier process left unfinished is removed. One rank calls it. */
status checkpoint_set_aside(const char *folder, int64_t step);
/* Loads a found checkpoint into the run; refuses other data, and another arithmetic unless
 * accept_other. COLLECTIVE. */
status checkpoint_load(run *r, const checkpoint_info *from, bool accept_other);
/* Weights of step folder `path` as one logical vector of l->params floats (generate, score, diff).
 */
status checkpoint_read_weights(const char *path, const layout *l, float *out);

#endif
