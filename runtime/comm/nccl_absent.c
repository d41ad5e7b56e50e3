#include "comm/comm_driver.h"

/* Several ranks with a GPU each, in a build without NCCL (or without MPI). */
status comm_open_nccl(comm **out, world *w, const comm_device *on, double deadline_s)
{
    (void)out, (void)on, (void)deadline_s;
    FAIL(ERR_CONFIG,
         "%d ranks with GPUs need NCCL, which this build lacks; use one rank, or configure with "
         "-DISOFLOP_CUDA=ON and -DISOFLOP_MPI=ON where nccl.h is installed",
         world_size(w));
}
