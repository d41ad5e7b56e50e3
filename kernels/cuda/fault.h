/* fault.h — how a kernel says that an id lies outside its table (cuda_fault).                  */
#ifndef KERNELS_CUDA_FAULT_H
#define KERNELS_CUDA_FAULT_H

#include "kernels/cuda/cuda_kernels.h"
#include "kernels/cuda/ptx.h"

/* the first thread that finds one keeps it */
DEVICE void report_fault(cuda_fault *fault, cuda_fault_op op, int32_t id, int64_t at, int64_t limit)
{
    if (atomicCAS(&fault->op, (int)CUDA_FAULT_NONE, (int)op) != CUDA_FAULT_NONE) return;
    fault->id = id;
    fault->at = at;
    fault->limit = limit;
}

#endif
