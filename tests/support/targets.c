#include "support/targets.h"
#include "support/strict_ops.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>

/* paths of cpu, and the flags of /proc/cpuinfo without which one is missing */
typedef struct cpu_path {
    const char *name;
    const char *flag[4];
} cpu_path;
static const cpu_path cpu_paths[] = {
    {"portable", {NULL}},
    {"avx2", {" avx2 ", " fma "}},
    {"avx512", {" avx512f ", " avx512bw ", " avx512dq ", " avx512vl "}},
    {"amx", {" amx_tile ", " amx_bf16 ", " avx512f ", " avx512bw "}},
};
enum { CPU_PATHS = 4 };

static bool is_cpu(const ops *o) { return strcmp(o->name, "cpu") == 0; }

/* how many targets a backend is; OP_TARGET=NAME leaves one backend */
static int targets_of(const ops *o)
{
    const char *only = getenv("OP_TARGET");
    if (only && strcmp(only, o->name) != 0) return 0;
    return is_cpu(o) ? CPU_PATHS : 1;
}

int target_count(void)
{
    int n = 0;
    for (int i = 0; backends[i]; i++) n += targets_of(backends[i]);
    return n;
}

static const ops *find(int index, const cpu_path **path)
{
    *path = NULL;
    for (int i = 0; backends[i]; i++) {
        int n = targets_of(backends[i]);
        if (index < n) {
            if (is_cpu(backends[i])) *path = &cpu_paths[index];
            return backends[i];
        }
        index -= n;
    }
    assert_failed(__FILE__, __LINE__, "a target");
    return NULL;
}

void target_name(int index, char *text, size_t bytes)
{
    const cpu_path *path;
    const ops *o = find(index, &path);
    (void)snprintf(text, bytes, "%s%s%s", o->name, path ? ":" : "", path ? path->name : "");
}

/* the flags line of the first processor; a machine without the file has no optional path */
static bool machine_has(const cpu_path *path)
{
    static const char key[] = "flags";
    char line[8192];
    bool has = path->flag[0] == NULL;
    FILE *f = fopen("/proc/cpuinfo", "r");
    while (f && fgets(line, sizeof line, f)) {
        if (strncmp(line, key, sizeof key - 1) != 0) continue;
        has = true;
        for (char *c = line; *c; c++)
            if (*c == '\n') *c = ' ';
        for (int i = 0; i < 4 && path->flag[i]; i++) has &= strstr(line, path->flag[i]) != NULL;
        break;
    }
    if (f) (void)fclose(f);
    return has;
}

status target_open(int index, bool strict, const ops **o, device **d, bool *missing)
{
    const cpu_path *path;
    char name[64];
    const ops *inner = find(index, &path);
    /* what a case gives back the next one takes: new pages cost more than most cases */
    (void)mallopt(M_MMAP_THRESHOLD, 1 << 30), (void)mallopt(M_TRIM_THRESHOLD, 1 << 30);
    *missing = (path && !machine_has(path)) || (inner->present && inner->present(NULL, 0) == 0);
    if (*missing) return OK;
    target_name(index, name, sizeof name);
    device_options options = {.path = strict ? name : path ? path->name : "auto"};
    *o = strict ? &strict_ops : inner;
    return (*o)->open(d, &options);
}
