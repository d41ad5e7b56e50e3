/* mock.h — a pretended GPU in host memory, behind the toolkit's own prototypes.
 *
 * Streams are queues of closures; what runs when is chosen so as to break programs that lack a
 * dependency. Environment:
 *   MOCK_SCHED=eager   each operation runs when it is issued (hides every race)
 *   MOCK_SCHED=lazy    nothing runs until the host waits for it, and then only what it needs
 *   MOCK_SCHED=ahead   as eager, but a collective only runs when something needs it
 *   MOCK_SCHED=rand    ready operations of different streams run in a random order (MOCK_SEED)
 *   MOCK_BLAS=plain    the product library has no epilogues
 *   MOCK_SUMS=device   its sums are as inexact as a device's may be (slow)
 *   MOCK_GPUS=N        GPUs of this machine (default 8; 0: none; -1: nor a driver)
 *   MOCK_MIB=N         memory of each (default 8192)
 *   MOCK_CAPTURE=no    recording of a stream ends with an error
 *   MOCK_HANG=R:N      rank R never takes part in its collective number N
 * Device memory starts as NaNs, ends at a page that cannot be touched and, where the processor has
 * protection keys, faults when the host reads or writes it: only queued work may.
 * A misuse that a real library would refuse, or that would be undefined, ends the program with one
 * line. What this cannot show is listed in README.md. */
#ifndef CUDA_EMU_MOCK_H
#define CUDA_EMU_MOCK_H

#include <cuda_runtime_api.h>

#include <functional>

namespace mock
{
/* Queues work behind what the stream holds. poll, if given, is asked after work has run until it
 * says that the operation is complete; others may run meanwhile. */
void enqueue(cudaStream_t stream, std::function<void()> work, std::function<bool()> poll = nullptr);
/* All of [p, p + bytes) is one allocation of device memory. */
bool on_device(const void *p, size_t bytes);
/* A stream is being recorded. */
bool recording();
/* Ends the program with this line unless ok. printf-style. */
void require(bool ok, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* True once in `of` times; only under rand. */
bool chance(unsigned of);
} // namespace mock

#endif
