#include "base/json.h"

#include "base/file.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

json_t *json_at(const json_t *root, const char *path)
{
    char key[64];
    while (root && *path) {
        const size_t length = strcspn(path, ".");
        ASSERT(length < sizeof key);
        (void)snprintf(key, sizeof key, "%.*s", (int)length, path);
        root = json_object_get(root, key);
        path += length + (path[length] == '.');
    }
    return (json_t *)root;
}

double json_number_at(const json_t *root, const char *path)
{
    const json_t *value = json_at(root, path);
    return json_is_number(value) ? json_number_value(value) : (double)NAN;
}

const char *json_text_at(const json_t *root, const char *path)
{
    const char *text = json_string_value(json_at(root, path));
    return text ? text : "";
}

json_t *json_finite(double value) { return isfinite(value) ? json_real(value) : json_null(); }

status json_write(json_t *root, const char *path)
{
    const size_t flags = JSON_INDENT(1) | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(17);
    char *text = root ? json_dumps(root, flags) : NULL;
    json_decref(root);
    REQUIRE(text, ERR_MEMORY, "no memory to write %s", path);
    const status s = file_write_text(path, text, (int64_t)strlen(text));
    free(text);
    return s;
}
