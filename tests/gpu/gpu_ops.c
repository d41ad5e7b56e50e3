/* gpu_ops.c — every op case of backend cuda against ref, without a test library: for machines that
 * have a GPU and little else. One JSON line per op, then the verdict.
 *   gpu_ops [--op NAME] [--small] [--strict]
 * --small leaves out large shapes (for compute-sanitizer); --strict checks guards and inputs too.
 */
#include "support/op_near.h"
#include "support/targets.h"

#include <stdio.h>
#include <stdlib.h>

enum { SMALL_ELEMENTS = 1 << 16 };

typedef struct options {
    const char *op;
    bool small, strict;
} options;

static bool parse(options *o, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--op") == 0 && i + 1 < argc)
            o->op = argv[++i];
        else if (strcmp(argv[i], "--small") == 0)
            o->small = true;
        else if (strcmp(argv[i], "--strict") == 0)
            o->strict = true;
        else
            return false;
    }
    return true;
}

/* The place of backend cuda among the targets; -1 if it was not built in. */
static int find_cuda(void)
{
    char name[64];
    for (int i = 0; i < target_count(); i++) {
        target_name(i, name, sizeof name);
        if (strcmp(name, "cuda") == 0) return i;
    }
    return -1;
}

static int64_t elements(const op_call *call)
{
    int64_t sum = 0;
    for (int i = 0; i < op_table[call->op].fields; i++) {
        tensor t = op_field_get(call->op, &call->args, i);
        if (t.data) sum += tensor_count(t);
    }
    return sum;
}

/* 1 passed, 0 failed, -1 left out */
static int run_case(const ops *o, device *d, device *ref, const op_case *c, dtype act, bool small)
{
    op_call expected, got;
    char text[800] = "";
    int passed = -1;
    op_call_build(&expected, c, act);
    op_call_copy(&got, &expected);
    if (!small || elements(&got) <= SMALL_ELEMENTS) {
        bool ran = op_call_run(&expected, &ref_ops, ref, 0xff) == OK &&
                   op_call_run(&got, o, d, 0xff) == OK;
        if (!ran) (void)snprintf(text, sizeof text, "%s: %s", got.name, status_message());
        passed = ran && op_near(&got, &expected, "cuda", text, sizeof text);
        if (!passed) fprintf(stderr, "FAILED %s\n", text);
    }
    op_call_free(&expected);
    op_call_free(&got);
    return passed;
}

int main(int argc, char **argv)
{
    options o = {0};
    const ops *backend;
    device *d, *ref;
    bool missing;
    int failed = 0, passed = 0, target = find_cuda();
    if (!parse(&o, argc, argv)) {
        fprintf(stderr, "usage: gpu_ops [--op NAME] [--small] [--strict]\n");
        return 2;
    }
    if (target < 0) {
        fprintf(stderr, "this build has no backend cuda\n");
        return 2;
    }
    status s = target_open(target, o.strict, &backend, &d, &missing);
    if (s == OK && missing) {
        fprintf(stderr, "no GPU\n");
        return 77;
    }
    if (s == OK) s = ref_ops.open(&ref, NULL);
    if (s != OK) {
        fprintf(stderr, "%s\n", status_message());
        return s;
    }
    for (int op = 0; op < OP_COUNT; op++) {
        int good = 0, bad = 0;
        if (o.op && strcmp(o.op, op_table[op].name) != 0) continue;
        for (int i = 0; i < op_case_count(); i++) {
            if ((int)op_cases[i].op != op) continue;
            for (int act = 0; act < (op_case_uses_act(&op_cases[i]) ? 2 : 1); act++) {
                int result =
                    run_case(backend, d, ref, &op_cases[i], act ? DTYPE_BF16 : DTYPE_F32, o.small);
                good += result == 1;
                bad += result == 0;
            }
        }
        printf("{\"op\": \"%s\", \"passed\": %d, \"failed\": %d}\n", op_table[op].name, good, bad);
        passed += good;
        failed += bad;
    }
    ref_ops.close(ref);
    backend->close(d);
    fprintf(stderr, "%d op cases passed, %d failed\n", passed, failed);
    return failed ? 1 : 0;
}
