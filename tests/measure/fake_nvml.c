/* fake_nvml.c — a management library with one GPU whose meter runs; built as libnvidia-ml.so.1. */
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
    *out = &gpu;
    return strcmp(bus, "0000:1B:00.0") == 0 ? 0 : 6;
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
    *out = 0x24;
    return 0;
}
