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
extern const cpu_kernels cpu_kernels_avx2, cpu_kernels_avx512, cpu_kernels_amx;

static bool runs_avx2(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

static bool runs_avx512(void)
{
    return runs_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}

/* The unit's state is large, so Linux hands it out on request only (kernel 5.16 and later). */
static bool amx_granted(void)
{
    enum { ARCH_REQ_XCOMP_PERM = 0x1023, XFEATURE_XTILEDATA = 18 };
    return syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0;
}

static bool runs_amx(void)
{
    unsigned a, b, c, d;
    if (!runs_avx512() || !__get_cpuid_count(7, 0, &a, &b, &c, &d)) return false;
    const bool vbmi = (c >> 1 & 1) != 0;
    const bool tiles = (d >> 24 & 1) != 0, products = (d >> 22 & 1) != 0;
    if (!tiles || !products || !vbmi || !__get_cpuid_count(7, 1, &a, &b, &c, &d)) return false;
    const bool avx512_bf16 = (a >> 5 & 1) != 0;
    return avx512_bf16 && amx_granted();
}
#endif

static const path_row paths[PATHS] = {
    [PATH_PORTABLE] = {"portable", &cpu_kernels_portable, runs_portable},
#if defined(__x86_64__)
    [PATH_AVX2] = {"avx2", &cpu_kernels_avx2, runs_avx2},
    [PATH_AVX512] = {"avx512", &cpu_kernels_avx512, runs_avx512},
    [PATH_AMX] = {"amx", &cpu_kernels_amx, runs_amx},
#endif
};

const char *path_name(cpu_path path) { return paths[path].name; }
const cpu_kernels *path_kernels(cpu_path path) { return paths[path].kernels; }

status path_choose(cpu_path *out, const char *name)
{
    char allowed[128] = "auto";
    cpu_path best = PATH_PORTABLE;
    for (int p = 0; p < PATHS; p++) {
        if (!paths[p].kernels || !paths[p].runs_here()) continue;
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
