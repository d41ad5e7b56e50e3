/* main.c — the verbs. Called as `plan`, the program is `isoflop plan`. */
#include "cli.h"
#include "base/log.h"
#include "base/nearest.h"
#include "base/version.h"
#include "commands.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

typedef struct verb {
    const char *name;
    int (*run)(int argc, char **argv); /* argv[0] is the verb */
    const char *does;
    bool progress; /* what it prints is progress, its result stands in files */
} verb;

static const verb verbs[] = {
    {"plan", cmd_plan, "model size against tokens for a budget, under every published law", false},
    {"prepare", cmd_prepare, "text or JSONL -> token shards and a manifest", false},
    {"train", cmd_train, "one run; under mpirun or srun it is data-parallel", true},
    {"study", cmd_study, "many runs from one file: comparisons, IsoFLOP ladders; resumable", true},
    {"generate", cmd_generate, "text from a checkpoint", false},
    {"score", cmd_score, "loss of a checkpoint on a file (nats/token, bits/byte)", false},
    {"fit", cmd_fit, "a scaling law fitted to runs: constants, intervals, warnings", false},
    {"report", cmd_report, "tables, plots and one page of a run, a study, or two of them", false},
    {"bench", cmd_bench, "how fast this machine is, and where the time goes", false},
    {"diff", cmd_diff, "the first step and tensor at which two runs differ", false},
    {"doctor", cmd_doctor, "is this allocation fit? what, where, how to mend it", false},
};
enum { VERBS = sizeof verbs / sizeof verbs[0] };

static void print_verbs(void)
{
    (void)fputs("isoflop — data-parallel training for scaling studies\n\nusage: isoflop VERB "
                "[...]; isoflop VERB --help\n\n",
                stdout);
    for (int i = 0; i < VERBS; i++)
        (void)fprintf(stdout, "  %-9s %s\n", verbs[i].name, verbs[i].does);
}

/* The name it was called by, without the folder. */
static const char *called(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* A result that nobody received is a failure. */
static int printed(int code)
{
    if (code != OK && code != FOUND) return code;
    const status out = cli_printed();
    return out == OK ? code : cli_report(out);
}

/* A closed stdin, stdout or stderr would be the number of the next file that is opened, and what is
 * printed would go into it. Its place is taken by what cannot be written to. */
static void hold_standard_files(void)
{
    for (int fd = 0; fd <= 2; fd++)
        if (fcntl(fd, F_GETFD) < 0) (void)open("/dev/null", O_RDONLY);
}

int main(int argc, char **argv)
{
    hold_standard_files();
    /* a file that would pass `ulimit -f` is an error of who writes it, and no silent end */
    (void)signal(SIGXFSZ, SIG_IGN);
    const status level = log_check();
    if (level != OK) return cli_report_rank(NULL, level, level);
    if (argc > 0 && strcmp(called(argv[0]), "plan") == 0) return printed(cmd_plan(argc, argv));
    const char *name = argc > 1 ? argv[1] : "--help";
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0) {
        print_verbs();
        return printed(OK);
    }
    if (strcmp(name, "--version") == 0) {
        (void)printf("isoflop %s\n", version_text());
        return printed(OK);
    }
    for (int i = 0; i < VERBS; i++) {
        if (strcmp(verbs[i].name, name) != 0) continue;
        const int code = verbs[i].run(argc - 1, argv + 1);
        return verbs[i].progress ? code : printed(code);
    }
    nearest n = nearest_slip(name);
    for (int i = 0; i < VERBS; i++) (void)nearest_offer(&n, verbs[i].name);
    (void)fprintf(stderr, "isoflop: error: unknown verb '%s'", name);
    if (n.found)
        (void)fprintf(stderr, "; nearest: %s (--help shows all)\n", n.found);
    else
        (void)fputs("; isoflop --help shows all\n", stderr);
    return ERR_CONFIG;
}
