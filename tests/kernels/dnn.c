/* attention by cuDNN, on a library of the same name for the pretended GPU: the op cases against
 * ref, one by one. */
#include "kernels/cuda/dnn_attention.h"
#include "op_test.h"
#include "support/op_near.h"

static bool is_attention(const op_case *c)
{
    return c->op == OP_attention || c->op == OP_attention_backward;
}

static device *open_cuda(void)
{
    device *d;
    cr_assert(cuda_ops.open(&d, &(device_options){0}) == OK, "%s", status_message());
    return d;
}

Test(dnn, attention_matches_ref_and_repeats_its_bits)
{
    device *d = open_cuda(), *ref;
    int ran = 0, left = 0;
    cr_assert(ref_ops.open(&ref, NULL) == OK);
    for (int i = 0; i < op_case_count(); i++) {
        if (!is_attention(&op_cases[i])) continue;
        char why[200], text[800] = "";
        op_call expected, got, again;
        op_call_build(&expected, &op_cases[i], DTYPE_BF16);
        op_call_copy(&got, &expected);
        op_call_copy(&again, &expected);
        status s = cuda_ops.choose_attention(d, "cudnn", &got.shapes, why, sizeof why);
        cr_assert(s == OK || s == ERR_CONFIG, "%s", status_message());
        if (s == OK) {
            const op_row *row = &op_table[got.op];
            cr_assert(op_call_run(&expected, &ref_ops, ref, 0xff) == OK);
            cr_assert(op_call_run(&got, &cuda_ops, d, 0xff) == OK, "%s", status_message());
            cr_assert(op_call_run(&again, &cuda_ops, d, 0x41) == OK, "%s", status_message());
            cr_expect(op_near(&got, &expected, "cudnn", text, sizeof text), "%s", text);
            for (int f = 0; f < row->fields; f++) {
                tensor a = op_field_get(got.op, &got.args, f);
                tensor b = op_field_get(got.op, &again.args, f);
                cr_expect(!a.data || memcmp(a.data, b.data, (size_t)tensor_bytes(a)) == 0, "%s",
                          got.name);
            }
            ran++;
        } else {
            left++;
        }
        op_call_free(&expected), op_call_free(&got), op_call_free(&again);
    }
    cr_expect(ran >= 12 && left >= 6, "%d over cuDNN, %d not", ran, left);
    ref_ops.close(ref);
    cuda_ops.close(d);
}

Test(dnn, plans_are_for_their_shapes_alone_and_choosing_again_forgets_them)
{
    device *d = open_cuda();
    char why[200];
    const op_case one = {OP_attention, 0, .B = 1, .T = 16, .NH = 2, .NKV = 2, .HS = 8};
    op_call call;
    op_call_build(&call, &one, DTYPE_BF16);
    op_shapes other = call.shapes;
    other.T = 32;
    const int64_t own = cuda_ops.workspace_bytes(d, &call.shapes);
    cr_assert(cuda_ops.choose_attention(d, "cudnn", &other, why, sizeof why) == OK, "%s",
              status_message());
    cr_expect(strncmp(why, "cuDNN 9.", 8) == 0, "%s", why);
    cr_expect(cuda_ops.workspace_bytes(d, &call.shapes) > own);
    cr_expect(op_call_run(&call, &cuda_ops, d, 0) == ERR_INTERNAL);
    cr_assert(cuda_ops.choose_attention(d, "auto", &other, why, sizeof why) == OK);
    cr_expect(strstr(why, "no measurement on a GPU") != NULL, "%s", why);
    cr_expect(cuda_ops.workspace_bytes(d, &call.shapes) == own);
    cr_expect(op_call_run(&call, &cuda_ops, d, 0) == OK, "%s", status_message());
    op_call_free(&call);
    cuda_ops.close(d);
}
