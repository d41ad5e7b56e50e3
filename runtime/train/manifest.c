#include "train/manifest.h"

#include "base/digest.h"
#include "base/file.h"
#include "base/json.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

const char *const manifest_names[MANIFEST_FILES] = {"weights.safetensors", "optimizer.safetensors",
                                                    "config.json"};

/* Digests of the chunks rank, rank + ranks, ... of an open file. */
static status own_chunks(int fd, const char *path, int64_t bytes, int64_t rank, int64_t ranks,
                         uint64_t *out)
{
    char *buffer = malloc(MANIFEST_CHUNK_BYTES);
    REQUIRE(buffer, ERR_MEMORY, "no memory to verify %s", path);
    status s = OK;
    for (int64_t chunk = rank, i = 0; s == OK && chunk * MANIFEST_CHUNK_BYTES < bytes;
         chunk += ranks, i++) {
        int64_t at = chunk * MANIFEST_CHUNK_BYTES, left = bytes - at;
        int64_t count = left < MANIFEST_CHUNK_BYTES ? left : MANIFEST_CHUNK_BYTES;
        s = file_read_at(fd, path, at, buffer, count);
        if (s == OK) out[i] = digest_bytes(buffer, count);
    }
    free(buffer);
    return s;
}

static status share_digest(manifest_file *out, world *w, const char *path, int64_t bytes, int fd)
{
    int64_t ranks = world_size(w),
            chunks = (bytes + MANIFEST_CHUNK_BYTES - 1) / MANIFEST_CHUNK_BYTES;
    int64_t slot = (chunks + ranks - 1) / ranks;
    uint64_t *mine = calloc((size_t)(slot * (ranks + 1)) + 1, 8), *all = mine + slot;
    status s = mine ? own_chunks(fd, path, bytes, world_rank(w), ranks, mine)
                    : status_set(ERR_MEMORY, __FILE__, __LINE__, "no memory to verify %s", path);
    s = world_agree(w, s);
    if (s == OK) s = world_gather(w, all, mine, slot * 8);
    if (s == OK) {
        out->digest = digest_fold(0, (uint64_t)bytes);
        for (int64_t c = 0; c < chunks; c++)
            out->digest = digest_fold(out->digest, all[c % ranks * slot + c / ranks]);
        out->bytes = bytes;
    }
    free(mine);
    return s;
}

status manifest_digest(manifest_file *out, world *w, const char *folder, const char *name)
{
    char path[1200];
    struct stat about = {0};
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    out->name = name;
    int fd;
    status s = file_open(&fd, path);
    if (s == OK && fstat(fd, &about) != 0)
        s = status_set(ERR_IO, __FILE__, __LINE__, "cannot open %s: %s", path, strerror(errno));
    s = world_agree(w, s);
    if (s == OK) s = share_digest(out, w, path, about.st_size, fd);
    if (fd >= 0) (void)close(fd);
    return s;
}

static json_t *times_object(const run_times *t)
{
    return json_pack("{s:o, s:o, s:o, s:o, s:o}", "compute", json_finite(t->compute), "comm",
                     json_finite(t->comm), "wait", json_finite(t->wait), "data",
                     json_finite(t->data), "checkpoint", json_finite(t->checkpoint));
}

/* The losses of the last steps, oldest first. */
static json_t *losses_array(const progress *p)
{
    json_t *list = json_array();
    for (int64_t n = p->step > LAST_LOSSES ? p->step - LAST_LOSSES : 0; n < p->step; n++)
        (void)json_array_append_new(list, json_finite(p->losses[n % LAST_LOSSES]));
    return list;
}

status manifest_write(const char *folder, const checkpoint_info *info,
                      const manifest_file files[MANIFEST_FILES])
{
    const progress *p = &info->at;
    json_t *list = json_array();
    for (int i = 0; i < MANIFEST_FILES; i++) {
        char hex[17];
        (void)snprintf(hex, sizeof hex, "%016" PRIx64, files[i].digest);
        (void)json_array_append_new(list,
                                    json_pack("{s:s, s:I, s:i, s:s}", "name", files[i].name,
                                              "bytes", (json_int_t)files[i].bytes, "chunk_bytes",
                                              MANIFEST_CHUNK_BYTES, "digest", hex));
    }
    json_t *root =
        json_pack("{s:i, s:I, s:I, s:I, s:I, s:I, s:I, s:f, s:o, s:o, s:o, s:i, s:s, s:s, s:s, "
                  "s:I, s:o}",
                  "schema", 1, "step", (json_int_t)p->step, "tokens", (json_int_t)p->tokens,
                  "updates", (json_int_t)p->updates, "nonfinite", (json_int_t)p->nonfinite,
                  "nonfinite_in_a_row", (json_int_t)p->nonfinite_row, "interruptions",
                  (json_int_t)p->interruptions, "train_time_s", p->train_time_s, "time_s",
                  times_object(&p->times), "energy_j", json_finite(p->energy_j), "last_losses",
                  losses_array(p), "ranks", info->ranks, "config_hash", info->config_hash,
                  "arithmetic_id", info->arithmetic_id, "data_identity", info->data_identity,
                  "record_bytes", (json_int_t)info->record_bytes, "files", list);
    char path[1200];
    (void)snprintf(path, sizeof path, "%s/manifest.json", folder);
    return json_write(root, path);
}

/* Copies a text member; false if it is missing or too long. */
static bool text_member(char *out, size_t bytes, const json_t *root, const char *key)
{
    const char *text = json_string_value(json_object_get(root, key));
    return text && snprintf(out, bytes, "%s", text) < (int)bytes;
}

static status parse_files(manifest_file files[MANIFEST_FILES], const char *folder,
                          const json_t *list)
{
    for (int i = 0; i < MANIFEST_FILES; i++) {
        const json_t *one = json_array_get(list, (size_t)i);
        const char *name = json_string_value(json_object_get(one, "name"));
        const char *hex = json_string_value(json_object_get(one, "digest"));
        REQUIRE(name && hex && strcmp(name, manifest_names[i]) == 0 && strlen(hex) == 16 &&
                    json_integer_value(json_object_get(one, "chunk_bytes")) == MANIFEST_CHUNK_BYTES,
                ERR_IO, "%s/manifest.json: files[%d] is not %s with a digest", folder, i,
                manifest_names[i]);
        files[i] = (manifest_file){.name = manifest_names[i],
                                   .digest = strtoull(hex, NULL, 16),
                                   .bytes = json_integer_value(json_object_get(one, "bytes"))};
    }
    return OK;
}

/* What was spent and lost so far; NaN where a manifest does not say. */
static void parse_spent(progress *out, const json_t *root)
{
    out->energy_j = json_number_at(root, "energy_j");
    out->times = (run_times){.compute = json_number_at(root, "time_s.compute"),
                             .comm = json_number_at(root, "time_s.comm"),
                             .wait = json_number_at(root, "time_s.wait"),
                             .data = json_number_at(root, "time_s.data"),
                             .checkpoint = json_number_at(root, "time_s.checkpoint")};
    const json_t *losses = json_object_get(root, "last_losses");
    for (int64_t i = 1; i <= LAST_LOSSES && i <= out->step; i++) {
        const json_t *one = json_array_get(losses, json_array_size(losses) - (size_t)i);
        out->losses[(out->step - i) % LAST_LOSSES] =
            json_is_number(one) ? json_number_value(one) : (double)NAN;
    }
}

static status parse_root(checkpoint_info *out, manifest_file files[MANIFEST_FILES],
                         const char *folder, const json_t *root)
{
    static const char *const keys[] = {
        "step",          "tokens",       "updates", "nonfinite", "nonfinite_in_a_row",
        "interruptions", "record_bytes", "ranks"};
    int64_t value[8];
    for (int i = 0; i < 8; i++) {
        const json_t *one = json_object_get(root, keys[i]);
        REQUIRE(json_is_integer(one) && json_integer_value(one) >= 0, ERR_IO,
                "%s/manifest.json: %s is missing or not a count", folder, keys[i]);
        value[i] = json_integer_value(one);
    }
    out->at = (progress){.step = value[0],
                         .tokens = value[1],
                         .updates = value[2],
                         .nonfinite = value[3],
                         .nonfinite_row = value[4],
                         .interruptions = value[5],
                         .train_time_s = json_number_value(json_object_get(root, "train_time_s"))};
    parse_spent(&out->at, root);
    out->record_bytes = value[6];
    out->ranks = (int32_t)value[7];
    REQUIRE(text_member(out->config_hash, sizeof out->config_hash, root, "config_hash") &&
                text_member(out->arithmetic_id, sizeof out->arithmetic_id, root, "arithmetic_id") &&
                text_member(out->data_identity, sizeof out->data_identity, root, "data_identity"),
            ERR_IO, "%s/manifest.json: config_hash, arithmetic_id or data_identity is missing",
            folder);
    return parse_files(files, folder, json_object_get(root, "files"));
}

status manifest_parse(checkpoint_info *out, manifest_file files[MANIFEST_FILES], const char *folder,
                      const char *text)
{
    json_error_t error;
    json_t *root = json_loads(text, JSON_REJECT_DUPLICATES, &error);
    REQUIRE(json_is_object(root) || (json_decref(root), false), ERR_IO,
            "%s/manifest.json is not JSON: %s", folder, error.text);
    status s = OK;
    if (json_integer_value(json_object_get(root, "schema")) != 1)
        s = status_set(ERR_IO, __FILE__, __LINE__, "%s/manifest.json: schema is not 1", folder);
    if (s == OK) s = parse_root(out, files, folder, root);
    json_decref(root);
    return s;
}
