/* systems.h — the systems of the debate "is bigger better?", each value with its source:
 * configs/systems.yaml. What is not known is not a number.
 * Flow: config/rows.h -> systems -> launcher/plan_systems.h                                      */
#ifndef PLAN_SYSTEMS_H
#define PLAN_SYSTEMS_H

#include "law/published.h"

typedef struct system_value {
    double value, high; /* NaN: unknown; high: upper end where a range is given */
    char source[120], note[96];
    const char *status; /* static: "article", "read", "secondary", "recalled", "derived" */
} system_value;

typedef enum system_kind {
    SYSTEM_DENSE,
    SYSTEM_FINETUNED,
    SYSTEM_RETRIEVAL,
    SYSTEM_SPARSE
} system_kind;

typedef enum system_quantity {
    SYSTEM_PARAMS,
    SYSTEM_PARAMS_ACTIVE,
    SYSTEM_TOKENS,
    SYSTEM_FINETUNE_TOKENS,
    SYSTEM_FLOPS,
    SYSTEM_CHIP_HOURS,
    SYSTEM_ENERGY_MWH,
    SYSTEM_CO2_T,
    SYSTEM_COST_USD,
    SYSTEM_QUANTITIES
} system_quantity;

typedef struct system_row {
    char name[96], title[48], base[48], hardware[96], note[128];
    system_kind kind;
    system_value of[SYSTEM_QUANTITIES];
} system_row;

typedef struct systems {
    system_row *row; /* owned */
    int32_t count, capacity;
} systems;

/* ERR_CONFIG names file, line and field. The caller deinits. */
status systems_read(systems *out);
void systems_deinit(systems *s);
const char *system_quantity_name(system_quantity q);
const char *system_kind_name(system_kind k);
/* 6 N D with the parameters that work; NaN where unknown. */
double system_six_nd(const system_row *row);
/* Loss of N and D under a law, on the law's own data; NaN where no dense law is about the system or
 * something is unknown. */
double system_loss(const system_row *row, const published_law *by);

#endif
