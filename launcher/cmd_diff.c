#include "cli.h"
#include "commands.h"
#include "train/compare.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static const char help[] = "usage: isoflop diff RUN_A RUN_B [--json]\n"
                           "\n"
                           "Says where two runs part: the first step whose data, weights or loss "
                           "differ (from the records), and from\n"
                           "checkpoints of the same step the first tensor, element and rank. Exit "
                           "code 0: the same; 10: they differ.\n"
                           "\n"
                           "example: isoflop diff runs/one-rank runs/four-ranks\n";

static void print_text(const run_difference *d)
{
    if (d->config_key[0]) printf("configs    %s\n", d->config_key);
    if (d->step < 0)
        printf("records    the same losses, data and weights in all %" PRId64 " common steps\n",
               d->steps);
    else
        printf("records    first difference at step %" PRId64 ":%s%s%s (loss %.9g against %.9g)\n",
               d->step, d->data ? " data" : "", d->weights ? " weights" : "",
               d->loss ? " loss" : "", d->loss_a, d->loss_b);
    if (d->checkpoint >= 0)
        printf("weights    step %" PRId64 ": %s differs first, at element %" PRId64
               " (%.9g against %.9g), %" PRId64 " elements of it; in the stripe of rank %d / %d\n",
               d->checkpoint, d->tensor, d->element, d->value_a, d->value_b, d->elements, d->rank_a,
               d->rank_b);
    else
        printf("weights    the same bits in %" PRId64 " checkpoints of the same step\n",
               d->compared);
    printf("arithmetic A %s\n           B %s\n", d->arithmetic[0], d->arithmetic[1]);
}

static void print_json(const run_difference *d)
{
    printf("{\"steps\":%" PRId64 ",\"first_step\":", d->steps);
    if (d->step < 0)
        printf("null");
    else
        printf("%" PRId64, d->step);
    printf(",\"data\":%s,\"weights\":%s,\"loss\":%s,\"checkpoints\":%" PRId64 ",\"tensor\":",
           d->data ? "true" : "false", d->weights ? "true" : "false", d->loss ? "true" : "false",
           d->compared);
    if (d->checkpoint < 0)
        printf("null}\n");
    else
        printf("\"%s\",\"checkpoint\":%" PRId64 ",\"element\":%" PRId64 ",\"elements\":%" PRId64
               ",\"rank_a\":%d,\"rank_b\":%d}\n",
               d->tensor, d->checkpoint, d->element, d->elements, d->rank_a, d->rank_b);
}

static status run(int argc, char **argv, const char **rest)
{
    bool json = false;
    const cli_option options[] = {{"--json", NULL, &json}, {NULL, NULL, NULL}};
    int count;
    TRY(cli_parse(argc, argv, options, rest, &count));
    REQUIRE(count == 2, ERR_CONFIG, "diff needs two run directories: isoflop diff RUN_A RUN_B");
    run_difference *d = calloc(1, sizeof *d);
    REQUIRE(d, ERR_MEMORY, "no memory");
    status s = compare_runs(d, rest[0], rest[1]);
    if (s == OK) json ? print_json(d) : print_text(d);
    if (s == OK && (d->step >= 0 || d->checkpoint >= 0)) s = FOUND;
    free(d);
    return s;
}

int cmd_diff(int argc, char **argv)
{
    if (cli_help(argc, argv, help)) return OK;
    const char **rest = calloc((size_t)argc + 1, sizeof *rest);
    int code = cli_report(rest ? run(argc, argv, rest) : ERR_MEMORY);
    free(rest);
    return code;
}
