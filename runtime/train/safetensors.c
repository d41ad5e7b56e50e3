#include "train/safetensors.h"
#include "base/file.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { HEADER_MAX = 100000000, LINE_BYTES = 256 };

status safetensors_header(char **out, int64_t *header_bytes, const layout *l, int copies,
                          const char *const *prefix)
{
    size_t capacity = 64 + (size_t)l->row_count * (size_t)copies * LINE_BYTES, used = 8;
    char *text = malloc(capacity);
    REQUIRE(text, ERR_MEMORY, "cannot reserve a checkpoint header");
    used += (size_t)snprintf(text + used, capacity - used, "{\"__metadata__\":{\"format\":\"pt\"}");
    for (int c = 0; c < copies; c++)
        for (int32_t r = 0; r < l->row_count; r++) {
            const param_row *row = &l->rows[r];
            int64_t begin = (c * l->params + row->offset) * 4,
                    end = begin + row->dim[0] * row->dim[1] * 4;
            char shape[64];
            if (row->axes == 2)
                (void)snprintf(shape, sizeof shape, "%" PRId64 ",%" PRId64, row->dim[0],
                               row->dim[1]);
            else
                (void)snprintf(shape, sizeof shape, "%" PRId64, row->dim[0]);
            used += (size_t)
                snprintf(text + used, capacity - used,
                         ",\"%s%s\":{\"dtype\":\"F32\",\"shape\":[%s],\"data_offsets\":[%" PRId64
                         ",%" PRId64 "]}",
                         prefix[c], row->name, shape, begin, end);
            ASSERT(used < capacity);
        }
    text[used++] = '}';
    while (used % 64) text[used++] = ' ';
    uint64_t length = used - 8;
    memcpy(text, &length, 8);
    *out = text;
    *header_bytes = (int64_t)used;
    return OK;
}

/* One row's entry in the header against what the model expects. */
static status check_entry(safetensors_map *out, const char *path, const json_t *root,
                          const layout *l, int32_t r, const char *prefix)
{
    const param_row *row = &l->rows[r];
    char name[96];
    (void)snprintf(name, sizeof name, "%s%s", prefix, row->name);
    const json_t *entry = json_object_get(root, name);
    REQUIRE(entry, ERR_IO, "%s: tensor %s is missing", path, name);
    const char *type = json_string_value(json_object_get(entry, "dtype"));
    REQUIRE(type && strcmp(type, "F32") == 0, ERR_IO, "%s: tensor %s has type %s; only F32 is read",
            path, name, type ? type : "?");
    const json_t *shape = json_object_get(entry, "shape"),
                 *range = json_object_get(entry, "data_offsets");
    bool fits = (int32_t)json_array_size(shape) == row->axes;
    for (int32_t i = 0; fits && i < row->axes; i++)
        fits = json_integer_value(json_array_get(shape, (size_t)i)) == row->dim[i];
    REQUIRE(fits, ERR_IO, "%s: tensor %s has another shape than (%" PRId64 ", %" PRId64 ")", path,
            name, row->dim[0], row->dim[1]);
    int64_t begin = json_integer_value(json_array_get(range, 0)),
            end = json_integer_value(json_array_get(range, 1));
    REQUIRE(begin >= 0 && begin <= out->bytes && end <= out->bytes - out->data &&
                end - begin == row->dim[0] * row->dim[1] * 4,
            ERR_IO,
            "%s: tensor %s has the byte range %" PRId64 "..%" PRId64
            ", outside the file or of wrong length",
            path, name, begin, end);
    out->offset[r] = out->data + begin;
    return OK;
}

static status parse_header(safetensors_map *out, const char *path, const char *text, size_t bytes,
                           const layout *l, const char *prefix)
{
    json_error_t error;
    json_t *root = json_loadb(text, bytes, JSON_REJECT_DUPLICATES, &error);
    status s = OK;
    if (!json_is_object(root))
        s = status_set(ERR_IO, __FILE__, __LINE__, "%s: the header is not a JSON object: %s", path,
                       root ? "it is another value" : error.text);
    for (int32_t r = 0; s == OK && r < l->row_count; r++)
        s = check_entry(out, path, root, l, r, prefix);
    json_decref(root);
    return s;
}

status safetensors_map_init(safetensors_map *out, const char *path, int fd, const layout *l,
                            const char *prefix)
{
    struct stat about;
    uint64_t length = 0;
    *out = (safetensors_map){0};
    REQUIRE(fstat(fd, &about) == 0 && about.st_size >= 10, ERR_IO,
            "%s: too short for a safetensors file", path);
    TRY(file_read_at(fd, path, 0, &length, 8));
    REQUIRE(length >= 2 && length <= HEADER_MAX && length <= (uint64_t)about.st_size - 8, ERR_IO,
            "%s: the header would be %" PRIu64 " bytes long in a file of %lld", path, length,
            (long long)about.st_size);
    char *text = malloc(length);
    out->offset = calloc((size_t)l->row_count, sizeof *out->offset);
    out->data = 8 + (int64_t)length;
    out->bytes = about.st_size;
    status s = text && out->offset ? file_read_at(fd, path, 8, text, (int64_t)length)
                                   : status_set(ERR_MEMORY, __FILE__, __LINE__,
                                                "%s: no memory for the header", path);
    if (s == OK) s = parse_header(out, path, text, length, l, prefix);
    free(text);
    if (s != OK) safetensors_map_deinit(out);
    return s;
}

void safetensors_map_deinit(safetensors_map *m)
{
    free(m->offset);
    *m = (safetensors_map){0};
}

status safetensors_read(const safetensors_map *m, const char *path, int fd, const layout *l,
                        int64_t first, int64_t count, float *out)
{
    for (int32_t r = 0; r < l->row_count; r++) {
        const param_row *row = &l->rows[r];
        int64_t low = first > row->offset ? first : row->offset,
                end = row->offset + row->dim[0] * row->dim[1];
        int64_t high = first + count < end ? first + count : end;
        if (low < high)
            TRY(file_read_at(fd, path, m->offset[r] + (low - row->offset) * 4, out + (low - first),
                             (high - low) * 4));
    }
    return OK;
}
