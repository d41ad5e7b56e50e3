#include "train/compare.h"
#include "base/file.h"
#include "train/manifest.h"
#include "train/model_json.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

/* One record, line by line. */
typedef struct reader {
    char *text, *next;
    char path[1100];
} reader;

static status reader_init(reader *out, const char *folder)
{
    (void)snprintf(out->path, sizeof out->path, "%s/record.jsonl", folder);
    TRY(file_reach(out->path));
    REQUIRE(!file_exists(folder) || file_exists(out->path), ERR_IO,
            "%s is no run directory: it holds no record.jsonl", folder);
    TRY(file_read_text(&out->text, NULL, out->path, INT64_C(1) << 33));
    out->next = out->text;
    return OK;
}

/* The next line of this type, or NULL at the end. Caller decrefs. A cut last line counts as the
 * end. */
static json_t *next_line(reader *r, const char *type)
{
    while (*r->next) {
        size_t length = strcspn(r->next, "\n");
        json_t *line = json_loadb(r->next, length, 0, NULL);
        r->next += length + (r->next[length] == '\n');
        const char *found = json_string_value(json_object_get(line, "type"));
        if (found && strcmp(found, type) == 0) return line;
        json_decref(line);
    }
    return NULL;
}

static void take_arithmetic(reader *r, char out[512])
{
    json_t *header = next_line(r, "header");
    const char *id = json_string_value(json_object_get(header, "arithmetic_id"));
    (void)snprintf(out, 512, "%s", id ? id : "?");
    json_decref(header);
    r->next = r->text;
}

static bool differs(const json_t *a, const json_t *b, const char *key)
{
    return !json_equal(json_object_get(a, key), json_object_get(b, key));
}

static status compare_records(run_difference *out, reader *a, reader *b)
{
    take_arithmetic(a, out->arithmetic[0]);
    take_arithmetic(b, out->arithmetic[1]);
    for (out->step = -1; out->step < 0; out->steps++) {
        json_t *x = next_line(a, "step"), *y = next_line(b, "step");
        if (x && y) {
            out->data = differs(x, y, "data_digest");
            out->weights = differs(x, y, "digest");
            out->loss = differs(x, y, "loss");
            out->loss_a = json_number_value(json_object_get(x, "loss"));
            out->loss_b = json_number_value(json_object_get(y, "loss"));
            if (out->data || out->weights || out->loss || differs(x, y, "step"))
                out->step = json_integer_value(json_object_get(x, "step"));
        }
        bool end = !x || !y;
        json_decref(x);
        json_decref(y);
        if (end) break;
    }
    return OK;
}

static void compare_configs(run_difference *out, const char *a, const char *b)
{
    config *two = calloc(2, sizeof *two);
    char path[1100];
    (void)snprintf(path, sizeof path, "%s/config.yaml", a);
    bool known = two && config_load(&two[0], path, 0, NULL) == OK;
    (void)snprintf(path, sizeof path, "%s/config.yaml", b);
    known = known && config_load(&two[1], path, 0, NULL) == OK;
    if (known) config_differences(out->config_keys, sizeof out->config_keys, &two[0], &two[1]);
    free(two);
}

/* Rank of `ranks` whose stripe holds a logical element. */
static int32_t owner_of(const model_config *m, int32_t ranks, int64_t element)
{
    layout l;
    int32_t owner = -1;
    if (layout_init(&l, m, ranks > 0 ? ranks : 1) != OK) return -1;
    for (int32_t b = 0; b < l.bucket_count; b++)
        for (int32_t rank = 0; rank < l.ranks; rank++) {
            stripe_range s = layout_stripe(&l, b, rank);
            if (s.count > 0 && element >= s.logical && element < s.logical + s.count) owner = rank;
        }
    layout_deinit(&l);
    return owner;
}

static status ranks_of(int32_t *out, const char *path)
{
    char name[1200], *text;
    (void)snprintf(name, sizeof name, "%s/manifest.json", path);
    TRY(file_read_text(&text, NULL, name, 1 << 20));
    checkpoint_info info = {0};
    manifest_file files[MANIFEST_FILES];
    status s = manifest_parse(&info, files, path, text);
    free(text);
    *out = info.ranks;
    return s;
}

static status compare_weights(run_difference *out, const char *a, const char *b, const layout *l,
                              const model_config *m)
{
    float *x = malloc((size_t)l->params * 8), *y = x ? x + l->params : NULL;
    REQUIRE(x, ERR_MEMORY, "no memory for two sets of %" PRId64 " parameters", l->params);
    status s = checkpoint_read_weights(a, l, x);
    if (s == OK) s = checkpoint_read_weights(b, l, y);
    for (int32_t r = 0; s == OK && r < l->row_count && out->checkpoint < 0; r++) {
        const param_row *row = &l->rows[r];
        int64_t n = row->dim[0] * row->dim[1], first = -1;
        for (int64_t i = 0; i < n; i++) {
            if (memcmp(&x[row->offset + i], &y[row->offset + i], 4) == 0) continue;
            if (first < 0) first = i;
            out->elements++;
        }
        if (first < 0) continue;
        out->checkpoint = 0;
        out->element = first;
        out->value_a = (double)x[row->offset + first];
        out->value_b = (double)y[row->offset + first];
        (void)snprintf(out->tensor, sizeof out->tensor, "%s", row->name);
        s = ranks_of(&out->rank_a, a);
        if (s == OK) s = ranks_of(&out->rank_b, b);
        out->rank_a = owner_of(m, out->rank_a, row->offset + first);
        out->rank_b = owner_of(m, out->rank_b, row->offset + first);
    }
    free(x);
    return s;
}

static status compare_checkpoint(run_difference *out, const char *a, const char *b)
{
    model_config m, other;
    layout l;
    TRY(model_json_read(a, &m));
    TRY(model_json_read(b, &other));
    /* how weights began and learned is no shape */
    other.init_std = m.init_std;
    other.base_width = m.base_width;
    other.base_head_width = m.base_head_width;
    out->shapes = memcmp(&m, &other, sizeof m) != 0;
    if (out->shapes) return OK;
    TRY(layout_init(&l, &m, 1));
    status s = compare_weights(out, a, b, &l, &m);
    layout_deinit(&l);
    return s;
}

status compare_runs(run_difference *out, const char *a, const char *b)
{
    reader x = {0}, y = {0};
    *out = (run_difference){.step = -1, .checkpoint = -1};
    compare_configs(out, a, b);
    status s = reader_init(&x, a);
    if (s == OK) s = reader_init(&y, b);
    if (s == OK) s = compare_records(out, &x, &y);
    free(x.text);
    free(y.text);
    int64_t *steps = NULL, count = 0;
    char folder[1100];
    (void)snprintf(folder, sizeof folder, "%s/checkpoints", a);
    if (s == OK) count = checkpoint_list(folder, &steps);
    /* oldest first: the earliest difference says most */
    for (int64_t i = count - 1; s == OK && i >= 0 && out->checkpoint < 0 && !out->shapes; i--) {
        char p[1200], q[1200];
        (void)snprintf(p, sizeof p, "%s/checkpoints/step-%" PRId64, a, steps[i]);
        (void)snprintf(q, sizeof q, "%s/checkpoints/step-%" PRId64, b, steps[i]);
        if (!file_exists(q)) continue;
        s = compare_checkpoint(out, p, q);
        out->compared += !out->shapes;
        if (out->checkpoint == 0) out->checkpoint = steps[i];
    }
    free(steps);
    if (s == OK && out->steps == 0 && out->compared == 0 && out->step < 0 && !out->shapes)
        s = status_set(ERR_IO, __FILE__, __LINE__,
                       "%s and %s have no step and no checkpoint in common: nothing to compare", a,
                       b);
    return s;
}
