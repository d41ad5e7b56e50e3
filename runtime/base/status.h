/* status.h — how operating errors travel.
 * A function that can fail returns a status. The place that knows the cause writes one message
 * (thread-local); callers only pass the status up; the top of the program prints it once.
 * Programmer errors are ASSERTs and end the process, also in release builds.               */
#ifndef BASE_STATUS_H
#define BASE_STATUS_H

#include <stdbool.h>
#include <stddef.h>

/* The values are the exit codes of the process. */
typedef enum status {
    OK = 0,
    ERR_INTERNAL = 1, /* a bug                                                  */
    ERR_CONFIG = 2,   /* usage, config, or something not supported              */
    ERR_IO = 3,       /* a file is missing, damaged or cannot be written        */
    ERR_MEMORY = 4,   /* out of memory                                          */
    ERR_DEVICE = 5,   /* an accelerator failed                                  */
    ERR_COMM = 6,     /* communication, or a peer, failed                       */
    ERR_NUMERIC = 7,  /* non-finite values beyond the configured limit          */
    FOUND = 10,       /* not an error: doctor or diff found something to report */
    INTERRUPTED = 75, /* stopped by a signal after writing a checkpoint         */
} status;

/* Replaces the message of this thread; returns code. printf-style. */
status status_set(status code, const char *file, int line, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* The message of the last failure on this thread; "" if there was none. Borrowed. */
const char *status_message(void);
/* "config", "io", ... for a code. */
const char *status_name(status code);
/* Puts "prefix: " before the current message, once, e.g. the file being read. */
status status_prefix(status code, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Prints file:line and the condition, then aborts. */
_Noreturn void assert_failed(const char *file, int line, const char *condition);

#define FAIL(code, ...) return status_set((code), __FILE__, __LINE__, __VA_ARGS__)
#define REQUIRE(cond, code, ...)                                                                   \
    do {                                                                                           \
        if (!(cond)) FAIL((code), __VA_ARGS__);                                                    \
    } while (0)
#define TRY(call)                                                                                  \
    do {                                                                                           \
        status try_s_ = (call);                                                                    \
        if (try_s_ != OK) return try_s_;                                                           \
    } while (0)
#define ASSERT(cond)                                                                               \
    do {                                                                                           \
        if (!(cond)) assert_failed(__FILE__, __LINE__, #cond);                                     \
    } while (0)

#endif
