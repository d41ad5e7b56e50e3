/* LD_PRELOAD: a clock that is SHIM_CLOCK_S seconds off, SHIM_JUMP_S more after some calls, and with
 * SHIM_NO_LOCKS a file system without file locks; SHIM_LOG is the kernel's log. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>

int flock(int fd, int operation)
{
    (void)fd, (void)operation;
    if (getenv("SHIM_NO_LOCKS")) {
        errno = ENOLCK;
        return -1;
    }
    int (*real)(int, int);
    *(void **)&real = dlsym(RTLD_NEXT, "flock");
    return real(fd, operation);
}

int open(const char *path, int flags, ...)
{
    int (*real)(const char *, int, ...);
    va_list rest;
    va_start(rest, flags);
    unsigned mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, unsigned) : 0;
    va_end(rest);
    *(void **)&real = dlsym(RTLD_NEXT, "open");
    if (getenv("SHIM_LOG") && strcmp(path, "/dev/kmsg") == 0) path = getenv("SHIM_LOG");
    return real(path, flags, mode);
}

static long offset(void)
{
    static long calls = 0;
    const char *constant = getenv("SHIM_CLOCK_S"), *jump = getenv("SHIM_JUMP_S");
    long seconds = constant ? atol(constant) : 0;
    if (jump && ++calls > 20) seconds += atol(jump);
    return seconds;
}

int clock_gettime(clockid_t id, struct timespec *out)
{
    int (*real)(clockid_t, struct timespec *);
    *(void **)&real = dlsym(RTLD_NEXT, "clock_gettime");
    int code = real(id, out);
    if (code == 0 && id == CLOCK_REALTIME) out->tv_sec += offset();
    return code;
}

time_t time(time_t *out)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    if (out) *out = now.tv_sec;
    return now.tv_sec;
}
