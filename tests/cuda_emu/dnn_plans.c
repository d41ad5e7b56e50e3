/* dnn_plans.c — asks the real cuDNN, without a GPU, for plans of our attention on a GPU that is
 * only described: dnn_plans CAPABILITY B T NH NKV HS, e.g. 900 4 1024 12 12 64. Prints what it
 * says. The script beside it gives it the library and a driver that loads everything and runs
 * nothing. */
#include "kernels/cuda/dnn_attention.h"

#include <stdio.h>
#include <stdlib.h>

/* An H200 (900) as its driver describes it; of others only what the library looks at differs. */
static const char properties[] =
    "{\"maxGridSize\": [2147483647, 65535, 65535], \"maxBlockSize\": [1024, 1024, 64], "
    "\"regsPerBlock\": 65536, \"multiProcessorCount\": 132, \"warpSize\": 32, "
    "\"maxSharedMemoryPerBlock\": 49152, \"maxSharedMemoryPerBlockOptin\": %d, "
    "\"reservedSharedMemoryPerBlock\": 1024, \"maxRegistersPerSM\": 65536, \"maxCtasPerSM\": 32, "
    "\"maxThreadsPerBlock\": 1024, \"maxThreadsPerSM\": 2048, \"pciDeviceId\": 0, "
    "\"isTccDriver\": 0, \"supportCoopLaunch\": 1, \"totalGlobalMem\": 150754820096, "
    "\"smClockRateKHz\": 1980000, \"memClockRateKHz\": 3201000, \"l2CacheSize\": 62914560, "
    "\"cudaDeviceId\": 0, \"deviceVer\": %d, \"driverVer\": 13000, \"deviceName\": \"GPU\"}";

int main(int argc, char **argv)
{
    if (argc != 7) return 2;
    const int capability = atoi(argv[1]);
    const op_shapes shapes = {.B = atoi(argv[2]),
                              .T = atoi(argv[3]),
                              .NH = atoi(argv[4]),
                              .NKV = atoi(argv[5]),
                              .HS = atoi(argv[6]),
                              .act = DTYPE_BF16};
    char json[1200], version[32];
    (void)snprintf(json, sizeof json, properties, capability >= 900 ? 232448 : 166912, capability);
    dnn_attention *a;
    if (dnn_attention_open(&a, &shapes, NULL, json) != OK) {
        fprintf(stderr, "%s\n", status_message());
        return 1;
    }
    dnn_attention_version(a, version, sizeof version);
    printf("cuDNN %s: %lld bytes of scratch\n", version, (long long)dnn_attention_workspace(a));
    dnn_attention_close(a);
    return 0;
}
