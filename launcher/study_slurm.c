#include "study_slurm.h"

#include "cli.h"
#include "slurm_text.h"

#include "base/file.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The run that stands first in the chain of `i`. */
static int32_t origin_of(const study_runs *runs, int32_t i)
{
    while (runs->run[i].parent >= 0) i = runs->run[i].parent;
    return i;
}

status study_slurm_job(bool **out, const study_runs *runs, int32_t job)
{
    int32_t number = 0, origin = -1;
    for (int32_t i = 0; i < runs->count && origin < 0; i++)
        if (runs->run[i].parent < 0 && ++number == job) origin = i;
    REQUIRE(origin >= 0, ERR_CONFIG, "--only: %d; this study has %d jobs", job, number);
    *out = calloc((size_t)runs->count, sizeof **out);
    REQUIRE(*out, ERR_MEMORY, "no memory for %d runs", runs->count);
    for (int32_t i = 0; i < runs->count; i++) (*out)[i] = origin_of(runs, i) == origin;
    return OK;
}

static void put_word(FILE *out, const char *text)
{
    char word[4096];
    cli_word(word, sizeof word, text);
    (void)fputs(word, out);
}

static void write_script(FILE *out, const char *folder, const char *path, const study *s,
                         int32_t jobs)
{
    (void)fputs("#!/bin/bash\n"
                "# One task for each run of the study; add --partition, --account and --time.\n"
                "#SBATCH --job-name=",
                out);
    put_word(out, s->keys.name);
    (void)fprintf(out,
                  "\n#SBATCH --array=1-%d\n"
                  "#SBATCH --ntasks=%" PRId64 "\n"
                  "#SBATCH --cpus-per-task=1\n"
                  "#SBATCH --requeue\n"
                  "#SBATCH --signal=TERM@120\n"
                  "#SBATCH --open-mode=append\n\n",
                  jobs, s->keys.ranks_per_run);
    (void)fprintf(out, "run=");
    put_word(out, folder);
    char self[4096];
    cli_self(self, sizeof self);
    (void)fprintf(out,
                  "\nprogram=${ISOFLOP:-$(command -v isoflop || echo %s)}\n" SLURM_TEXT_AGAIN
                  "srun --mpi=pmix \"$program\" study ",
                  self);
    put_word(out, path);
    (void)fprintf(out, " --run \"$run\"");
    if (*s->keys.scale) {
        (void)fprintf(out, " --scale ");
        put_word(out, s->keys.scale);
    }
    (void)fprintf(out, " --resume --only \"$SLURM_ARRAY_TASK_ID\"\n"
                       "code=$?\n"
                       "# the machine's fault, or out of time: once more\n"
                       "case $code in 5|6|75|137|143) again ;; esac\n"
                       "exit $code\n");
}

status study_slurm_write(const char *folder, const char *path, const study *s,
                         const study_runs *runs)
{
    char *text = NULL, name[1100], real[PATH_MAX], real_folder[PATH_MAX];
    size_t bytes = 0;
    int32_t jobs = 0;
    for (int32_t i = 0; i < runs->count; i++) jobs += runs->run[i].parent < 0;
    TRY(file_make_folder(folder));
    FILE *out = open_memstream(&text, &bytes);
    REQUIRE(out, ERR_MEMORY, "no memory for study.sbatch");
    write_script(out, realpath(folder, real_folder) ? real_folder : folder,
                 realpath(s->path, real) ? real : path, s, jobs);
    (void)fclose(out);
    (void)snprintf(name, sizeof name, "%s/study.sbatch", folder);
    const status code = file_write_text(name, text, (int64_t)bytes);
    free(text);
    if (code != OK) return code;
    printf("wrote %s: %d tasks of %" PRId64 " ranks\n", name, jobs, s->keys.ranks_per_run);
    (void)fputs("submit it with   sbatch ", stdout);
    put_word(stdout, name);
    (void)fputs("\ntables after it  isoflop study ", stdout);
    put_word(stdout, path);
    (void)fputs(" --run ", stdout);
    put_word(stdout, folder);
    (void)fputs(" --resume\n", stdout);
    return OK;
}
