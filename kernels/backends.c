#include "kernels/ops.h"

const ops *const backends[] = {&cpu_ops, &ref_ops, NULL};

status backend_find(const ops **out, const char *name)
{
    if (strcmp(name, "auto") == 0) {
        *out = &cpu_ops;
        return OK;
    }
    for (int i = 0; backends[i]; i++)
        if (strcmp(backends[i]->name, name) == 0) {
            *out = backends[i];
            return OK;
        }
    FAIL(ERR_CONFIG, "backend: '%s' is not in this build; allowed: auto, cpu, ref%s", name,
         strcmp(name, "cuda") == 0 ? " (the CUDA backend does not exist yet)" : "");
}
