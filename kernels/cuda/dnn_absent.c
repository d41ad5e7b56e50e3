/* dnn_absent.c — in place of dnn_attention.c where the headers of cuDNN 9 were not found. */
#include "kernels/cuda/dnn_attention.h"

#include <stdio.h>

status dnn_attention_open(dnn_attention **out, const op_shapes *shapes, cudaStream_t stream,
                          const char *properties)
{
    (void)out, (void)shapes, (void)stream, (void)properties;
    FAIL(ERR_CONFIG, "this build has no cuDNN: its headers (cudnn_graph.h, 9 or newer) were not "
                     "there when it was configured");
}

void dnn_attention_close(dnn_attention *a) { (void)a; }
int64_t dnn_attention_workspace(const dnn_attention *a) { return (void)a, 0; }

void dnn_attention_version(const dnn_attention *a, char *text, size_t bytes)
{
    (void)a;
    (void)snprintf(text, bytes, "absent");
}

status dnn_attention_forward(const dnn_attention *a, const attention_args *args, void *workspace)
{
    (void)a, (void)args, (void)workspace;
    FAIL(ERR_INTERNAL, "there is no cuDNN");
}

status dnn_attention_backward(const dnn_attention *a, const attention_backward_args *args,
                              void *workspace)
{
    (void)a, (void)args, (void)workspace;
    FAIL(ERR_INTERNAL, "there is no cuDNN");
}
