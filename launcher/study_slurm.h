/* study_slurm.h — a study as an array job: one task for each run, or for each trunk with all that
 * branches from it.
 * Flow: study/expand.h -> DIR/study.sbatch -> isoflop study --only N */
#ifndef LAUNCHER_STUDY_SLURM_H
#define LAUNCHER_STUDY_SLURM_H

#include "study/expand.h"

/* Writes folder/study.sbatch for the study file called `path`. */
status study_slurm_write(const char *folder, const char *path, const study *s,
                         const study_runs *runs);
/* (runs->count) flags, malloc'ed: what task `job` (from 1) trains. ERR_CONFIG beyond the last. */
status study_slurm_job(bool **out, const study_runs *runs, int32_t job);

#endif
