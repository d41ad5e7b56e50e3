/* Where ranks are and what they see: launch, hostnames, cores, limits, versions, devices. */
#include "base/version.h"
#include "doctor/doctor.h"
#include "kernels/ops.h"

#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum { BURSTS = 12, FILES_NEEDED = 256, NUMA_NODES = 1024 };

/* --- what one rank sees --------------------------------------------------- */

/* First number of a small file; `otherwise` where there is none. */
static long long number_in(const char *path, long long otherwise)
{
    long long value = otherwise;
    FILE *f = fopen(path, "r");
    if (!f) return otherwise;
    if (fscanf(f, "%lld", &value) != 1) value = otherwise;
    (void)fclose(f);
    return value;
}

/* How many NUMA nodes have one of these processors; 0 where Linux does not say. */
static int32_t numa_nodes_of(const cpu_set_t *cpus)
{
    int32_t count = 0;
    for (int node = 0; node < NUMA_NODES; node++) {
        char path[96];
        (void)snprintf(path, sizeof path, "/sys/devices/system/node/node%d", node);
        bool touched = false;
        if (access(path, F_OK) != 0) continue;
        for (int cpu = 0; !touched && cpu < CPU_SETSIZE; cpu++) {
            if (!CPU_ISSET((size_t)cpu, cpus)) continue;
            (void)snprintf(path, sizeof path, "/sys/devices/system/node/node%d/cpu%d", node, cpu);
            touched = access(path, F_OK) == 0;
        }
        count += touched;
    }
    return count;
}

static void look_at_cores(rank_place *p)
{
    cpu_set_t allowed;
    CPU_ZERO(&allowed);
    (void)sched_getaffinity(0, sizeof allowed, &allowed);
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        char path[96];
        if (!CPU_ISSET((size_t)cpu, &allowed)) continue;
        (void)snprintf(path, sizeof path,
                       "/sys/devices/system/cpu/cpu%d/topology/thread_siblings_list", cpu);
        long long first = number_in(path, cpu);
        if (first >= 0 && first < CPU_SETSIZE) CPU_SET((size_t)first, &p->cores);
    }
    p->core_count = CPU_COUNT(&p->cores);
    p->numa_nodes = numa_nodes_of(&allowed);
}

/* Processor time the control group allows, in cores; 0: no limit. */
static double quota(void)
{
    char path[512], line[400];
    FILE *f = fopen("/proc/self/cgroup", "r");
    double cores = 0.0;
    while (f && fgets(line, sizeof line, f)) {
        char *group = strchr(line, ':'), *folder = group ? strchr(group + 1, ':') : NULL;
        if (!folder) continue;
        folder[strcspn(folder, "\n")] = '\0';
        bool unified = group[1] == ':';
        if (!unified && !strstr(group, "cpu,") && !strstr(group, ":cpu:")) continue;
        const char *root = unified ? "/sys/fs/cgroup" : "/sys/fs/cgroup/cpu";
        (void)snprintf(path, sizeof path, "%s%s/%s", root, folder + 1,
                       unified ? "cpu.max" : "cpu.cfs_quota_us");
        long long allowed = number_in(path, -1), period = 100000;
        if (!unified) {
            (void)snprintf(path, sizeof path, "%s%s/cpu.cfs_period_us", root, folder + 1);
            period = number_in(path, 100000);
        }
        if (allowed > 0 && period > 0) cores = (double)allowed / (double)period;
    }
    if (f) (void)fclose(f);
    return cores;
}

static void list_networks(char *out, size_t bytes)
{
    size_t used = 0;
    struct dirent **entries = NULL;
    const int count = scandir("/sys/class/net", &entries, NULL, versionsort);
    for (int i = 0; i < count; i++) {
        const char *name = entries[i]->d_name;
        if (name[0] != '.' && strcmp(name, "lo") != 0 && used + strlen(name) + 2 <= bytes)
            used += (size_t)snprintf(out + used, bytes - used, "%s%s", used ? "," : "", name);
        free(entries[i]);
    }
    free(entries);
}

static int64_t memory_available(void)
{
    char line[128];
    long long kib = -1;
    FILE *f = fopen("/proc/meminfo", "r");
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "MemAvailable: %lld", &kib) == 1) break;
    if (f) (void)fclose(f);
    int64_t bytes = kib < 0 ? -1 : (int64_t)kib * 1024;
    struct rlimit limit;
    if (getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY &&
        (bytes < 0 || (int64_t)limit.rlim_cur < bytes))
        bytes = (int64_t)limit.rlim_cur;
    return bytes;
}

/* Kernels and their speed. The best of some bursts: others may be using the core for a moment. */
static status try_backend(rank_place *p, const char *name, int32_t local_rank)
{
    const ops *table;
    device *d = NULL;
    const char *path = getenv("ISOFLOP_CPU_PATH");
    TRY(backend_find(&table, name));
    TRY(table->open(&d, &(device_options){.local_rank = local_rank, .path = path ? path : "auto"}));
    table->describe(d, p->arithmetic, sizeof p->arithmetic);
    for (int i = 0; table->burst && i < BURSTS; i++) {
        double rate = table->burst(d, DTYPE_F32);
        if (rate > p->peak_flops) p->peak_flops = rate;
    }
    table->close(d);
    return OK;
}

static void look(rank_place *p, const world *w)
{
    const char *node = getenv("SLURMD_NODENAME"), *tasks = getenv("SLURM_STEP_NUM_TASKS");
    const char *gpus = getenv("CUDA_VISIBLE_DEVICES"), *on_node = getenv("SLURM_GPUS_ON_NODE");
    char versions[120];
    struct rlimit files;
    struct statvfs shm;
    *p = (rank_place){.local_rank = world_local_rank(w),
                      .step_tasks = tasks && getenv("PMIX_RANK") ? atoi(tasks) : 0,
                      .gpus_allocated = on_node ? atoi(on_node) : 0};
    (void)gethostname(p->host, sizeof p->host - 1);
    (void)snprintf(p->node, sizeof p->node, "%s", node ? node : "");
    (void)snprintf(p->gpus, sizeof p->gpus, "%s", gpus ? gpus : "");
    doctor_gpu_versions(versions, sizeof versions);
    (void)snprintf(p->version, sizeof p->version, "isoflop %s, %s, compiler %s%s", version_text(),
                   world_describe(w), __VERSION__, versions);
    look_at_cores(p);
    list_networks(p->networks, sizeof p->networks);
    p->quota_cores = quota();
    p->memory_bytes = memory_available();
    p->shm_bytes = statvfs("/dev/shm", &shm) == 0 ? (int64_t)(shm.f_bavail * shm.f_frsize) : -1;
    p->open_files = getrlimit(RLIMIT_NOFILE, &files) == 0 ? (int64_t)files.rlim_cur : INT64_MAX;
}

/* --- what all of them say together ---------------------------------------- */

static bool same_host(const doctor_report *r, int32_t a, int32_t b)
{
    return strcmp(r->places[a].host, r->places[b].host) == 0;
}

static bool first_of_host(const doctor_report *r, int32_t rank)
{
    for (int32_t before = 0; before < rank; before++)
        if (same_host(r, before, rank)) return false;
    return true;
}

/* Ranks confined to a set of cores must not be more than its cores; asked of the set of each rank
 * and of all cores of the host together. */
static void check_cores(doctor_report *r, int32_t rank)
{
    char where[DOCTOR_TEXT];
    cpu_set_t all, set = r->places[rank].cores;
    CPU_ZERO(&all);
    int32_t here = 0, inside = 0, lowest = rank;
    for (int32_t other = 0; other < r->ranks; other++) {
        if (!same_host(r, rank, other)) continue;
        cpu_set_t both;
        here++;
        CPU_OR(&all, &all, &r->places[other].cores);
        CPU_AND(&both, &set, &r->places[other].cores);
        if (!CPU_EQUAL(&both, &r->places[other].cores)) continue;
        inside++;
        if (other < lowest && CPU_EQUAL(&set, &r->places[other].cores)) lowest = other;
    }
    if (lowest == rank && inside > CPU_COUNT(&set) && CPU_COUNT(&set) > 0) {
        doctor_add(r, "cores", true, doctor_at(r, rank, where),
                   "start one rank per core; mpirun --bind-to core, or srun --cpus-per-task=1",
                   "%d ranks share %d core%s", inside, CPU_COUNT(&set),
                   CPU_COUNT(&set) == 1 ? "" : "s");
    }
    double allowed = r->places[rank].quota_cores;
    if (first_of_host(r, rank) && allowed > 0 && allowed < 0.95 * here)
        doctor_add(r, "cores", true, doctor_at(r, rank, where),
                   "ask for one core per rank (--cpus-per-task), or start fewer ranks",
                   "the control group allows %.1f cores of time to %d ranks", allowed, here);
}

/* Train binds a rank to a core where all ranks of a host share all its cores; where it cannot, a
 * rank had better stay within a NUMA node. Slower, but no reason not to run. */
static void check_pinning(doctor_report *r, int32_t rank)
{
    char where[DOCTOR_TEXT], other_at[DOCTOR_TEXT];
    const rank_place *p = &r->places[rank];
    int32_t here = 0, equal = 0, partly = -1;
    for (int32_t other = 0; other < r->ranks; other++) {
        cpu_set_t both;
        if (!same_host(r, rank, other)) continue;
        CPU_AND(&both, &p->cores, &r->places[other].cores);
        bool same = CPU_EQUAL(&p->cores, &r->places[other].cores);
        here++;
        equal += same;
        if (!same && CPU_COUNT(&both) > 0) partly = other;
    }
    (void)doctor_at(r, rank, where);
    if (partly > rank)
        doctor_add(r, "cores", false, where,
                   "equal or separate cores for all ranks; mpirun --bind-to core or none",
                   "it shares some of its cores with %s, not all: ranks stay unpinned",
                   doctor_at(r, partly, other_at));
    bool pinned_by_train = partly < 0 && here > 1 && equal == here && p->core_count >= here;
    if (p->numa_nodes > 1 && !pinned_by_train)
        doctor_add(r, "numa", false, where,
                   "a rank per NUMA node (RANKS_PER_NODE; mpirun --map-by numa --bind-to numa)",
                   "its cores lie on %d NUMA nodes, and nothing pins it to one", p->numa_nodes);
}

static void check_names(doctor_report *r, int32_t rank)
{
    char where[DOCTOR_TEXT];
    const rank_place *p = &r->places[rank];
    if (!p->node[0]) return;
    for (int32_t other = 0; other < rank; other++)
        if (same_host(r, rank, other) && strcmp(p->node, r->places[other].node) != 0) {
            doctor_add(r, "hostnames", true, doctor_at(r, rank, where),
                       "give each slurmd a hostname of its own (NodeHostname, unshare -u)",
                       "nodes %s and %s have one hostname, %s: MPI mixes up their shared memory",
                       p->node, r->places[other].node, p->host);
            return;
        }
}

static void check_versions(doctor_report *r, int32_t rank)
{
    char where[DOCTOR_TEXT];
    const rank_place *p = &r->places[rank], *first = &r->places[0];
    if (strcmp(p->version, first->version) != 0)
        doctor_add(r, "versions", true, doctor_at(r, rank, where),
                   "load the same modules and the same build on all nodes",
                   "%.140s; rank 0: %.140s", p->version, first->version);
    if (strcmp(p->arithmetic, first->arithmetic) != 0)
        doctor_add(r, "versions", true, doctor_at(r, rank, where),
                   "equal machines, or ISOFLOP_CPU_PATH with a path all of them have",
                   "computes as '%.130s', rank 0 as '%.130s'", p->arithmetic, first->arithmetic);
}

static void check_limits(doctor_report *r, int32_t rank)
{
    char where[DOCTOR_TEXT];
    const rank_place *p = &r->places[rank];
    if (p->open_files < FILES_NEEDED)
        doctor_add(r, "limits", true, doctor_at(r, rank, where), "ulimit -n 4096 in the job",
                   "only %lld open files are allowed", (long long)p->open_files);
    if (rank == 0 && p->step_tasks > 0 && p->step_tasks != r->ranks)
        doctor_add(r, "launch", true, doctor_at(r, rank, where),
                   "an MPI built with PMIx and srun --mpi=pmix, or mpirun",
                   "srun started %d tasks, MPI sees %d", p->step_tasks, r->ranks);
}

static void check_devices(doctor_report *r, int32_t rank)
{
    char where[DOCTOR_TEXT];
    const rank_place *p = &r->places[rank];
    bool cuda = strstr(p->arithmetic, "cuda") != NULL;
    if (!first_of_host(r, rank) || p->gpus_allocated == 0) return;
    if (!cuda)
        doctor_add(r, "gpu", true, doctor_at(r, rank, where),
                   "a build with CUDA on nodes with a driver, or sbatch --gpus-per-node=0",
                   "%d GPUs are allocated and this program does not use them: %.160s",
                   p->gpus_allocated, p->arithmetic);
}

static void check_speed(doctor_report *r)
{
    char where[DOCTOR_TEXT];
    double best = 0.0;
    for (int32_t i = 0; i < r->ranks; i++)
        if (r->places[i].peak_flops > best) best = r->places[i].peak_flops;
    for (int32_t i = 0; i < r->ranks; i++)
        if (r->places[i].peak_flops > 0 && r->places[i].peak_flops < 0.5 * best)
            doctor_add(r, "speed", true, doctor_at(r, i, where),
                       "another load, a lower clock or a slower machine: leave the node out "
                       "(--exclude)",
                       "products run at %.0f GFLOP/s, on the fastest rank at %.0f",
                       r->places[i].peak_flops * 1e-9, best * 1e-9);
}

status doctor_places(doctor_report *r, world *w, const char *backend)
{
    rank_place mine;
    look(&mine, w);
    status s = try_backend(&mine, backend, mine.local_rank);
    char why[DOCTOR_TEXT];
    (void)snprintf(why, sizeof why, "%s", s == OK ? "" : status_message());
    TRY(world_gather(w, r->places, &mine, sizeof mine));
    char *all = calloc((size_t)r->ranks, sizeof why);
    ASSERT(all);
    s = world_gather(w, all, why, sizeof why);
    for (int32_t i = 0; s == OK && i < r->ranks; i++) {
        const char *reason = all + (size_t)i * sizeof why;
        char where[DOCTOR_TEXT];
        if (reason[0])
            doctor_add(r, "backend", true, doctor_at(r, i, where),
                       "backend=cpu, or a build and a machine that have it", "%.250s", reason);
        check_names(r, i);
        check_cores(r, i);
        check_pinning(r, i);
        check_versions(r, i);
        check_limits(r, i);
        check_devices(r, i);
    }
    free(all);
    check_speed(r);
    return s;
}
