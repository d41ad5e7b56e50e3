/* fake_nvml.c — a management library with one GPU whose meter runs; built as libnvidia-ml.so.1.
 * What is wrong with it: FAKE_ECC, FAKE_THROTTLE, FAKE_XID, FAKE_REMAP; FAKE_DRIVER its version;
 * FAKE_CLOCK the MHz it can reach. */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

typedef void *handle;
static int gpu;
static unsigned long long used_mj = 5000;

#define CALL int __attribute__((visibility("default")))
CALL nvmlInit_v2(void);
CALL nvmlInit_v2(void) { return 0; }
CALL nvmlShutdown(void);
CALL nvmlShutdown(void) { return 0; }
CALL nvmlDeviceGetHandleByPciBusId_v2(const char *bus, handle *out);
CALL nvmlDeviceGetHandleByPciBusId_v2(const char *bus, handle *out)
{
    /* also those of the pretended device: 0000:00:00.0 to 0000:07:00.0 */
    bool pretended = strncmp(bus, "0000:0", 6) == 0 && bus[6] < '8' && !strcmp(bus + 7, ":00.0");
    *out = &gpu;
    return pretended || strcmp(bus, "0000:1B:00.0") == 0 ? 0 : 6;
}
CALL nvmlDeviceGetCount_v2(unsigned *out);
CALL nvmlDeviceGetCount_v2(unsigned *out)
{
    *out = 1;
    return 0;
}
CALL nvmlDeviceGetHandleByIndex_v2(unsigned index, handle *out);
CALL nvmlDeviceGetHandleByIndex_v2(unsigned index, handle *out)
{
    *out = &gpu;
    return index == 0 ? 0 : 2;
}
/* 3, not supported, unless the variable is set */
static int from_environment(const char *name, unsigned long long *out)
{
    const char *text = getenv(name);
    *out = text ? strtoull(text, NULL, 0) : 0;
    return text ? 0 : 3;
}
CALL nvmlSystemGetDriverVersion(char *out, unsigned bytes);
CALL nvmlSystemGetDriverVersion(char *out, unsigned bytes)
{
    const char *text = getenv("FAKE_DRIVER");
    strncpy(out, text ? text : "", bytes);
    return text ? 0 : 3;
}
CALL nvmlDeviceGetTotalEccErrors(handle h, int type, int counter, unsigned long long *out);
CALL nvmlDeviceGetTotalEccErrors(handle h, int type, int counter, unsigned long long *out)
{
    (void)h, (void)counter;
    return type == 1 ? from_environment("FAKE_ECC", out) : 3;
}
CALL nvmlDeviceGetRemappedRows(handle h, unsigned *c, unsigned *u, unsigned *p, unsigned *f);
CALL nvmlDeviceGetRemappedRows(handle h, unsigned *c, unsigned *u, unsigned *p, unsigned *f)
{
    unsigned long long pending;
    int code = from_environment("FAKE_REMAP", &pending);
    (void)h;
    *c = *u = *f = 0;
    *p = (unsigned)pending;
    return code;
}
CALL nvmlEventSetCreate(handle *out);
CALL nvmlEventSetCreate(handle *out)
{
    *out = &gpu;
    return getenv("FAKE_XID") ? 0 : 3;
}
CALL nvmlDeviceRegisterEvents(handle h, unsigned long long types, handle set);
CALL nvmlDeviceRegisterEvents(handle h, unsigned long long types, handle set)
{
    (void)h, (void)set;
    return types == 8 ? 0 : 2;
}
typedef struct event {
    handle device;
    unsigned long long type, data;
    unsigned gpu_instance, compute_instance;
} event;
CALL nvmlEventSetWait_v2(handle set, event *out, unsigned patience_ms);
CALL nvmlEventSetWait_v2(handle set, event *out, unsigned patience_ms)
{
    static int waiting = 1;
    unsigned long long number;
    (void)set, (void)patience_ms;
    if (!waiting || from_environment("FAKE_XID", &number) != 0) return 10;
    waiting = 0;
    *out = (event){.device = &gpu, .type = 8, .data = number};
    return 0;
}
CALL nvmlDeviceGetName(handle h, char *out, unsigned bytes);
CALL nvmlDeviceGetName(handle h, char *out, unsigned bytes)
{
    (void)h;
    strncpy(out, "a GPU", bytes);
    return 0;
}
CALL nvmlDeviceGetTotalEnergyConsumption(handle h, unsigned long long *out);
CALL nvmlDeviceGetTotalEnergyConsumption(handle h, unsigned long long *out)
{
    (void)h;
    *out = used_mj += 250;
    return 0;
}
CALL nvmlDeviceGetPowerUsage(handle h, unsigned *out);
CALL nvmlDeviceGetPowerUsage(handle h, unsigned *out)
{
    (void)h;
    *out = 698500;
    return 0;
}
CALL nvmlDeviceGetMaxClockInfo(handle h, int which, unsigned *out);
CALL nvmlDeviceGetMaxClockInfo(handle h, int which, unsigned *out)
{
    unsigned long long mhz;
    int code = from_environment("FAKE_CLOCK", &mhz);
    (void)h, (void)which;
    *out = (unsigned)mhz;
    return code;
}
/* not supported by this GPU */
CALL nvmlDeviceGetTemperature(handle h, int which, unsigned *out);
CALL nvmlDeviceGetTemperature(handle h, int which, unsigned *out)
{
    (void)h, (void)which;
    *out = 99;
    return 3;
}
CALL nvmlDeviceGetCurrentClocksThrottleReasons(handle h, unsigned long long *out);
CALL nvmlDeviceGetCurrentClocksThrottleReasons(handle h, unsigned long long *out)
{
    (void)h;
    if (from_environment("FAKE_THROTTLE", out) != 0) *out = 0x24;
    return 0;
}
