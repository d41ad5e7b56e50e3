#include "kernels/ops.h"

#include <stdio.h>

/* fastest first: auto takes the first that is present */
const ops *const backends[] = {
#ifdef HAVE_CUDA
    &cuda_ops,
#endif
    &cpu_ops,
    &ref_ops,
    NULL,
};

status backend_find(const ops **out, const char *name)
{
    bool any = strcmp(name, "auto") == 0;
    char names[64] = "auto";
    for (int i = 0; backends[i]; i++) {
        const ops *o = backends[i];
        if (any ? !o->present || o->present(NULL, 0) > 0 : strcmp(o->name, name) == 0) {
            *out = o;
            return OK;
        }
        (void)snprintf(names + strlen(names), sizeof names - strlen(names), ", %s", o->name);
    }
    FAIL(ERR_CONFIG, "backend: '%s' is not in this build; allowed: %s%s", name, names,
         strcmp(name, "cuda") == 0
             ? " (cuda: configure with -DISOFLOP_CUDA=ON where nvcc and cuBLASLt are installed)"
             : "");
}
