/* GPUs of the nodes as driver and kernel log show them: memory errors, clocks, versions. */
#include "doctor/doctor.h"
#include "measure/nvml.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LOG_BYTES = 8192, LOG_RECORDS = 100000, NODE_GPUS = 16 };

typedef struct node_gpu {
    bool known, remap; /* remap: rows of memory wait to be replaced, or cannot be */
    char name[64];
    double ecc_uncorrected, sm_clock_most_mhz; /* NaN unknown                   */
    int64_t throttle, xid;
} node_gpu;

/* Of a node, by its first rank; gathered as bytes. */
typedef struct node_gpus {
    int32_t count;
    long long xid_in_log;
    node_gpu gpu[NODE_GPUS];
} node_gpus;

/* What a library of this process says of its version; 0 where the program does not bring it. */
static int library_version(const char *function)
{
    int number = 0, (*ask)(int *) = NULL;
    void *found = dlsym(RTLD_DEFAULT, function);
    memcpy(&ask, &found, sizeof ask);
    return ask && ask(&number) == 0 ? number : 0;
}

/* Of this process: the driver's version, and those of CUDA and NCCL where the program has them. */
void doctor_gpu_versions(char *out, size_t bytes)
{
    nvml_about about = {.driver = ""};
    int cuda = library_version("cudaRuntimeGetVersion"), nccl = library_version("ncclGetVersion");
    char driver[80] = "", runtime[32] = "", collectives[32] = "";
    nvml *n = nvml_count() ? nvml_open_at(0, NULL, 0) : NULL;
    if (n) nvml_describe(n, &about);
    nvml_close(n);
    if (about.driver[0]) (void)snprintf(driver, sizeof driver, ", driver %.60s", about.driver);
    if (cuda)
        (void)snprintf(runtime, sizeof runtime, ", CUDA %d.%d", cuda / 1000, cuda % 1000 / 10);
    if (nccl)
        (void)snprintf(collectives, sizeof collectives, ", NCCL %d.%d.%d", nccl / 10000,
                       nccl / 100 % 100, nccl % 100);
    (void)snprintf(out, bytes, "%s%s%s", driver, runtime, collectives);
}

/* Errors that mean hardware or driver, not the program: NVIDIA's list of XID numbers. */
static bool of_hardware(long long xid)
{
    static const short numbers[] = {48, 61, 62, 63, 64, 74, 79, 92, 94, 95, 109, 119, 120, 140};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (numbers[i] == xid) return true;
    return false;
}

/* The newest such error the kernel log still holds, where it may be read; 0 none. */
static long long xid_in_log(void)
{
    static const char mark[] = "NVRM: Xid (PCI:";
    char text[LOG_BYTES];
    long long newest = 0, number;
    int fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) return 0;
    for (int i = 0; i < LOG_RECORDS; i++) { // one record at a time, or a piece of a file
        ssize_t got = read(fd, text, sizeof text - 1);
        if (got <= 0) break;
        text[got] = '\0';
        for (char *at = text; (at = strstr(at, mark)); at++)
            if (sscanf(at + sizeof mark - 1, "%*[^)]): %lld", &number) == 1 && of_hardware(number))
                newest = number;
    }
    (void)close(fd);
    return newest;
}

static void look_at(node_gpu *out, int32_t index)
{
    nvml_about about;
    nvml_sample s;
    nvml *n = nvml_open_at(index, NULL, 0);
    *out = (node_gpu){.ecc_uncorrected = (double)NAN, .throttle = -1};
    if (!n) return;
    nvml_describe(n, &about);
    nvml_read(n, &s);
    nvml_close(n);
    out->known = true;
    (void)snprintf(out->name, sizeof out->name, "%.60s", about.name);
    out->ecc_uncorrected = s.ecc_uncorrected;
    out->remap = s.remap_pending == 1 || s.remap_failed == 1;
    out->throttle = s.throttle;
    out->xid = s.xid;
    out->sm_clock_most_mhz = s.sm_clock_most_mhz;
}

static void look_at_all(node_gpus *out)
{
    *out = (node_gpus){.count = nvml_count()};
    if (out->count > NODE_GPUS) out->count = NODE_GPUS;
    for (int32_t i = 0; i < out->count; i++) look_at(&out->gpu[i], i);
    if (out->count) out->xid_in_log = xid_in_log();
}

static void judge(doctor_report *r, const char *where, const node_gpu *g)
{
    char why[120];
    /* bits of nvmlClocksEventReasons: slowed by hardware, heat or the power supply */
    const int64_t slowed = g->throttle & (0x8 | 0x20 | 0x40 | 0x80);
    if (g->ecc_uncorrected > 0)
        doctor_add(r, "gpu", true, where, "leave the node out (--exclude), and have the GPU reset",
                   "%.0f uncorrected memory errors (ECC) since the driver was loaded",
                   g->ecc_uncorrected);
    if (g->remap)
        doctor_add(r, "gpu", true, where, "leave the node out (--exclude), and have the GPU reset",
                   "rows of its memory wait to be replaced");
    if (of_hardware(g->xid))
        doctor_add(r, "gpu", true, where, "leave the node out (--exclude); see its kernel log",
                   "the driver reports XID %lld", (long long)g->xid);
    if (g->throttle > 0 && slowed) {
        nvml_throttle_text(slowed, why, sizeof why);
        doctor_add(r, "gpu", true, where,
                   "leave the node out (--exclude), have its cooling looked at",
                   "its clocks are held down: %s", why);
    }
    if (g->sm_clock_most_mhz > 0 && r->gpu_clock_mhz > 0 &&
        g->sm_clock_most_mhz < 0.9 * r->gpu_clock_mhz)
        doctor_add(r, "gpu", true, where, "nvidia-smi -rgc on the node (clocks were limited)",
                   "its clock goes to %.0f MHz at most, others to %.0f", g->sm_clock_most_mhz,
                   r->gpu_clock_mhz);
}

status doctor_gpus(doctor_report *r, world *w)
{
    node_gpus mine = {0};
    char where[DOCTOR_TEXT];
    if (world_local_rank(w) == 0) look_at_all(&mine);
    node_gpus *all = calloc((size_t)r->ranks, sizeof *all);
    ASSERT(all);
    status s = world_gather(w, all, &mine, sizeof mine);
    for (int32_t i = 0; s == OK && i < r->ranks; i++)
        for (int32_t k = 0; k < all[i].count; k++)
            r->gpu_clock_mhz = fmax(r->gpu_clock_mhz, all[i].gpu[k].sm_clock_most_mhz);
    for (int32_t i = 0; s == OK && i < r->ranks; i++) {
        const rank_place *p = &r->places[i];
        const char *node = p->node[0] ? p->node : p->host;
        for (int32_t k = 0; k < all[i].count; k++) {
            (void)snprintf(where, sizeof where, "GPU %d on %s", k, node);
            if (all[i].gpu[k].known) judge(r, where, &all[i].gpu[k]);
        }
        if (all[i].xid_in_log)
            doctor_add(r, "gpu", true, node, "leave the node out (--exclude), have it restarted",
                       "its kernel log has XID %lld", (long long)all[i].xid_in_log);
        r->gpu_count += all[i].count;
    }
    free(all);
    return s;
}
