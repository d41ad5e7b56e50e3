#include "cli.h"
#include "commands.h"
#include "train/compare.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char help[] =
    "usage: isoflop diff RUN_A RUN_B [--json]\n"
    "\n"
    "Says where two runs part: the first step whose data, weights or loss differ (from the "
    "records),\n"
    "and from checkpoints of the same step the first tensor, element and rank.\n"
    "Exit code 0: the same; 10: they differ.\n"
    "\n"
    "  --json   one object\n"
    "\n"
    "example: isoflop diff runs/quickstart runs/longer\n";

/* One key of the configs in a line. */
static void print_keys(const char *key)
{
    for (const char *label = "configs   "; *key; label = "          ") {
        const char *end = strstr(key, "; ");
        if (!end) end = key + strlen(key);
        printf("%s %.*s\n", label, (int)(end - key), key);
        key = *end ? end + 2 : end;
    }
}

static void print_text(const run_difference *d)
{
    print_keys(d->config_keys);
    if (d->steps == 0 && d->step < 0)
        printf("records    no step in common\n");
    else if (d->step < 0)
        printf("records    the same losses, data and weights in all %" PRId64 " common steps\n",
               d->steps);
    else
        printf("records    first difference at step %" PRId64 ":%s%s%s (loss %.9g against %.9g)\n",
               d->step, d->data ? " data" : "", d->weights ? " weights" : "",
               d->loss ? " loss" : "", d->loss_a, d->loss_b);
    if (d->checkpoint >= 0)
        printf("weights    step %" PRId64 ": %s differs first,\n           at element %" PRId64
               " (%.9g against %.9g), %" PRId64
               " elements of it;\n           in the stripe of rank %d / %d\n",
               d->checkpoint, d->tensor, d->element, d->value_a, d->value_b, d->elements, d->rank_a,
               d->rank_b);
    else if (d->shapes)
        printf("weights    not compared: the runs have models of different shapes\n");
    else if (d->compared == 0)
        printf("weights    not compared: no step has a checkpoint in both\n");
    else
        printf("weights    the same bits in the checkpoints of %" PRId64 " step%s\n", d->compared,
               d->compared == 1 ? "" : "s");
    printf("arithmetic A %s\n           B %s\n", d->arithmetic[0], d->arithmetic[1]);
}

static bool found(const run_difference *d)
{
    return d->step >= 0 || d->checkpoint >= 0 || d->shapes;
}

static json_t *or_null(bool known, int64_t value)
{
    return known ? json_integer(value) : json_null();
}

static status print_json(const run_difference *d)
{
    const bool w = d->checkpoint >= 0;
    return cli_json(json_pack(
        "{s:b, s:o, s:I, s:o, s:b, s:b, s:b, s:o, s:o, s:I, s:b, s:o, s:o, s:o, s:o, s:o, s:o, "
        "s:o, s:o, s:[s, s]}",
        "differ", found(d), "config", d->config_keys[0] ? json_string(d->config_keys) : json_null(),
        "steps", (json_int_t)d->steps, "first_step", or_null(d->step >= 0, d->step), "data",
        d->data, "weights", d->weights, "loss", d->loss, "loss_a",
        json_finite(d->step < 0 ? (double)NAN : d->loss_a), "loss_b",
        json_finite(d->step < 0 ? (double)NAN : d->loss_b), "checkpoints", (json_int_t)d->compared,
        "other_shapes", d->shapes, "tensor", w ? json_string(d->tensor) : json_null(), "checkpoint",
        or_null(w, d->checkpoint), "element", or_null(w, d->element), "value_a",
        json_finite(w ? d->value_a : (double)NAN), "value_b",
        json_finite(w ? d->value_b : (double)NAN), "elements", or_null(w, d->elements), "rank_a",
        or_null(w, d->rank_a), "rank_b", or_null(w, d->rank_b), "arithmetic", d->arithmetic[0],
        d->arithmetic[1]));
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
    if (s == OK && json) s = print_json(d);
    if (s == OK && !json) print_text(d);
    if (s == OK && found(d)) s = FOUND;
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
