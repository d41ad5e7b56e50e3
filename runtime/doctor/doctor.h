/* doctor.h — is this allocation fit for a run? Checks of launch, placement, storage, clocks, links
 * and, with a config, of the run itself. Prints nothing; leaves nothing behind.
 *
 * What a check finds is no error: it is a row of the report, which is complete on rank 0. */
#ifndef DOCTOR_DOCTOR_H
#define DOCTOR_DOCTOR_H

#include "comm/world.h"
#include "config/config.h"

#include <sched.h>

enum { DOCTOR_NAME = 64, DOCTOR_LIST = 512, DOCTOR_TEXT = 320 };

typedef struct finding {
    char check[16]; /* launch, cores, storage, ... */
    bool fault;     /* else a note: worth knowing, nothing to wait for */
    char where[DOCTOR_TEXT], what[DOCTOR_TEXT], fix[DOCTOR_TEXT];
} finding;

/* Where a rank is and what it sees; one per rank, gathered as bytes. */
typedef struct rank_place {
    char host[DOCTOR_NAME], node[DOCTOR_NAME];     /* hostname; Slurm's name of the node, or ""  */
    char gpus[DOCTOR_LIST], networks[DOCTOR_LIST]; /* visible devices; interfaces but lo     */
    char version[256], arithmetic[256]; /* program, MPI, driver, NCCL; kernels               */
    cpu_set_t cores; /* allowed cores; of the threads of a core the first              */
    int32_t core_count, local_rank;
    int32_t numa_nodes; /* in which its cores lie; 0 unknown                                   */
    int32_t step_tasks; /* tasks of the Slurm step, 0 unknown                             */
    int32_t gpus_allocated; /* on this node, by Slurm                                         */
    int64_t open_files;     /* limit                                                          */
    int64_t memory_bytes;   /* available on this node; -1 unknown                             */
    int64_t shm_bytes;      /* free in /dev/shm; -1 unknown                                   */
    double quota_cores;     /* of the control group; 0 none                                   */
    double peak_flops;      /* product rate of this rank; 0 unknown                           */
} rank_place;

typedef struct doctor_report {
    finding *findings;
    int32_t count, capacity;
    int32_t ranks, nodes;
    rank_place *places;            /* (ranks)                                                */
    double skew_s;                 /* largest difference of clocks                           */
    double latency_s, bytes_per_s; /* best link of a node, median over nodes; NaN one */
    double write_bytes_per_s;      /* all ranks together into the run directory           */
    double checkpoint_s;           /* expected; NaN without a config                      */
    double least_time_s;           /* of the run at the product rate; NaN unknown         */
    int32_t gpu_count;             /* on all nodes, as the driver counts                  */
    double gpu_clock_mhz;          /* what the fastest of them can do; 0 unknown          */
} doctor_report;

typedef struct doctor_options {
    const config *cfg;   /* NULL: the run itself is not checked       */
    const char *folder;  /* run directory, shared by all ranks        */
    double time_limit_s; /* of the job; 0 none                        */
} doctor_options;

/* COLLECTIVE. ERR_* only when the checks themselves cannot go on. The caller deinits. */
status doctor_run(doctor_report *out, world *w, const doctor_options *options);
void doctor_report_deinit(doctor_report *r);
int32_t doctor_faults(const doctor_report *r);

/* Adds a finding; for checks of launch that come before there is a world. */
void doctor_add(doctor_report *r, const char *check, bool fault, const char *where, const char *fix,
                const char *what, ...) __attribute__((format(printf, 6, 7)));

/* --- the checks, in order; each COLLECTIVE ---------------------------------------------------- */
status doctor_places(doctor_report *r, world *w, const char *backend);
status doctor_gpus(doctor_report *r, world *w);
status doctor_storage(doctor_report *r, world *w, const char *folder);
status doctor_clocks(doctor_report *r, world *w);
status doctor_links(doctor_report *r, world *w);
status doctor_fit(doctor_report *r, world *w, const doctor_options *options);
/* ", driver 580.95, CUDA 13.0, NCCL 2.28.9": what there is of it */
void doctor_gpu_versions(char *out, size_t bytes);
/* "rank 3 on node2" */
const char *doctor_at(const doctor_report *r, int32_t rank, char out[DOCTOR_TEXT]);

#endif
