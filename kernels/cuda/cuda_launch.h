/* cuda_launch.h — how a kernel is started, and its dynamic shared memory, on the device and on the
 * emulator (CUDA_EMU; tests/cuda_emu/cuda_emu.h).
 *
 * CUDA_LAUNCH(kernel, grid, block, shared_bytes, stream, arguments...) is an expression: the error
 * of the launch. A template instance goes in parentheses: CUDA_LAUNCH((norm_rows<float>), ...).
 * DYN_SHARED(T, name) declares T *name, the block's dynamic shared memory, 16-byte aligned.     */
#ifndef KERNELS_CUDA_CUDA_LAUNCH_H
#define KERNELS_CUDA_CUDA_LAUNCH_H

#ifdef CUDA_EMU
#include "cuda_emu.h"
#else
#include <cuda_runtime.h>

#include <stddef.h>

#define DYN_SHARED(T, name)                                                                        \
    extern __shared__ __align__(16) unsigned char cuda_dynamic_shared[];                           \
    T *name = reinterpret_cast<T *>(cuda_dynamic_shared)
#define CUDA_LAUNCH(kernel, grid, block, shared_bytes, stream, ...)                                \
    cuda_launch((kernel), (grid), (block), (shared_bytes), (stream), __VA_ARGS__)

/* Up to 48 KiB of shared memory need no asking, but what a kernel declares itself counts too: it
 * keeps to 16 KiB (tests/cuda_emu/budget). */
enum { SHARED_UNASKED = 32 * 1024 };
template <class... P, class... A>
static inline cudaError_t cuda_launch(void (*kernel)(P...), dim3 grid, dim3 block,
                                      size_t shared_bytes, cudaStream_t stream, A... arguments)
{
    if (shared_bytes > SHARED_UNASKED) {
        cudaError_t e =
            cudaFuncSetAttribute((const void *)kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                 (int)shared_bytes);
        if (e != cudaSuccess) return e;
    }
    kernel<<<grid, block, shared_bytes, stream>>>(arguments...);
    return cudaGetLastError();
}
#endif

#endif
