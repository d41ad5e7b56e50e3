#include "train/tail.h"
#include "base/file.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static const char *text_of(const json_t *line, const char *key)
{
    const char *text = json_string_value(json_object_get(line, key));
    return text ? text : "";
}

static void take_line(record_tail *t, FILE *events, const char *text)
{
    json_t *line = json_loads(text, 0, NULL);
    if (!line) return;
    t->lines++;
    const char *type = text_of(line, "type");
    if (strcmp(type, "step") == 0) {
        t->steps++;
        t->seconds += json_number_value(json_object_get(line, "step_time_s"));
    }
    if (strcmp(type, "event") == 0) {
        t->resumes += strcmp(text_of(line, "event"), "resume") == 0;
        (void)fputs(text, events);
    }
    json_decref(line);
}

status record_tail_init(record_tail *out, const char *path, int64_t from)
{
    *out = (record_tail){0};
    size_t bytes = 0, room = 0;
    char *line = NULL;
    FILE *events = open_memstream(&out->events, &bytes);
    REQUIRE(events, ERR_MEMORY, "no memory to read %s", path);
    int fd = -1;
    status s = file_exists(path) ? file_open(&fd, path) : OK;
    FILE *file = fd >= 0 ? fdopen(fd, "r") : NULL;
    if (fd >= 0 && !file) {
        (void)close(fd);
        s = status_set(ERR_MEMORY, __FILE__, __LINE__, "no memory to read %s", path);
    }
    if (file && fseeko(file, (off_t)from, SEEK_SET) == 0)
        for (ssize_t n; (n = getline(&line, &room, file)) > 0;)
            if (line[n - 1] == '\n') take_line(out, events, line);
    free(line);
    if (file) (void)fclose(file);
    if (fclose(events) != 0 && s == OK)
        s = status_set(ERR_MEMORY, __FILE__, __LINE__, "no memory to read %s", path);
    if (s == OK && bytes > 0) out->events[bytes - 1] = '\0';
    if (s != OK) record_tail_deinit(out);
    return s;
}

void record_tail_deinit(record_tail *t)
{
    free(t->events);
    t->events = NULL;
}
