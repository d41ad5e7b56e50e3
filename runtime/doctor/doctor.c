#include "doctor/doctor.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void doctor_add(doctor_report *r, const char *check, bool fault, const char *where, const char *fix,
                const char *what, ...)
{
    if (r->count == r->capacity) {
        int32_t capacity = 2 * r->capacity + 16;
        finding *more = realloc(r->findings, (size_t)capacity * sizeof *more);
        ASSERT(more);
        r->findings = more;
        r->capacity = capacity;
    }
    finding *f = &r->findings[r->count++];
    *f = (finding){.fault = fault};
    (void)snprintf(f->check, sizeof f->check, "%s", check);
    (void)snprintf(f->where, sizeof f->where, "%s", where);
    (void)snprintf(f->fix, sizeof f->fix, "%s", fix);
    va_list arguments;
    va_start(arguments, what);
    (void)vsnprintf(f->what, sizeof f->what, what, arguments);
    va_end(arguments);
}

const char *doctor_at(const doctor_report *r, int32_t rank, char out[DOCTOR_TEXT])
{
    const rank_place *p = &r->places[rank];
    (void)snprintf(out, DOCTOR_TEXT, "rank %d on %s", rank, p->node[0] ? p->node : p->host);
    return out;
}

status doctor_run(doctor_report *out, world *w, const doctor_options *options)
{
    static const char *const backends_by_choice[] = {"auto", "ref", "cpu", "cuda"};
    const config *cfg = options->cfg;
    *out = (doctor_report){.ranks = world_size(w),
                           .nodes = world_nodes(w),
                           .latency_s = (double)NAN,
                           .bytes_per_s = (double)NAN,
                           .checkpoint_s = (double)NAN,
                           .least_time_s = (double)NAN};
    out->places = calloc((size_t)out->ranks, sizeof *out->places);
    REQUIRE(out->places, ERR_MEMORY, "no memory for %d ranks", out->ranks);
    TRY(doctor_places(out, w, cfg ? backends_by_choice[cfg->run.backend] : "auto"));
    TRY(doctor_gpus(out, w));
    TRY(doctor_storage(out, w, options->folder));
    TRY(doctor_clocks(out, w));
    TRY(doctor_links(out, w));
    return doctor_fit(out, w, options);
}

void doctor_report_deinit(doctor_report *r)
{
    free(r->findings);
    free(r->places);
    *r = (doctor_report){0};
}

int32_t doctor_faults(const doctor_report *r)
{
    int32_t faults = 0;
    for (int32_t i = 0; i < r->count; i++) faults += r->findings[i].fault;
    return faults;
}
