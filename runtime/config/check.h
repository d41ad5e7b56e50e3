/* check.h — where each value came from, and what one key says about another.
 * Private to runtime/config.                                                */
#ifndef CONFIG_CHECK_H
#define CONFIG_CHECK_H

#include "config/table.h"

/* The place of every value, for messages. */
typedef struct origin {
    const char *path;               /* the file                                       */
    const char *const *overrides;   /* of the command line                            */
    int32_t line[FIELDS_MAX];       /* by number of the key; > 0 line, 0 not given,
                                       < 0 override number -line - 1                  */
    int32_t section_line[SECTIONS]; /* the same for whole sections                    */
    int32_t row_line;               /* the same for the name of the model row         */
} origin;

enum { PLACE_BYTES = 512 };

/* "run.yaml:7: ", "override 'train.tokens=1': " or, for a value that nobody gave, "run.yaml: ". */
void origin_place(char out[PLACE_BYTES], const origin *o, int32_t line);

/* All relations between keys of a resolved config. */
status check_config(const config *cfg, const origin *o);

#endif
