/* LD_PRELOAD: another machine than this one.
 *   SHIM_CLOCK_S, SHIM_JUMP_S   the clock is so many seconds off; so many more after some calls
 *   SHIM_SLOWER                 a thread seems to have worked that many times as long
 *   SHIM_NO_LOCKS               a file system without file locks
 *   SHIM_NO_LINKS               a file system without second names of files
 *   SHIM_LOG                    the kernel's log
 *   SHIM_INTERRUPTED            every other fsync is interrupted by a signal
 *   SHIM_ROOT                   a folder whose files hide those of the same path
 *   SHIM_JOULES                 a package whose meter goes on by so much at each reading
 *   SHIM_CORES                  the processors this process may use: 0,1
 *   SHIM_CUDA, SHIM_NCCL        versions of these libraries, as they give them
 *   SHIM_SEND_US                what goes to another host leaves so many microseconds late
 *   SHIM_SEND_TO                only what goes to this address does */
#include <arpa/inet.h>
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

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

int link(const char *from, const char *to)
{
    if (getenv("SHIM_NO_LINKS")) {
        errno = EPERM;
        return -1;
    }
    int (*real)(const char *, const char *);
    *(void **)&real = dlsym(RTLD_NEXT, "link");
    return real(from, to);
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

int fsync(int fd)
{
    static _Atomic int calls;
    if (getenv("SHIM_INTERRUPTED") && calls++ % 2 == 0) {
        errno = EINTR;
        return -1;
    }
    int (*real)(int);
    *(void **)&real = dlsym(RTLD_NEXT, "fsync");
    return real(fd);
}

/* the path that stands for it */
static const char *instead(const char *path, char *text, size_t bytes)
{
    const char *root = getenv("SHIM_ROOT");
    struct stat about;
    if (!root || path[0] != '/') return path;
    (void)snprintf(text, bytes, "%s%s", root, path);
    return stat(text, &about) == 0 ? text : path;
}

/* The meter of a package, which begins again after 1000 J, and one of the whole platform, which
 * holds the package's joules too. NULL: another file. */
static FILE *meter(const char *path)
{
    static const char folder[] = "/sys/class/powercap/intel-rapl:";
    static const char *const names[] = {"psys", "package-0"};
    static const long long range_uj = 262143328850;
    static long long now_uj[2] = {0, 261143328850};
    static char text[32];
    const char *joules = getenv("SHIM_JOULES");
    if (!joules || strncmp(path, folder, sizeof folder - 1) != 0) return NULL;
    const int zone = path[sizeof folder - 1] - '0';
    const char *file = path + sizeof folder + 1;
    if ((zone != 0 && zone != 1) || file[-1] != '/') return NULL;
    if (strcmp(file, "energy_uj") == 0)
        now_uj[zone] = (now_uj[zone] + atoll(joules) * 1000000) % range_uj;
    if (strcmp(file, "name") == 0)
        (void)snprintf(text, sizeof text, "%s\n", names[zone]);
    else
        (void)snprintf(text, sizeof text, "%lld\n",
                       strcmp(file, "energy_uj") == 0 ? now_uj[zone] : range_uj);
    return fmemopen(text, strlen(text), "r");
}

FILE *fopen(const char *path, const char *mode)
{
    char text[4096];
    FILE *metered = meter(path);
    if (metered) return metered;
    FILE *(*real)(const char *, const char *);
    *(void **)&real = dlsym(RTLD_NEXT, "fopen");
    return real(instead(path, text, sizeof text), mode);
}

int scandir(const char *path, struct dirent ***out, int (*wanted)(const struct dirent *),
            int (*order)(const struct dirent **, const struct dirent **))
{
    char text[4096];
    int (*real)(const char *, struct dirent ***, int (*)(const struct dirent *),
                int (*)(const struct dirent **, const struct dirent **));
    *(void **)&real = dlsym(RTLD_NEXT, "scandir");
    return real(instead(path, text, sizeof text), out, wanted, order);
}

int access(const char *path, int mode)
{
    char text[4096];
    int (*real)(const char *, int);
    *(void **)&real = dlsym(RTLD_NEXT, "access");
    return real(instead(path, text, sizeof text), mode);
}

int sched_getaffinity(pid_t pid, size_t bytes, cpu_set_t *out)
{
    const char *list = getenv("SHIM_CORES");
    int (*real)(pid_t, size_t, cpu_set_t *);
    *(void **)&real = dlsym(RTLD_NEXT, "sched_getaffinity");
    int code = real(pid, bytes, out);
    if (code != 0 || pid != 0 || !list) return code;
    CPU_ZERO_S(bytes, out);
    for (char *at = (char *)list; *at;) {
        CPU_SET_S((size_t)strtoul(at, &at, 10), bytes, out);
        if (*at) at++;
    }
    return 0;
}

static int version(const char *variable, const char *function, int *out)
{
    const char *text = getenv(variable);
    int (*real)(int *);
    *(void **)&real = dlsym(RTLD_NEXT, function);
    if (!text) return real ? real(out) : 1;
    *out = atoi(text);
    return 0;
}

int ncclGetVersion(int *out);
int ncclGetVersion(int *out) { return version("SHIM_NCCL", "ncclGetVersion", out); }
int cudaRuntimeGetVersion(int *out);
int cudaRuntimeGetVersion(int *out) { return version("SHIM_CUDA", "cudaRuntimeGetVersion", out); }

static int goes_late(int fd)
{
    const char *only = getenv("SHIM_SEND_TO");
    struct sockaddr_in to;
    socklen_t bytes = sizeof to;
    char text[INET_ADDRSTRLEN];
    if (getpeername(fd, (struct sockaddr *)&to, &bytes) != 0 || to.sin_family != AF_INET) return 0;
    return !only || strcmp(inet_ntop(AF_INET, &to.sin_addr, text, sizeof text), only) == 0;
}
/* MPI sends over TCP by writev */
ssize_t writev(int fd, const struct iovec *pieces, int count)
{
    const char *late = getenv("SHIM_SEND_US");
    ssize_t (*real)(int, const struct iovec *, int);
    *(void **)&real = dlsym(RTLD_NEXT, "writev");
    if (late && goes_late(fd)) (void)usleep((useconds_t)atoi(late));
    return real(fd, pieces, count);
}

static long offset(void)
{
    static long calls = 0;
    const char *constant = getenv("SHIM_CLOCK_S"), *jump = getenv("SHIM_JUMP_S");
    long seconds = constant ? atol(constant) : 0;
    if (jump && ++calls > 20) seconds += atol(jump);
    return seconds;
}

static void slow_down(struct timespec *t)
{
    double much = ((double)t->tv_sec + 1e-9 * (double)t->tv_nsec) * atof(getenv("SHIM_SLOWER"));
    t->tv_sec = (time_t)much;
    t->tv_nsec = (long)(1e9 * (much - (double)t->tv_sec));
}

int clock_gettime(clockid_t id, struct timespec *out)
{
    int (*real)(clockid_t, struct timespec *);
    *(void **)&real = dlsym(RTLD_NEXT, "clock_gettime");
    int code = real(id, out);
    if (code == 0 && id == CLOCK_REALTIME) out->tv_sec += offset();
    if (code == 0 && id == CLOCK_THREAD_CPUTIME_ID && getenv("SHIM_SLOWER")) slow_down(out);
    return code;
}

time_t time(time_t *out)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    if (out) *out = now.tv_sec;
    return now.tv_sec;
}
