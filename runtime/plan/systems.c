#include "plan/systems.h"

#include "config/rows.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

// clang-format off
#define VALUE_FIELDS(I64, F64, TEXT, ENUM, BOOL, quantity, meaning)                                          \
    F64(quantity##_value, 1e-9, 1e40, UNKNOWN, NO, meaning)                                                   \
    F64(quantity##_high,  1e-9, 1e40, UNKNOWN, NO, "upper end where a range is given")                        \
    TEXT(quantity##_source, 120, "", NO, "where it stands")                                                   \
    TEXT(quantity##_note, 96, "", NO, "what a reader must know")                                              \
    ENUM(quantity##_status, "unknown|article|read|secondary|recalled|derived", "unknown", NO, "how it is known")

#define SYSTEM_FIELDS(I64, F64, TEXT, ENUM, BOOL)                                                            \
    TEXT(title, 48, REQUIRED, NO, "as people call it")                                                        \
    ENUM(kind, "dense|finetuned|retrieval|sparse", REQUIRED, NO, "which laws are about it")                   \
    TEXT(base, 48, "", NO, "row it was fine-tuned from")                                                      \
    TEXT(hardware, 96, "", NO, "chips")                                                                       \
    TEXT(note, 128, "", NO, "what a reader must know")                                                        \
    VALUE_FIELDS(I64, F64, TEXT, ENUM, BOOL, params, "parameters")                                            \
    VALUE_FIELDS(I64, F64, TEXT, ENUM, BOOL, params_active, "parameters at work on one token")                \
    VALUE_FIELDS(I64, F64, TEXT, ENUM, BOOL, tokens, "tokens read in training")                               \
    VALUE_FIELDS(I64, F64, TEXT, ENUM, BOOL, finetune_tokens, "tokens read after that")                       \
    VALUE_FIELDS(I64, F64, TEXT, ENUM, BOOL, flops, "training compute as published")                          \
    VALUE_FIELDS(I64, F64, TEXT, ENUM, BOOL, chip_hours, "chips x hours")                                     \
    VALUE_FIELDS(I64, F64, TEXT, ENUM, BOOL, energy_mwh, "energy of training")                                \
    VALUE_FIELDS(I64, F64, TEXT, ENUM, BOOL, co2_t, "tonnes of CO2 equivalent")                               \
    VALUE_FIELDS(I64, F64, TEXT, ENUM, BOOL, cost_usd, "US dollars")
// clang-format on

ROWS_STRUCT(system_fields, SYSTEM_FIELDS)
ROWS_KIND(system_rows, "system", system_fields, SYSTEM_FIELDS)

static const char *const statuses[] = {"unknown",   "article",  "read",
                                       "secondary", "recalled", "derived"};

const char *system_quantity_name(system_quantity q)
{
    static const char *const names[SYSTEM_QUANTITIES] = {"params",     "params_active",
                                                         "tokens",     "finetune_tokens",
                                                         "flops",      "chip_hours",
                                                         "energy_mwh", "co2_t",
                                                         "cost_usd"};
    return names[q];
}

const char *system_kind_name(system_kind k)
{
    static const char *const names[] = {"dense", "finetuned", "retrieval", "sparse"};
    return names[k];
}

static void set_value(system_value *out, double value, double high, const char *source,
                      const char *note, int32_t known)
{
    *out = (system_value){.value = value, .high = high, .status = statuses[known]};
    (void)snprintf(out->source, sizeof out->source, "%s", source);
    (void)snprintf(out->note, sizeof out->note, "%s", note);
}

static status take_row(void *context, const char *place, const char *name, const void *from)
{
    systems *s = context;
    const system_fields *in = from;
    if (s->count == s->capacity) {
        const int32_t capacity = s->capacity ? 2 * s->capacity : 16;
        system_row *more = realloc(s->row, (size_t)capacity * sizeof *more);
        REQUIRE(more, ERR_MEMORY, "no memory for the systems");
        s->row = more;
        s->capacity = capacity;
    }
    system_row *row = &s->row[s->count];
    memset(row, 0, sizeof *row);
    (void)snprintf(row->name, sizeof row->name, "%s", name);
    memcpy(row->title, in->title, sizeof row->title);
    memcpy(row->base, in->base, sizeof row->base);
    memcpy(row->hardware, in->hardware, sizeof row->hardware);
    memcpy(row->note, in->note, sizeof row->note);
    row->kind = (system_kind)in->kind;
#define SET(index, quantity)                                                                       \
    set_value(&row->of[index], in->quantity##_value, in->quantity##_high, in->quantity##_source,   \
              in->quantity##_note, in->quantity##_status)
    SET(SYSTEM_PARAMS, params);
    SET(SYSTEM_PARAMS_ACTIVE, params_active);
    SET(SYSTEM_TOKENS, tokens);
    SET(SYSTEM_FINETUNE_TOKENS, finetune_tokens);
    SET(SYSTEM_FLOPS, flops);
    SET(SYSTEM_CHIP_HOURS, chip_hours);
    SET(SYSTEM_ENERGY_MWH, energy_mwh);
    SET(SYSTEM_CO2_T, co2_t);
    SET(SYSTEM_COST_USD, cost_usd);
#undef SET
    for (int q = 0; q < SYSTEM_QUANTITIES; q++) {
        const system_value *v = &row->of[q];
        REQUIRE(!isfinite(v->value) || (v->source[0] && v->status != statuses[0]), ERR_CONFIG,
                "%s: %s: a value needs its source and status", place,
                system_quantity_name((system_quantity)q));
    }
    s->count++;
    return OK;
}

status systems_read(systems *out)
{
    const row_kind kind = system_rows();
    *out = (systems){0};
    return rows_load("systems", &kind, take_row, out);
}

void systems_deinit(systems *s)
{
    free(s->row);
    *s = (systems){0};
}

double system_six_nd(const system_row *row)
{
    const double active = row->of[SYSTEM_PARAMS_ACTIVE].value;
    return 6 * (isfinite(active) ? active : row->of[SYSTEM_PARAMS].value) *
           row->of[SYSTEM_TOKENS].value;
}

double system_loss(const system_row *row, const published_law *by)
{
    const bool about = row->kind == SYSTEM_DENSE || row->kind == SYSTEM_FINETUNED;
    if (!about || by->without_embedding) return NAN;
    const law_case at = {.params = row->of[SYSTEM_PARAMS].value,
                         .tokens = row->of[SYSTEM_TOKENS].value};
    if (!isfinite(at.params) || !isfinite(at.tokens)) return NAN;
    return published_loss(by, at);
}
