/* cuda_device.h — one GPU as the backend sees it: streams, events, staging, scratch. Private to
 * kernels/cuda.
 *
 * Everything is queued on two streams: compute, and copies with communication. Host memory reaches
 * the device through pinned staging, so a queued copy never reads memory its owner may change.  */
#ifndef KERNELS_CUDA_CUDA_DEVICE_H
#define KERNELS_CUDA_CUDA_DEVICE_H

#include "kernels/cuda/cuda_kernels.h"
#include "kernels/cuda/cuda_linear.h"
#include "kernels/cuda/dnn_attention.h"

/* Fails with ERR_DEVICE and the library's own words. */
#define CUDA_TRY(call)                                                                             \
    do {                                                                                           \
        cudaError_t cuda_code_ = (call);                                                           \
        if (cuda_code_ != cudaSuccess) return cuda_failed(cuda_code_, #call, __FILE__, __LINE__);  \
    } while (0)
status cuda_failed(cudaError_t code, const char *call, const char *file, int line);

/* Raised when kernels change their results: part of the arithmetic id. */
enum { CUDA_KERNELS_VERSION = 1 };

enum { STAGING_SLOTS = 4, STAGING_BYTES = 4 << 20 };

/* Pinned memory that copies go through, slot after slot; small uploads share one. */
typedef struct cuda_staging {
    char *slot[STAGING_SLOTS];
    cudaEvent_t free[STAGING_SLOTS]; /* recorded after the last copy that uses the slot */
    int32_t next;
    int64_t filled; /* bytes that uploads took of the slot before `next`; all: none to share */
} cuda_staging;

/* What is started one after the other on a device, and takes memory there. */
typedef enum cuda_start { START_CONTEXT, START_PRODUCTS, START_ATTENTION, STARTS } cuda_start;

struct device {
    int32_t index; /* of CUDA */
    struct cudaDeviceProp properties;
    cudaStream_t stream[2]; /* by queue */
    cudaEvent_t event[EVENTS_MAX];
    cudaEvent_t timer[2];
    cudaGraphExec_t graph[GRAPHS_MAX];
    cuda_staging staging;
    cuda_fault *fault, *fault_host; /* device memory; pinned */
    cuda_call call;                 /* what kernels get */
    linear_plans plans;
    cuda_scratch scratch;
    dnn_attention *dnn;    /* NULL: own kernels */
    int64_t grown[STARTS]; /* device memory in use by then that was not before; -1: not measured */
    void *dnn_scratch;
};

status cuda_open(device **out, const device_options *options);
void cuda_close(device *d);
int32_t cuda_present(char *why, size_t bytes);
void cuda_describe(const device *d, char *text, size_t bytes);
status cuda_choose_attention(device *d, const char *wanted, const op_shapes *shapes, char *why,
                             size_t bytes);
int64_t cuda_workspace_bytes(const device *d, const op_shapes *shapes);
status cuda_reserve(device *d, void *workspace, int64_t bytes, const op_shapes *shapes);
int64_t cuda_used_bytes(const device *d);
int32_t cuda_parts(const device *d, const op_shapes *shapes, device_part *out);
status cuda_alloc(device *d, void **out, int64_t bytes);
void cuda_release(device *d, void *memory, int64_t bytes);
status cuda_upload(device *d, void *to, const void *from_host, int64_t bytes);
status cuda_download(device *d, void *to_host, const void *from, int64_t bytes);
status cuda_zero(device *d, void *memory, int64_t bytes);
status cuda_event_record(device *d, int32_t event, queue q);
status cuda_queue_wait(device *d, queue q, int32_t event);
/* Waits for the compute queue; also reports ids outside their table that a kernel met. */
status cuda_sync(device *d);
/* See ops.h. Capture is relaxed for other threads: only this one's calls are recorded or refused.
 */
status cuda_graph_begin(device *d);
status cuda_graph_end(device *d, int32_t graph);
status cuda_graph_launch(device *d, int32_t graph);
void *cuda_native_queue(device *d, queue q);
void cuda_bus_id(const device *d, char *text, size_t bytes);

#endif
