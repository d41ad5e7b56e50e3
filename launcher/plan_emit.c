#include "plan_emit.h"

#include "cli.h"
#include "plan_config.h"
#include "slurm_text.h"

#include "base/file.h"
#include "base/log.h"
#include "plan/cost.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { PATH_BYTES = 1200 };

static status check(const plan_answer *a)
{
    const plan_machine *m = &a->machine;
    REQUIRE(!m->given || m->step.fits || !m->has_largest, ERR_CONFIG,
            "--emit: fits: no; %.3g parameters need %s per rank of %s; the largest that fits has "
            "%.3g (--params), and nothing is emitted",
            (double)a->shape.params, cli_bytes((double)m->step.memory.total).text,
            cli_bytes(m->hw.memory_bytes.value).text, (double)block_param_count(&m->largest));
    REQUIRE(!m->given || m->step.fits, ERR_CONFIG, "--emit: fits: no; nothing is emitted");
    REQUIRE(!m->given || !m->step.beyond, ERR_CONFIG,
            "--emit: %d ranks are more than %s has; nothing is emitted", (int)m->step.ranks,
            m->hw.name);
    REQUIRE(m->sharding != PREDICT_FULL, ERR_CONFIG,
            "--emit: sharding 'full' can be planned, not trained yet; trained: none, zero1");
    const status s = config_check_trainable(&a->cfg);
    return s == OK ? OK : status_prefix(s, "--emit");
}

/* A rate that no study has found for so small a run: said where it is written down. */
static void warn_of_rate(const plan_answer *a)
{
    const rule_answer *rule = &a->rules.row[a->rules.chosen];
    if (a->based || !rule->capped) return;
    log_warn("plan",
             "learning rate %.2g: %s holds for %s (%s); outside it is kept at the nearest point, "
             "not at %.2g",
             a->learning_rate, rule->name, rule->range, rule->source, rule->beyond);
}

/* D-HH:MM:SS for Slurm: half as much again as predicted, at least ten minutes. */
static void time_limit(char out[64], const plan_answer *a)
{
    const double hours =
        isfinite(a->machine.run.wall_hours) ? a->machine.run.wall_hours : a->machine.run.hours;
    const int64_t s = (int64_t)fmax(600, fmin(hours, 24 * 365) * 3600 * 1.5);
    (void)snprintf(out, 64, "%" PRId64 "-%02" PRId64 ":%02" PRId64 ":00", s / 86400, s / 3600 % 24,
                   s / 60 % 60);
}

static void put_header(FILE *out, const plan_answer *a)
{
    const plan_machine *m = &a->machine;
    char limit[64] = "", name[512];
    cli_word(name, sizeof name, a->cfg.run.name);
    const int32_t ranks = m->given ? m->step.ranks : 1, nodes = m->given ? m->step.nodes : 1;
    if (m->given) time_limit(limit, a);
    (void)fprintf(out, "#!/usr/bin/env bash\n#SBATCH --job-name=%s\n#SBATCH --nodes=%d\n", name,
                  (int)nodes);
    (void)fprintf(out, "#SBATCH --ntasks=%d\n#SBATCH --ntasks-per-node=%d\n", (int)ranks,
                  (int)((ranks + nodes - 1) / nodes));
    if (m->given && !cluster_of_cores(&m->hw))
        (void)fprintf(out, "#SBATCH --gpus-per-node=%d\n", (int)((ranks + nodes - 1) / nodes));
    if (limit[0]) (void)fprintf(out, "#SBATCH --time=%s\n", limit);
    (void)fputs("#SBATCH --signal=B:USR1@120\n#SBATCH --requeue\n#SBATCH --open-mode=append\n",
                out);
}

/* Plain bash: srun with PMIx inside a job, mpirun elsewhere; the same command goes on where it was.
 */
static const char script[] =
    "#\n"
    "#   sbatch run.sbatch                a job; requeued from its checkpoint where that can help\n"
    "#   bash run.sbatch                  here, without Slurm\n"
    "#\n"
    "# Arguments are keys of the config: sbatch run.sbatch train.tokens=2M\n"
    "# RANKS, RUN, ISOFLOP and LAUNCH replace ranks, run directory, program and launcher.\n"
    "set -u\n"
    "here=${PLAN:-%s}\n"
    "run=${RUN:-$here/run}\n"
    "ranks=${RANKS:-%d}\n"
    "program=${ISOFLOP:-$(command -v isoflop || echo %s)}\n"
    "if [ -z \"${LAUNCH:-}\" ]; then\n"
    "    if [ -n \"${SLURM_JOB_ID:-}\" ] && srun --mpi=list 2>&1 | grep -qw pmix; then\n"
    "        LAUNCH=\"srun --mpi=pmix --ntasks=$ranks --kill-on-bad-exit=1\"\n"
    "    elif [ \"$ranks\" -gt 1 ]; then LAUNCH=\"mpirun -n $ranks\"\n"
    "    else LAUNCH=\"\"; fi\n"
    "fi\n" SLURM_TEXT_AGAIN "ask() { kill -USR1 \"$child\" 2>/dev/null; asked=yes; }\n"
    "trap ask USR1 TERM INT\n"
    "# shellcheck disable=SC2086 # the launcher is several words\n"
    "$LAUNCH \"$program\" train \"$here/config.yaml\" \"$@\" --run \"$run\" --resume &\n"
    "child=$! asked=yes\n"
    "while [ $asked = yes ]; do asked=no code=0; wait \"$child\" || code=$?; done\n"
    "# what can go better the next time\n"
    "case $code in 5 | 6 | 75 | 137 | 143)\n"
    "    [ -z \"${SLURM_JOB_ID:-}\" ] || again ;;\n"
    "esac\n"
    "exit \"$code\"\n";

static status script_text(char **text, const plan_answer *a, const char *folder)
{
    size_t bytes = 0;
    char place[4 * PATH_BYTES], self[4 * PATH_BYTES];
    /* Slurm runs a copy of the script: where the plan lies is written into it */
    char *absolute = realpath(folder, NULL);
    cli_word(place, sizeof place, absolute ? absolute : folder);
    cli_self(self, sizeof self);
    free(absolute);
    *text = NULL;
    FILE *out = open_memstream(text, &bytes);
    REQUIRE(out, ERR_MEMORY, "no memory for a script");
    put_header(out, a);
    (void)fprintf(out, script, place, a->machine.given ? (int)a->machine.step.ranks : 1, self);
    REQUIRE(fclose(out) == 0, ERR_MEMORY, "no memory for a script");
    return OK;
}

static status write_file(const char *folder, const char *name, const char *text)
{
    char path[PATH_BYTES];
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    return file_write_text(path, text, (int64_t)strlen(text));
}

/* What was written is read again, as train will: the same run, or it is a bug. */
static status read_back(const plan_answer *a, const char *folder)
{
    char path[PATH_BYTES];
    config *again = calloc(1, sizeof *again);
    REQUIRE(again, ERR_MEMORY, "no memory for a config");
    (void)snprintf(path, sizeof path, "%s/config.yaml", folder);
    status s = config_load(again, path, 0, NULL);
    if (s == OK) s = config_same_identity(&a->cfg, again);
    free(again);
    return s;
}

status plan_emit(const plan_answer *a, const char *folder)
{
    char *config_text = NULL, *sbatch = NULL, path[PATH_BYTES];
    REQUIRE(strlen(folder) > 0 && strlen(folder) < PATH_BYTES - 32, ERR_CONFIG,
            "--emit: an empty or too long path");
    TRY(check(a));
    warn_of_rate(a);
    (void)snprintf(path, sizeof path, "%s/config.yaml", folder);
    REQUIRE(!file_exists(path), ERR_CONFIG, "--emit %s: there is a config.yaml in it already",
            folder);
    TRY(file_make_folder(folder));
    status s = plan_config_text(&config_text, a, true);
    if (s == OK) s = script_text(&sbatch, a, folder);
    if (s == OK) s = write_file(folder, "config.yaml", config_text);
    if (s == OK) s = read_back(a, folder);
    if (s == OK) s = write_file(folder, "run.sbatch", sbatch);
    (void)snprintf(path, sizeof path, "%s/run.sbatch", folder);
    if (s == OK && chmod(path, 0755) != 0)
        s = status_set(ERR_IO, __FILE__, __LINE__, "%s: cannot make it a program: %s", path,
                       strerror(errno));
    free(config_text);
    free(sbatch);
    return s;
}
