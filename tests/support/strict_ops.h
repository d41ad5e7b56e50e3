/* strict_ops.h — a backend that wraps another one and distrusts it.
 * Before each op outputs are filled with one NaN pattern and inputs are summed; after it (and a
 * sync) no output may still hold the pattern, no input may have changed, and the guard bands around
 * every allocation must be whole. A breach is ERR_INTERNAL, naming op and field. Calls, FLOPs and
 * bytes are counted.
 * Opened with device_options.path = "BACKEND" or "BACKEND:PATH", e.g. "cpu:avx2".              */
#ifndef SUPPORT_STRICT_OPS_H
#define SUPPORT_STRICT_OPS_H

#include "support/op_table.h"

typedef struct strict_counts {
    int64_t calls[OP_COUNT];
    double flops;  /* op_flops of all calls */
    int64_t bytes; /* op_bytes of all calls */
    int64_t allocated_bytes;
} strict_counts;

extern const ops strict_ops;

/* The same over any table of functions, for faulty ones in tests. The caller closes through
 * strict_ops. */
status strict_open_over(device **out, const ops *inner, const device_options *options);

/* Borrowed; valid until the device is closed. */
const strict_counts *strict_counts_view(const device *d);

#endif
