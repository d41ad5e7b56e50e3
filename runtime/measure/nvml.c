#include "measure/nvml.h"

#include <dlfcn.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The few declarations of nvml.h that are used; its header is not in every toolkit. */
typedef void *nvml_handle;
typedef struct xid_event {
    nvml_handle device;
    unsigned long long type, data;
    unsigned gpu_instance, compute_instance;
} xid_event;
enum {
    NVML_OK = 0,
    NVML_TEMPERATURE_GPU = 0,
    NVML_CLOCK_SM = 1,
    NVML_CLOCK_MEMORY = 2,
    NVML_ECC_CORRECTED = 0,
    NVML_ECC_UNCORRECTED = 1,
    NVML_ECC_VOLATILE = 0,
    NVML_EVENT_XID = 8,
};
typedef unsigned long long u64;

/* name in the library, member, arguments; all return 0 for success */
#define NVML_CALLS(X)                                                                              \
    X("nvmlInit_v2", init, (void))                                                                 \
    X("nvmlShutdown", shutdown, (void))                                                            \
    X("nvmlDeviceGetCount_v2", count, (unsigned *))                                                \
    X("nvmlDeviceGetHandleByIndex_v2", find_at, (unsigned, nvml_handle *))                         \
    X("nvmlDeviceGetHandleByPciBusId_v2", find, (const char *, nvml_handle *))                     \
    X("nvmlSystemGetDriverVersion", driver, (char *, unsigned))                                    \
    X("nvmlDeviceGetName", name, (nvml_handle, char *, unsigned))                                  \
    X("nvmlDeviceGetEnforcedPowerLimit", power_limit, (nvml_handle, unsigned *))                   \
    X("nvmlDeviceGetTotalEnergyConsumption", energy, (nvml_handle, u64 *))                         \
    X("nvmlDeviceGetPowerUsage", power, (nvml_handle, unsigned *))                                 \
    X("nvmlDeviceGetTemperature", temperature, (nvml_handle, int, unsigned *))                     \
    X("nvmlDeviceGetClockInfo", clock, (nvml_handle, int, unsigned *))                             \
    X("nvmlDeviceGetMaxClockInfo", clock_most, (nvml_handle, int, unsigned *))                     \
    X("nvmlDeviceGetRemappedRows", remapped,                                                       \
      (nvml_handle, unsigned *, unsigned *, unsigned *, unsigned *))                               \
    X("nvmlDeviceGetCurrentClocksThrottleReasons", throttle, (nvml_handle, u64 *))                 \
    X("nvmlDeviceGetTotalEccErrors", ecc, (nvml_handle, int, int, u64 *))                          \
    X("nvmlEventSetCreate", events_create, (nvml_handle *))                                        \
    X("nvmlEventSetFree", events_free, (nvml_handle))                                              \
    X("nvmlDeviceRegisterEvents", events_register, (nvml_handle, u64, nvml_handle))                \
    X("nvmlEventSetWait_v2", events_wait, (nvml_handle, xid_event *, unsigned))

struct nvml {
    void *library;
    bool started;
    nvml_handle device, events;
    int64_t xid;
#define AS_MEMBER(symbol, member, args) int(*member) args;
    NVML_CALLS(AS_MEMBER)
#undef AS_MEMBER
};

/* What an older library lacks stays NULL, and its values absent. */
static void find_calls(nvml *n)
{
#define AS_LOOKUP(symbol, member, args)                                                            \
    {                                                                                              \
        void *found = dlsym(n->library, symbol);                                                   \
        memcpy(&n->member, &found, sizeof found);                                                  \
    }
    NVML_CALLS(AS_LOOKUP)
#undef AS_LOOKUP
}

static const char *open_library(nvml *n)
{
    n->library = dlopen("libnvidia-ml.so.1", RTLD_NOW | RTLD_LOCAL);
    if (!n->library) return "there is no libnvidia-ml.so.1";
    find_calls(n);
    n->started = n->init && n->init() == NVML_OK;
    return n->started ? NULL : "NVML does not start";
}

/* By bus id, or by index where there is none. */
static const char *open_all(nvml *n, const char *bus_id, int32_t index)
{
    const char *missing = open_library(n);
    if (missing) return missing;
    if (bus_id ? !n->find || n->find(bus_id, &n->device) != NVML_OK
               : !n->find_at || n->find_at((unsigned)index, &n->device) != NVML_OK)
        return "NVML does not know this GPU";
    /* errors that the driver reports by number */
    if (!n->events_create || n->events_create(&n->events) != NVML_OK) n->events = NULL;
    if (n->events && (!n->events_register || !n->events_wait ||
                      n->events_register(n->device, NVML_EVENT_XID, n->events) != NVML_OK)) {
        if (n->events_free) (void)n->events_free(n->events);
        n->events = NULL;
    }
    return NULL;
}

static nvml *open_one(const char *bus_id, int32_t index, char *why, size_t bytes)
{
    nvml *n = calloc(1, sizeof *n);
    const char *missing = n ? open_all(n, bus_id, index) : "no memory";
    if (!missing) return n;
    if (why) (void)snprintf(why, bytes, "%s", missing);
    nvml_close(n);
    return NULL;
}

nvml *nvml_open(const char *bus_id, char *why, size_t bytes)
{
    return open_one(bus_id, -1, why, bytes);
}

nvml *nvml_open_at(int32_t index, char *why, size_t bytes)
{
    return open_one(NULL, index, why, bytes);
}

int32_t nvml_count(void)
{
    unsigned count = 0;
    nvml *n = calloc(1, sizeof *n);
    if (n && !open_library(n) && (!n->count || n->count(&count) != NVML_OK)) count = 0;
    nvml_close(n);
    return (int32_t)count;
}

void nvml_close(nvml *n)
{
    if (!n) return;
    if (n->events && n->events_free) (void)n->events_free(n->events);
    if (n->started && n->shutdown) (void)n->shutdown();
    if (n->library) (void)dlclose(n->library);
    free(n);
}

/* --- values ----------------------------------------------------------------------------------- */

/* What a call left in *value, in units of 1/per. */
static double known(int code, const unsigned *value, double per)
{
    return code == NVML_OK ? (double)*value / per : (double)NAN;
}

void nvml_describe(const nvml *n, nvml_about *out)
{
    unsigned limit_mw = 0;
    *out = (nvml_about){.power_limit_w = (double)NAN};
    if (n->name && n->name(n->device, out->name, sizeof out->name) != NVML_OK) out->name[0] = 0;
    if (n->driver && n->driver(out->driver, sizeof out->driver) != NVML_OK) out->driver[0] = 0;
    if (n->power_limit)
        out->power_limit_w = known(n->power_limit(n->device, &limit_mw), &limit_mw, 1000);
}

double nvml_energy_j(const nvml *n)
{
    u64 used_mj = 0;
    if (!n->energy || n->energy(n->device, &used_mj) != NVML_OK) return (double)NAN;
    return (double)used_mj / 1000;
}

static double clock_mhz(const nvml *n, int (*call)(nvml_handle, int, unsigned *), int which)
{
    unsigned mhz = 0;
    if (!call || call(n->device, which, &mhz) != NVML_OK) return (double)NAN;
    return (double)mhz;
}

/* Rows that wait for a reset to be replaced, and rows that cannot be. */
static void read_remapped(const nvml *n, nvml_sample *out)
{
    unsigned corrected, uncorrected, pending = 0, failed = 0;
    out->remap_pending = out->remap_failed = -1;
    if (!n->remapped ||
        n->remapped(n->device, &corrected, &uncorrected, &pending, &failed) != NVML_OK)
        return;
    out->remap_pending = pending != 0;
    out->remap_failed = failed != 0;
}

static double ecc_errors(const nvml *n, int which)
{
    u64 count = 0;
    if (!n->ecc || n->ecc(n->device, which, NVML_ECC_VOLATILE, &count) != NVML_OK)
        return (double)NAN;
    return (double)count;
}

void nvml_read(nvml *n, nvml_sample *out)
{
    unsigned power_mw = 0, degrees = 0;
    u64 reasons = 0;
    xid_event event;
    *out = (nvml_sample){.energy_j = nvml_energy_j(n),
                         .power_w = (double)NAN,
                         .temperature_c = (double)NAN,
                         .sm_clock_mhz = clock_mhz(n, n->clock, NVML_CLOCK_SM),
                         .memory_clock_mhz = clock_mhz(n, n->clock, NVML_CLOCK_MEMORY),
                         .sm_clock_most_mhz = clock_mhz(n, n->clock_most, NVML_CLOCK_SM),
                         .ecc_corrected = ecc_errors(n, NVML_ECC_CORRECTED),
                         .ecc_uncorrected = ecc_errors(n, NVML_ECC_UNCORRECTED),
                         .throttle = -1};
    read_remapped(n, out);
    if (n->power) out->power_w = known(n->power(n->device, &power_mw), &power_mw, 1000);
    if (n->temperature)
        out->temperature_c =
            known(n->temperature(n->device, NVML_TEMPERATURE_GPU, &degrees), &degrees, 1);
    if (n->throttle && n->throttle(n->device, &reasons) == NVML_OK)
        out->throttle = (int64_t)reasons;
    /* events that wait are taken without waiting for more */
    while (n->events && n->events_wait(n->events, &event, 0) == NVML_OK)
        if (event.type == NVML_EVENT_XID) n->xid = (int64_t)event.data;
    out->xid = n->xid;
}

void nvml_throttle_text(int64_t throttle, char *text, size_t bytes)
{
    static const struct {
        int64_t bit;
        const char *name;
    } reasons[] = {{0x1, "idle"},        {0x2, "application clocks"}, {0x4, "power cap"},
                   {0x8, "hardware"},    {0x10, "sync boost"},        {0x20, "thermal"},
                   {0x40, "hw thermal"}, {0x80, "power brake"},       {0x100, "display"}};
    (void)snprintf(text, bytes, "%s", throttle < 0 ? "unknown" : throttle == 0 ? "none" : "");
    for (size_t i = 0; throttle > 0 && i < sizeof reasons / sizeof *reasons; i++) {
        size_t used = strlen(text);
        if (throttle & reasons[i].bit)
            (void)snprintf(text + used, bytes - used, "%s%s", used ? ", " : "", reasons[i].name);
    }
}
