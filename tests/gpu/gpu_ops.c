/* gpu_ops.c — every op case of backend cuda against ref, without a test library: for machines that
 * have a GPU and little else. One JSON line per op, then the verdict.
 *   gpu_ops [--op NAME] [--small] [--own | --products] [--strict | --cudnn]
 * --small leaves out large shapes, --own the ops that call cuBLASLt and --products all others (for
 * compute-sanitizer); --strict checks guards and inputs too; --cudnn runs those of attention that
 * cuDNN takes, twice each: 77 without the library.
 */
#include "support/op_near.h"
#include "support/targets.h"

#include <stdio.h>
#include <stdlib.h>

enum { SMALL_ELEMENTS = 1 << 16 };

typedef struct options {
    const char *op;
    bool small, strict, cudnn, own, products;
} options;

static bool parse(options *o, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--op") == 0 && i + 1 < argc)
            o->op = argv[++i];
        else if (strcmp(argv[i], "--small") == 0)
            o->small = true;
        else if (strcmp(argv[i], "--own") == 0)
            o->own = true;
        else if (strcmp(argv[i], "--products") == 0)
            o->products = true;
        else if (strcmp(argv[i], "--strict") == 0)
            o->strict = true;
        else if (strcmp(argv[i], "--cudnn") == 0)
            o->cudnn = true;
        else
            return false;
    }
    return !(o->strict && o->cudnn) && !(o->own && o->products);
}

/* Whether this op is among those asked for. */
static bool asked_for(const options *o, op_id op)
{
    const bool product = op == OP_linear || op == OP_linear_backward_input ||
                         op == OP_linear_backward_weight || op == OP_head;
    if (o->op && strcmp(o->op, op_table[op].name) != 0) return false;
    return product ? !o->own : !o->products;
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

/* Attention by cuDNN; false: not for this case. */
static bool chosen(const ops *o, device *d, const op_call *call)
{
    char why[200];
    if (call->op != OP_attention && call->op != OP_attention_backward) return false;
    if (o->choose_attention(d, "cudnn", &call->shapes, why, sizeof why) == OK) return true;
    fprintf(stderr, "left out: %s: %s\n", call->name, status_message());
    return false;
}

/* The same bits again: what cuDNN promises without saying so. */
static bool repeats(const ops *o, device *d, const op_call *inputs, const op_call *got, char *text,
                    size_t bytes)
{
    op_call again;
    op_call_copy(&again, inputs);
    bool same = op_call_run(&again, o, d, 0x41) == OK;
    for (int i = 0; i < op_table[got->op].fields; i++) {
        tensor a = op_field_get(got->op, &got->args, i), b = op_field_get(got->op, &again.args, i);
        if (a.data) same &= memcmp(a.data, b.data, (size_t)tensor_bytes(a)) == 0;
    }
    if (!same) (void)snprintf(text, bytes, "%s: other bits the second time", got->name);
    op_call_free(&again);
    return same;
}

/* 1 passed, 0 failed, -1 left out */
static int run_case(const options *how, const ops *o, device *d, device *ref, const op_case *c,
                    dtype act)
{
    op_call expected, got, inputs;
    char text[800] = "";
    int passed = -1;
    op_call_build(&expected, c, act);
    op_call_copy(&got, &expected);
    op_call_copy(&inputs, &expected);
    if ((!how->small || elements(&got) <= SMALL_ELEMENTS) && (!how->cudnn || chosen(o, d, &got))) {
        bool ran = op_call_run(&expected, &ref_ops, ref, 0xff) == OK &&
                   op_call_run(&got, o, d, 0xff) == OK;
        if (!ran) (void)snprintf(text, sizeof text, "%s: %s", got.name, status_message());
        passed = ran && op_near(&got, &expected, "cuda", text, sizeof text);
        if (passed && how->cudnn) passed = repeats(o, d, &inputs, &got, text, sizeof text);
        if (!passed) fprintf(stderr, "FAILED %s\n", text);
    }
    op_call_free(&expected);
    op_call_free(&got);
    op_call_free(&inputs);
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
        fprintf(stderr,
                "usage: gpu_ops [--op NAME] [--small] [--own | --products] [--strict | --cudnn]\n");
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
        if (!asked_for(&o, (op_id)op)) continue;
        for (int i = 0; i < op_case_count(); i++) {
            if ((int)op_cases[i].op != op) continue;
            for (int act = 0; act < (op_case_uses_act(&op_cases[i]) ? 2 : 1); act++) {
                int result =
                    run_case(&o, backend, d, ref, &op_cases[i], act ? DTYPE_BF16 : DTYPE_F32);
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
    return failed ? 1 : o.cudnn && passed == 0 ? 77 : 0;
}
