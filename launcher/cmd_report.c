#include "cli.h"
#include "commands.h"
#include "base/file.h"
#include "plan/cluster.h"
#include "report/bundle.h"
#include "report/report.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { PATH_BYTES = 4096, COLUMNS = 98 };

static const char help[] =
    "usage: isoflop report DIR [options]           a run, a study, or a folder of runs\n"
    "       isoflop report A B [options]           what differs between two, paired by seed\n"
    "\n"
    "Reads records and nothing else, of finished and of running jobs. Prints tables and plots, "
    "and\n"
    "writes DIR/report: index.html (one self-contained page), figures/*.svg with their scripts,\n"
    "tables/*.csv, numbers.json. The same records give the same page. Every number says where it\n"
    "comes from; what is not known is a dash, never 0.\n"
    "\n"
    "  --out DIR         where the page goes (default DIR/report; of two, A/report/against-B)\n"
    "  --bundle FILE     packs what the report rests on into FILE (.tar.gz): records, ledger,\n"
    "                    laws; no text, weights, host names or paths. `isoflop report FILE --out\n"
    "                    DIR` gives the same page\n"
    "  --cluster NAME    watts and price of the machine, for runs without a meter (modelled)\n"
    "  --bootstrap N     replicates of the fits (default 300; 0: no intervals)\n"
    "  --watch           again every --every seconds until all runs are finished, or Ctrl-C\n"
    "  --every S         seconds (default 10)\n"
    "  --json            the numbers on stdout instead of text\n"
    "\n"
    "examples:\n"
    "  isoflop report runs/quickstart\n"
    "  isoflop report runs/quickstart runs/longer\n"
    "  isoflop report runs/isoflop-cpu --cluster 8xh200 --out page\n";

typedef struct report_arguments {
    const char *out, *cluster, *bootstrap, *every, *bundle;
    bool json, watch;
} report_arguments;

/* The last part of a folder's full path, also of "." */
static void name_of(char *out, size_t bytes, const char *path)
{
    char *full = realpath(path, NULL);
    const char *slash = strrchr(full ? full : path, '/');
    (void)snprintf(out, bytes, "%s", slash && slash[1] ? slash + 1 : path);
    free(full);
}

static status out_folder(char *out, const report_arguments *a, const char *const *path, int count)
{
    char other[256];
    if (a->out)
        (void)snprintf(out, PATH_BYTES, "%s", a->out);
    else if (count == 1)
        (void)snprintf(out, PATH_BYTES, "%s/report", path[0]);
    else {
        name_of(other, sizeof other, path[1]);
        (void)snprintf(out, PATH_BYTES, "%s/report/against-%s", path[0], other);
    }
    return file_make_folder(out);
}

/* Reads the records and builds the page. *open: how many runs have not ended. */
static status build(page *out, const char *const *path, int count, const report_options *options,
                    int *open)
{
    run_set a = {0}, b = {0};
    char title[160], name[140];
    *open = 0;
    status s = run_set_read(&a, path, 1);
    if (s == OK && count == 2) s = run_set_read(&b, path + 1, 1);
    for (int32_t i = 0; i < a.count; i++) *open += !run_record_finished(&a.run[i]);
    for (int32_t i = 0; i < b.count; i++) *open += !run_record_finished(&b.run[i]);
    if (s == OK && count == 2)
        s = compare_build(out, &a, &b);
    else if (s == OK) {
        name_of(name, sizeof name, path[0]);
        (void)snprintf(title, sizeof title, "%s: %d run%s", name, a.count, a.count == 1 ? "" : "s");
        s = report_build(out, &a, title, options);
    }
    run_set_deinit(&a);
    run_set_deinit(&b);
    return s;
}

static status show(const report_arguments *a, const page *p, const char *folder)
{
    if (a->json) return cli_json(page_json(p));
    /* while watching, each page takes the place of the one before */
    if (a->watch && cli_terminal()) (void)fputs("\033[H\033[2J", stdout);
    page_text(p, stdout, COLUMNS);
    printf("\npage: %s/index.html\n", folder);
    if (!figure_can_draw())
        printf("gnuplot was not found: pictures are left out, their scripts lie in %s/figures\n",
               folder);
    (void)fflush(stdout);
    return OK;
}

static status write_bundle(const report_arguments *a, const char *folder)
{
    run_set set;
    char name[140];
    TRY(run_set_read(&set, &folder, 1));
    name_of(name, sizeof name, folder);
    const status s = bundle_write(a->bundle, folder, name, &set);
    run_set_deinit(&set);
    if (s == OK && !a->json) printf("bundle: %s\n", a->bundle);
    return s;
}

static status report(const report_arguments *a, const char *const *path, int count,
                     const report_options *options, double every)
{
    char folder[PATH_BYTES];
    for (bool first = true;; first = false) {
        page p = {0};
        int open;
        status s = build(&p, path, count, options, &open);
        if (s == OK && first) s = out_folder(folder, a, path, count);
        if (s == OK) s = page_write(&p, folder, COLUMNS);
        if (s == OK) s = show(a, &p, folder);
        page_deinit(&p);
        TRY(s);
        if (a->bundle) return write_bundle(a, path[0]);
        if (!a->watch || !open) return OK;
        const struct timespec pause = {(time_t)every, 0};
        (void)nanosleep(&pause, NULL);
    }
}

/* Unpacked beside, reported on, removed. The page goes where --out says: a bundle is no folder. */
static status report_bundle(const report_arguments *a, const char *path,
                            const report_options *options)
{
    char folder[PATH_BYTES], temporary[PATH_BYTES];
    const char *inside = folder;
    REQUIRE(a->out, ERR_CONFIG, "%s: a report on a bundle needs --out DIR for its page", path);
    REQUIRE(!a->bundle && !a->watch, ERR_CONFIG, "%s: is a bundle already, and does not change",
            path);
    TRY(bundle_unpack(folder, temporary, sizeof folder, path));
    const status s = report(a, &inside, 1, options, 0);
    (void)file_remove_folder(temporary);
    return s;
}

static status run(int argc, char **argv, const char **rest)
{
    report_arguments a = {0};
    const cli_option options[] = {
        {"--out", &a.out, NULL},       {"--cluster", &a.cluster, NULL},
        {"--every", &a.every, NULL},   {"--watch", NULL, &a.watch},
        {"--json", NULL, &a.json},     {"--bootstrap", &a.bootstrap, NULL},
        {"--bundle", &a.bundle, NULL}, {NULL, NULL, NULL},
    };
    double every = 10, bootstrap = 300;
    cluster machine;
    int count;
    TRY(cli_parse(argc, argv, options, rest, &count));
    REQUIRE(count == 1 || count == 2, ERR_CONFIG,
            "report takes one directory, or two to compare: isoflop report DIR");
    TRY(cli_number(&every, "--every", a.every, 1, 86400));
    TRY(cli_number(&bootstrap, "--bootstrap", a.bootstrap, 0, 1e6));
    REQUIRE(bootstrap != 1, ERR_CONFIG, "--bootstrap: 1 replicate has no spread; 0 or at least 2");
    REQUIRE(!a.every || a.watch, ERR_CONFIG, "--every belongs to --watch");
    REQUIRE(!a.cluster || count == 1, ERR_CONFIG, "--cluster belongs to a report on one directory");
    REQUIRE(!a.watch || count == 1, ERR_CONFIG, "--watch belongs to a report on one directory");
    REQUIRE(!a.bundle || (count == 1 && !a.watch), ERR_CONFIG,
            "--bundle packs one directory, once");
    if (a.cluster) TRY(cluster_load(&machine, a.cluster));
    const report_options w = {a.cluster ? &machine : NULL, (int32_t)bootstrap};
    return count == 1 && bundle_is(rest[0]) ? report_bundle(&a, rest[0], &w)
                                            : report(&a, rest, count, &w, every);
}

int cmd_report(int argc, char **argv)
{
    if (cli_help(argc, argv, help)) return OK;
    const char **rest = calloc((size_t)argc + 1, sizeof *rest);
    const int code = cli_report(rest ? run(argc, argv, rest) : ERR_MEMORY);
    free(rest);
    return code;
}
