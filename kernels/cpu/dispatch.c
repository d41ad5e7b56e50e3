/* dispatch.c — which instruction paths this build holds and this machine can run. */
#include "kernels/cpu/cpu.h"

#include <stdio.h>

#if defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

typedef struct path_row {
    const char *name;
    const cpu_kernels *kernels;
    bool (*runs_here)(void);
} path_row;

extern const cpu_kernels cpu_kernels_portable;
static bool runs_portable(void) { return true; }

#if defined(__x86_64__)
extern const cpu_kernels cpu_kernels_avx2, cpu_kernels_avx512;

static bool runs_avx2(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

static bool runs_avx512(void)
{
    return runs_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}
#endif

static const path_row paths[PATHS] = {
    [PATH_PORTABLE] = {"portable", &cpu_kernels_portable, runs_portable},
#if defined(__x86_64__)
    [PATH_AVX2] = {"avx2", &cpu_kernels_avx2, runs_avx2},
    [PATH_AVX512] = {"avx512", &cpu_kernels_avx512, runs_avx512},
#endif
};

bool path_available(cpu_path path) { return paths[path].kernels && paths[path].runs_here(); }
const char *path_name(cpu_path path) { return paths[path].name; }
const cpu_kernels *path_kernels(cpu_path path) { return paths[path].kernels; }

status path_choose(cpu_path *out, const char *name)
{
    char allowed[128] = "auto";
    cpu_path best = PATH_PORTABLE;
    for (int p = 0; p < PATHS; p++) {
        if (!path_available((cpu_path)p)) continue;
        if (strcmp(paths[p].name, name) == 0) {
            *out = (cpu_path)p;
            return OK;
        }
        best = (cpu_path)p;
        const size_t used = strlen(allowed);
        snprintf(allowed + used, sizeof allowed - used, ", %s", paths[p].name);
    }
    REQUIRE(strcmp(name, "auto") == 0, ERR_CONFIG,
            "cpu path: '%s' does not run on this machine or build; allowed: %s", name, allowed);
    *out = best;
    return OK;
}
