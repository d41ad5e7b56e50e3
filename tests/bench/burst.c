/* burst.c — the product rate of this core now (registers only), in GFLOP/s: printed beside every
 * timing, because the AMX rate of a core has two states. burst [f32|bf16] */
#include "kernels/ops.h"

#include <stdio.h>

int main(int argc, char **argv)
{
    device *d = NULL;
    const ops *o = NULL;
    dtype type = argc > 1 && strcmp(argv[1], "f32") == 0 ? DTYPE_F32 : DTYPE_BF16;
    status s = backend_find(&o, "cpu");
    if (s == OK) s = o->open(&d, &(device_options){.path = "auto"});
    if (s != OK) {
        (void)fprintf(stderr, "burst: %s\n", status_message());
        return (int)s;
    }
    /* the median of five */
    double rate[5];
    for (int i = 0; i < 5; i++) {
        rate[i] = o->burst(d, type);
        for (int j = i; j > 0 && rate[j] < rate[j - 1]; j--) {
            double larger = rate[j - 1];
            rate[j - 1] = rate[j];
            rate[j] = larger;
        }
    }
    (void)printf("%.0f\n", rate[2] * 1e-9);
    o->close(d);
    return 0;
}
