#include "plan_systems.h"

#include "base/json.h"
#include "cli.h"
#include "plan_print.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* The laws of the table; JSON has all that give a loss of N and D. */
static const char *const shown[] = {"hoffmann-3", "besiroglu", "muennighoff"};
enum { SHOWN = sizeof shown / sizeof shown[0] };

static bool gives_loss(const published_law *row)
{
    const uint32_t both = LAW_OF_PARAMS | LAW_OF_TOKENS;
    return row->form && (row->form->needs & both) == both && !row->without_embedding &&
           !(row->form->needs & LAW_OF_UNIQUE);
}

/* --- text ----------------------------------------------------------------- */

static void print_sizes(const systems *s)
{
    printf("%-14s %-10s %8s %8s %8s %8s %9s %9s\n", "system", "", "params", "active", "tokens",
           "tok/par", "FLOPs", "6 N D");
    for (int32_t i = 0; i < s->count; i++) {
        const system_row *r = &s->row[i];
        const double n = r->of[SYSTEM_PARAMS].value, d = r->of[SYSTEM_TOKENS].value;
        char params[32], active[32], tokens[32], ratio[16] = "-", flops[16] = "-", six[16] = "-";
        if (isfinite(n) && isfinite(d)) (void)snprintf(ratio, sizeof ratio, "%.2g", d / n);
        if (isfinite(r->of[SYSTEM_FLOPS].value))
            (void)snprintf(flops, sizeof flops, "%.3g", r->of[SYSTEM_FLOPS].value);
        if (isfinite(system_six_nd(r))) (void)snprintf(six, sizeof six, "%.3g", system_six_nd(r));
        printf("%-14s %-10s %8s %8s %8s %8s %9s %9s\n", r->title,
               r->kind == SYSTEM_DENSE ? "" : system_kind_name(r->kind),
               plan_print_count(params, n),
               plan_print_count(active, r->of[SYSTEM_PARAMS_ACTIVE].value),
               plan_print_count(tokens, d), ratio, flops, six);
    }
}

/* "9M..23M", ">4M" are in the notes of the JSON; here the value and a mark. */
static void print_costs(const systems *s, const published *laws_known)
{
    printf("\n%-14s %10s %7s %7s %9s", "system", "chip-hours", "MWh", "t CO2", "US$");
    for (int k = 0; k < SHOWN; k++) printf(" %12s", shown[k]);
    (void)putchar('\n');
    for (int32_t i = 0; i < s->count; i++) {
        const system_row *r = &s->row[i];
        char hours[32], energy[16] = "-", co2[16] = "-", money[48] = "-", low[32], high[32];
        const system_value *cost = &r->of[SYSTEM_COST_USD];
        if (isfinite(r->of[SYSTEM_ENERGY_MWH].value))
            (void)snprintf(energy, sizeof energy, "%.0f", r->of[SYSTEM_ENERGY_MWH].value);
        if (isfinite(r->of[SYSTEM_CO2_T].value))
            (void)snprintf(co2, sizeof co2, "%.3g", r->of[SYSTEM_CO2_T].value);
        if (isfinite(cost->value))
            (void)snprintf(money, sizeof money, "%s%.12s%s%.12s",
                           strncmp(cost->note, "more than", 9) == 0 ? ">" : "",
                           plan_print_count(low, cost->value), isfinite(cost->high) ? ".." : "",
                           isfinite(cost->high) ? plan_print_count(high, cost->high) : "");
        printf("%-14s %10s %7s %7s %9s", r->title,
               plan_print_count(hours, r->of[SYSTEM_CHIP_HOURS].value), energy, co2, money);
        for (int k = 0; k < SHOWN; k++) {
            const published_law *by = published_find(laws_known, shown[k]);
            const double loss = by ? system_loss(r, by) : NAN;
            if (isfinite(loss))
                printf(" %12.4f", loss);
            else
                printf(" %12s", "-");
        }
        (void)putchar('\n');
    }
}

static void print_text(const systems *s, const published *laws_known)
{
    print_sizes(s);
    print_costs(s, laws_known);
    printf("\n");
    plan_print_wrapped("-", "unknown: nobody published it");
    plan_print_wrapped("losses",
                       "what each law predicts on its own data (hoffmann-3 and besiroglu: "
                       "MassiveText, muennighoff: C4); they cannot be compared across "
                       "laws, nor with the losses these systems reached");
    plan_print_wrapped("no loss",
                       "RETRO reads a database, GLaM works with a part of its parameters, "
                       "LaMDA's tokens are unknown: no law of N and D is about them");
    plan_print_wrapped("Minerva",
                       "fine-tuned PaLM: size, tokens and loss are of the PaLM it starts "
                       "from");
    plan_print_wrapped("sources", "plan --systems --json has the source and status of every value");
}

/* --- JSON ----------------------------------------------------------------- */

static json_t *value_object(const system_value *v)
{
    if (!isfinite(v->value)) return json_null();
    json_t *o =
        json_pack("{s:f, s:s, s:s}", "value", v->value, "source", v->source, "status", v->status);
    if (isfinite(v->high)) json_object_set_new(o, "high", json_real(v->high));
    if (v->note[0]) json_object_set_new(o, "note", json_string(v->note));
    return o;
}

static json_t *system_object(const system_row *r, const published *laws_known)
{
    json_t *o = json_object(), *losses = json_object();
    json_object_set_new(o, "name", json_string(r->name));
    json_object_set_new(o, "title", json_string(r->title));
    json_object_set_new(o, "kind", json_string(system_kind_name(r->kind)));
    json_object_set_new(o, "base", r->base[0] ? json_string(r->base) : json_null());
    json_object_set_new(o, "hardware", r->hardware[0] ? json_string(r->hardware) : json_null());
    json_object_set_new(o, "note", r->note[0] ? json_string(r->note) : json_null());
    for (int q = 0; q < SYSTEM_QUANTITIES; q++)
        json_object_set_new(o, system_quantity_name((system_quantity)q), value_object(&r->of[q]));
    json_object_set_new(o, "six_nd", json_finite(system_six_nd(r)));
    for (int32_t i = 0; i < laws_known->count; i++)
        if (gives_loss(&laws_known->row[i]))
            json_object_set_new(losses, laws_known->row[i].name,
                                json_finite(system_loss(r, &laws_known->row[i])));
    json_object_set_new(o, "loss", losses);
    return o;
}

static status print_json(const systems *s, const published *laws_known)
{
    json_t *list = json_array();
    for (int32_t i = 0; i < s->count; i++)
        json_array_append_new(list, system_object(&s->row[i], laws_known));
    json_t *root = json_pack("{s:i, s:o}", "schema", 1, "systems", list);
    return cli_json(root);
}

status plan_systems(bool json)
{
    systems s = {0};
    published known = {0};
    status code = systems_read(&s);
    if (code == OK) code = published_read(&known);
    if (code == OK && json)
        code = print_json(&s, &known);
    else if (code == OK)
        print_text(&s, &known);
    systems_deinit(&s);
    published_deinit(&known);
    return code;
}
