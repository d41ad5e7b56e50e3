#include "train/checkpoint.h"
#include "base/clock.h"
#include "base/file.h"
#include "train/manifest.h"
#include "train/model_json.h"
#include "train/safetensors.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { VECTORS = 3, PATH_BYTES = 1200, VERIFY_ELEMENTS = 1 << 18 }; /* masters, m, v */

struct checkpoint_writer {
    run *r; /* for layout and rank; the thread reads nothing else of it */
    char folder[1024], temporary[1100];
    checkpoint_info info;
    const float *source[VECTORS]; /* indexed by the shard numbering of own stripes, or see at() */
    bool snapshot;
    int64_t data[2]; /* file offsets of the first tensor bytes */
    int fd[2];
    pthread_t thread;
    bool started;
    _Atomic bool done;
    double stall_s, write_s; /* see checkpoint_cost; write_s once it is done */
    status result;
    char message[1024];
};

/* Source of a stripe in vector v: the snapshot is numbered by shard, live arrays by the run's own
 * numbering. */
static const float *source_at(const checkpoint_writer *w, int v, int32_t b, stripe_range s)
{
    if (w->snapshot) return w->source[v] + s.shard;
    stripe_range own = run_owned(w->r, b);
    int64_t inside = s.logical - own.logical;
    if (v == 0) return run_masters(w->r, own) + inside;
    return (v == 1 ? w->r->m : w->r->v) + own.shard + inside;
}

/* Which file a vector lies in, and where its element 0 is. */
static int64_t vector_offset(const checkpoint_writer *w, int v)
{
    if (v == 0) return w->data[0];
    return w->data[1] + (v - 1) * w->r->layout.params * 4;
}

/* Reads a stripe back and compares it with what was meant. */
static status verify_stripe(int fd, const char *name, int64_t offset, const float *meant,
                            int64_t count)
{
    float *buffer = malloc(VERIFY_ELEMENTS * sizeof *buffer);
    REQUIRE(buffer, ERR_MEMORY, "no memory to verify %s", name);
    status s = OK;
    for (int64_t at = 0; s == OK && at < count; at += VERIFY_ELEMENTS) {
        int64_t n = count - at < VERIFY_ELEMENTS ? count - at : VERIFY_ELEMENTS;
        s = file_read_at(fd, name, offset + at * 4, buffer, n * 4);
        if (s == OK && memcmp(buffer, meant + at, (size_t)n * 4) != 0)
            s = status_set(ERR_IO, __FILE__, __LINE__,
                           "%s reads back other bytes than were written", name);
    }
    free(buffer);
    return s;
}

/* One stripe of one vector, written or compared. Live values of a device come a piece at a time. */
static status one_stripe(checkpoint_writer *w, int v, int32_t b, stripe_range s, bool verify)
{
    int file = v > 0;
    const float *from = source_at(w, v, b, s);
    bool far = !w->snapshot && w->r->ops->native_queue;
    int64_t step = far ? VERIFY_ELEMENTS : s.count;
    float *piece = far ? malloc(VERIFY_ELEMENTS * sizeof *piece) : NULL;
    status result = far && !piece ? status_set(ERR_MEMORY, __FILE__, __LINE__, "no memory") : OK;
    for (int64_t at = 0; result == OK && at < s.count; at += step) {
        int64_t n = s.count - at < step ? s.count - at : step;
        int64_t offset = vector_offset(w, v) + (s.logical + at) * 4;
        const float *values = far ? piece : from;
        if (far) result = w->r->ops->download(w->r->device, piece, from + at, n * 4);
        if (result == OK)
            result = verify
                         ? verify_stripe(w->fd[file], manifest_names[file], offset, values, n)
                         : file_write_at(w->fd[file], manifest_names[file], offset, values, n * 4);
    }
    free(piece);
    return result;
}

static status each_stripe(checkpoint_writer *w, bool verify)
{
    int32_t rank = comm_rank(w->r->comm);
    for (int v = 0; v < VECTORS; v++)
        for (int32_t b = 0; b < w->r->layout.bucket_count; b++) {
            stripe_range s = layout_stripe(&w->r->layout, b, rank);
            if (s.count > 0) TRY(one_stripe(w, v, b, s, verify));
        }
    return OK;
}

static status write_own(checkpoint_writer *w)
{
    TRY(each_stripe(w, false));
    for (int file = 0; file < 2; file++) {
        char path[PATH_BYTES];
        (void)snprintf(path, sizeof path, "%s/%s", w->temporary, manifest_names[file]);
        TRY(file_sync(w->fd[file], path));
    }
    return each_stripe(w, true);
}

static void *writer_main(void *context)
{
    checkpoint_writer *w = context;
    double start = clock_s();
    w->result = write_own(w);
    w->write_s = clock_s() - start;
    (void)snprintf(w->message, sizeof w->message, "%s", status_message());
    atomic_store(&w->done, true);
    return NULL;
}

/* Rank 0: an empty temporary folder with both files at full size and config.json. */
static status create_files(checkpoint_writer *w, char *const header[2],
                           const int64_t header_bytes[2])
{
    run *r = w->r;
    int64_t body[2] = {r->layout.params * 4, r->layout.params * 8}, needed = body[0] + body[1];
    TRY(file_make_folder(w->folder));
    TRY(file_remove_folder(w->temporary));
    int64_t available = file_free_bytes(w->folder);
    REQUIRE(available < 0 || available > needed, ERR_IO,
            "%s: a checkpoint needs %.1f MiB, %.1f MiB are free; nothing was changed", w->folder,
            (double)needed / 1048576, (double)available / 1048576);
    TRY(file_make_folder(w->temporary));
    for (int i = 0; i < 2; i++) {
        char path[PATH_BYTES];
        (void)snprintf(path, sizeof path, "%s/%s", w->temporary, manifest_names[i]);
        int fd;
        TRY(file_open_write(&fd, path, O_TRUNC));
        status s = file_write_at(fd, path, 0, header[i], header_bytes[i]);
        if (s == OK && ftruncate(fd, header_bytes[i] + body[i]) != 0)
            s = status_set(ERR_IO, __FILE__, __LINE__, "cannot extend %s: %s", path,
                           strerror(errno));
        (void)close(fd);
        TRY(s);
    }
    return model_json_write(w->temporary, &r->cfg->model);
}

static status open_files(checkpoint_writer *w)
{
    for (int i = 0; i < 2; i++) {
        char path[PATH_BYTES];
        (void)snprintf(path, sizeof path, "%s/%s", w->temporary, manifest_names[i]);
        w->fd[i] = open(path, O_RDWR | O_CLOEXEC);
        REQUIRE(w->fd[i] >= 0, ERR_IO,
                "cannot open %s: %s (is the run directory shared by all nodes?)", path,
                strerror(errno));
    }
    return OK;
}

/* Headers are the same on every rank; rank 0 writes them. COLLECTIVE */
static status prepare_files(checkpoint_writer *w)
{
    run *r = w->r;
    char *header[2] = {NULL, NULL};
    int64_t bytes[2] = {0, 0};
    status s = safetensors_header(&header[0], &bytes[0], &r->layout, 1, (const char *const[]){""});
    if (s == OK)
        s = safetensors_header(&header[1], &bytes[1], &r->layout, 2,
                               (const char *const[]){"exp_avg.", "exp_avg_sq."});
    if (s == OK && world_rank(r->world) == 0) s = create_files(w, header, bytes);
    for (int i = 0; i < 2; i++) {
        free(header[i]);
        w->data[i] = bytes[i];
    }
    s = world_agree(r->world, s);
    return s == OK ? world_agree(r->world, open_files(w)) : s;
}

/* Copies the own stripes so that training can go on. */
static status take_snapshot(checkpoint_writer *w)
{
    arena *a = &w->r->arenas[MEMORY_SNAPSHOT];
    a->used = 0;
    float *copy[VECTORS];
    for (int v = 0; v < VECTORS; v++) {
        copy[v] = arena_take(a, w->r->layout.shard * 4);
        for (int32_t b = 0; b < w->r->layout.bucket_count; b++) {
            stripe_range s = layout_stripe(&w->r->layout, b, comm_rank(w->r->comm));
            if (s.count > 0)
                TRY(w->r->ops->download(w->r->device, copy[v] + s.shard, source_at(w, v, b, s),
                                        s.count * 4));
        }
    }
    for (int v = 0; v < VECTORS; v++) w->source[v] = copy[v];
    w->snapshot = true;
    return OK;
}

static void describe(checkpoint_writer *w, int64_t record_bytes)
{
    const run *r = w->r;
    w->info =
        (checkpoint_info){.at = r->at, .record_bytes = record_bytes, .ranks = r->layout.ranks};
    w->info.at.times = run_times_so_far(r);
    config_hash(r->cfg, w->info.config_hash);
    (void)snprintf(w->info.arithmetic_id, sizeof w->info.arithmetic_id, "%s", r->arithmetic_id);
    (void)snprintf(w->info.data_identity, sizeof w->info.data_identity, "%s",
                   samples_about(r->train)->identity);
}

status checkpoint_start(run *r, const char *folder, int64_t record_bytes)
{
    double start = clock_s();
    ASSERT(r->writer == NULL);
    checkpoint_writer *w = calloc(1, sizeof *w);
    status s =
        w ? OK : status_set(ERR_MEMORY, __FILE__, __LINE__, "no memory for a checkpoint writer");
    TRY(world_agree(r->world, s));
    w->r = r;
    w->fd[0] = w->fd[1] = -1;
    (void)snprintf(w->folder, sizeof w->folder, "%s", folder);
    (void)snprintf(w->temporary, sizeof w->temporary, "%s/.step-%" PRId64 ".tmp", folder,
                   r->at.step);
    describe(w, record_bytes);
    r->writer = w;
    TRY(r->ops->sync(r->device));
    TRY(prepare_files(w));
    if (!r->cfg->checkpoint.asynchronous) {
        (void)writer_main(w);
        w->stall_s = clock_s() - start;
        return OK;
    }
    TRY(take_snapshot(w));
    w->started = pthread_create(&w->thread, NULL, writer_main, w) == 0;
    /* without a thread the work is done here and now */
    if (!w->started) (void)writer_main(w);
    w->stall_s = clock_s() - start;
    return OK;
}

int64_t checkpoint_bytes(const run *r)
{
    int64_t elements = 0;
    for (int32_t b = 0; b < r->layout.bucket_count; b++)
        elements += layout_stripe(&r->layout, b, comm_rank(r->comm)).count;
    return elements * 4 * VECTORS;
}

bool checkpoint_busy(const run *r) { return r->writer && !atomic_load(&r->writer->done); }

static status join(checkpoint_writer *w)
{
    if (w->started) (void)pthread_join(w->thread, NULL);
    w->started = false;
    for (int i = 0; i < 2; i++) {
        if (w->fd[i] >= 0 && close(w->fd[i]) != 0 && w->result == OK) {
            w->result = ERR_IO;
            (void)snprintf(w->message, sizeof w->message, "cannot close %s: %s", manifest_names[i],
                           strerror(errno));
        }
        w->fd[i] = -1;
    }
    return w->result == OK ? OK : status_set(w->result, __FILE__, __LINE__, "%s", w->message);
}

/* Rank 0: manifest, then the rename that makes the checkpoint exist. */
static status publish(const checkpoint_writer *w, const manifest_file files[MANIFEST_FILES])
{
    char path[PATH_BYTES];
    (void)snprintf(path, sizeof path, "%s/step-%" PRId64, w->folder, w->info.at.step);
    TRY(manifest_write(w->temporary, &w->info, files));
    /* the same step may be written again after a resume from an older one */
    TRY(file_remove_folder(path));
    REQUIRE(rename(w->temporary, path) == 0, ERR_IO, "cannot rename %s to %s: %s", w->temporary,
            path, strerror(errno));
    return file_sync_folder(w->folder);
}

/* Keeps the newest keep_last and every multiple of keep_every_tokens. */
static status prune(const run *r, const char *folder)
{
    int64_t *steps, count = checkpoint_list(folder, &steps),
                    every = r->cfg->checkpoint.keep_every_tokens;
    int64_t batch = r->cfg->train.batch_tokens;
    status s = OK;
    for (int64_t i = r->cfg->checkpoint.keep_last; i < count && s == OK; i++) {
        /* a multiple of `every` was crossed by the step that made it */
        if (every > 0 && steps[i] * batch / every != (steps[i] - 1) * batch / every) continue;
        char path[PATH_BYTES];
        (void)snprintf(path, sizeof path, "%s/step-%" PRId64, folder, steps[i]);
        s = file_remove_folder(path);
    }
    free(steps);
    return s;
}

status checkpoint_finish(run *r)
{
    checkpoint_writer *w = r->writer;
    if (!w) return OK;
    double start = clock_s();
    manifest_file files[MANIFEST_FILES];
    status s = world_agree(r->world, join(w));
    for (int i = 0; s == OK && i < MANIFEST_FILES; i++)
        s = manifest_digest(&files[i], r->world, w->temporary, manifest_names[i]);
    if (s == OK) {
        status mine = OK;
        if (world_rank(r->world) == 0) {
            /* its own cost, but for what follows now, is of the run that goes on from it */
            w->info.at.times.checkpoint += w->stall_s + clock_s() - start;
            mine = publish(w, files);
            if (mine == OK) mine = prune(r, w->folder);
        }
        s = world_agree(r->world, mine);
    }
    r->checkpoint = (checkpoint_cost){.step = w->info.at.step,
                                      .stall_s = w->stall_s + clock_s() - start,
                                      .write_s = w->write_s};
    checkpoint_writer_close(w);
    r->writer = NULL;
    r->times.checkpoint += clock_s() - start;
    return s;
}

void checkpoint_writer_close(checkpoint_writer *w)
{
    if (!w) return;
    (void)join(w);
    free(w);
}

/* One candidate: rank 0 reads the manifest for all; then every file is digested together.
 * COLLECTIVE */
static status examine(checkpoint_info *out, world *w, const char *path)
{
    char name[PATH_BYTES], *text = NULL;
    int64_t bytes = 0;
    (void)snprintf(name, sizeof name, "%s/manifest.json", path);
    status s = OK;
    if (world_rank(w) == 0) s = file_read_text(&text, &bytes, name, 1 << 20);
    s = world_agree(w, s);
    if (s == OK) s = world_broadcast(w, &bytes, sizeof bytes, 0);
    if (s == OK && !text) text = calloc(1, (size_t)bytes + 1);
    if (s == OK) s = world_broadcast(w, text, bytes, 0);
    manifest_file expected[MANIFEST_FILES], found;
    if (s == OK) s = manifest_parse(out, expected, path, text);
    free(text);
    for (int i = 0; s == OK && i < MANIFEST_FILES; i++) {
        s = manifest_digest(&found, w, path, manifest_names[i]);
        if (s == OK && found.bytes != expected[i].bytes)
            s = status_set(ERR_IO, __FILE__, __LINE__,
                           "%s has %" PRId64 " bytes, its manifest says %" PRId64,
                           manifest_names[i], found.bytes, expected[i].bytes);
        if (s == OK && found.digest != expected[i].digest)
            s = status_set(ERR_IO, __FILE__, __LINE__, "%s does not match its digest",
                           manifest_names[i]);
    }
    (void)snprintf(out->path, sizeof out->path, "%s", path);
    return s;
}

status checkpoint_find(checkpoint_info *out, world *w, const char *folder,
                       void (*skipped)(void *context, const char *path, const char *why),
                       void *context)
{
    *out = (checkpoint_info){0};
    int64_t *steps = NULL, count = 0;
    if (world_rank(w) == 0) count = checkpoint_list(folder, &steps);
    status s = world_broadcast(w, &count, sizeof count, 0);
    for (int64_t i = 0; s == OK && i < count; i++) {
        char path[1024];
        int64_t step = steps ? steps[i] : 0;
        s = world_broadcast(w, &step, sizeof step, 0);
        if (s != OK) break;
        (void)snprintf(path, sizeof path, "%s/step-%" PRId64, folder, step);
        if (examine(out, w, path) == OK) break;
        if (skipped && world_rank(w) == 0) skipped(context, path, status_message());
        *out = (checkpoint_info){0};
    }
    free(steps);
    return s;
}

/* A file being read into a run. */
typedef struct vector_file {
    const safetensors_map *map;
    const char *path;
    int fd;
    const layout *layout;
} vector_file;

static status values_of_file(void *context, int64_t first, int64_t count, float *out)
{
    const vector_file *f = context;
    return safetensors_read(f->map, f->path, f->fd, f->layout, first, count, out);
}

/* Own part of one vector. */
static status load_vector(run *r, const char *path, int v, const char *prefix)
{
    safetensors_map map;
    int fd;
    TRY(file_open(&fd, path));
    status s = safetensors_map_init(&map, path, fd, &r->layout, prefix);
    vector_file file = {.map = &map, .path = path, .fd = fd, .layout = &r->layout};
    for (int32_t b = 0; s == OK && b < r->layout.bucket_count; b++) {
        stripe_range own = run_owned(r, b);
        float *to = v == 0 ? run_masters(r, own) : (v == 1 ? r->m : r->v) + own.shard;
        if (own.count > 0) s = run_fill(r, to, own.logical, own.count, values_of_file, &file);
    }
    safetensors_map_deinit(&map);
    (void)close(fd);
    return s;
}

static status load_own(run *r, const checkpoint_info *from, bool accept_other)
{
    const char *identity = samples_about(r->train)->identity;
    REQUIRE(strcmp(from->data_identity, identity) == 0, ERR_CONFIG,
            "data.train: %s was trained on other data (identity %.16s, now %.16s)", from->path,
            from->data_identity, identity);
    REQUIRE(accept_other || strcmp(from->arithmetic_id, r->arithmetic_id) == 0, ERR_CONFIG,
            "%s was computed as '%s', this run computes as '%s': the bits would differ; "
            "--accept-other-arithmetic goes on and marks it",
            from->path, from->arithmetic_id, r->arithmetic_id);
    static const char *const prefix[VECTORS] = {"", "exp_avg.", "exp_avg_sq."};
    for (int v = 0; v < VECTORS; v++) {
        char path[PATH_BYTES];
        (void)snprintf(path, sizeof path, "%s/%s", from->path, manifest_names[v > 0]);
        TRY(load_vector(r, path, v, prefix[v]));
    }
    r->at = from->at;
    return OK;
}

status checkpoint_load(run *r, const checkpoint_info *from, bool accept_other)
{
    TRY(world_agree(r->world, load_own(r, from, accept_other)));
    return run_publish_weights(r);
}

status checkpoint_read_weights(const char *path, const layout *l, float *out)
{
    char name[PATH_BYTES];
    (void)snprintf(name, sizeof name, "%s/%s", path, manifest_names[0]);
    safetensors_map map;
    int fd;
    TRY(file_open(&fd, name));
    status s = safetensors_map_init(&map, name, fd, l, "");
    if (s == OK) s = safetensors_read(&map, name, fd, l, 0, l->params, out);
    safetensors_map_deinit(&map);
    (void)close(fd);
    return s;
}
