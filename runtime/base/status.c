#include "base/status.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MESSAGE_BYTES = 1024 };
static _Thread_local char message[MESSAGE_BYTES];

/* Names of files and values may hold line ends and escape codes; a message is one line of text. */
static void keep_one_line(char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < ' ' || *text == 0x7f) *text = '?';
}

status status_set(status code, const char *file, int line, const char *format, ...)
{
    char text[MESSAGE_BYTES];
    va_list args;
    va_start(args, format);
    int used = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    /* an internal error also says where in the source it was noticed */
    if (code == ERR_INTERNAL && used >= 0 && used < MESSAGE_BYTES - 64)
        (void)snprintf(text + used, sizeof text - (size_t)used, " (%s:%d)", file, line);
    keep_one_line(text);
    memcpy(message, text, sizeof message);
    return code;
}

const char *status_message(void) { return message; }

status status_prefix(status code, const char *format, ...)
{
    char prefix[MESSAGE_BYTES], text[2 * MESSAGE_BYTES + 4];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(prefix, sizeof prefix, format, args);
    va_end(args);
    (void)snprintf(text, sizeof text, "%s: %s", prefix, message);
    text[MESSAGE_BYTES - 1] = '\0';
    keep_one_line(text);
    memcpy(message, text, MESSAGE_BYTES);
    return code;
}

const char *status_name(status code)
{
    switch (code) {
    case OK:
        return "ok";
    case ERR_INTERNAL:
        return "internal";
    case ERR_CONFIG:
        return "config";
    case ERR_IO:
        return "io";
    case ERR_MEMORY:
        return "memory";
    case ERR_DEVICE:
        return "device";
    case ERR_COMM:
        return "communication";
    case ERR_NUMERIC:
        return "numeric";
    case FOUND:
        return "found";
    case INTERRUPTED:
        return "interrupted";
    }
    return "unknown";
}

_Noreturn void assert_failed(const char *file, int line, const char *condition)
{
    (void)fprintf(stderr, "%s:%d: assertion failed: %s\n", file, line, condition);
    abort();
}
