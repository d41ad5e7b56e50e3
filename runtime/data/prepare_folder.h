/* prepare_folder.h — the output folder of prepare: locked, filled below OUT/.prepare, then
 * renamed into place. Only what an earlier prepare wrote is ever replaced. Private to prepare.c. */
#ifndef DATA_PREPARE_FOLDER_H
#define DATA_PREPARE_FOLDER_H

#include "base/status.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct prepare_folder {
    char out[1024], stage[1100]; /* OUT, OUT/.prepare */
    int lock;                    /* descriptor of OUT; -1 */
    bool made;                   /* OUT did not exist     */
} prepare_folder;

/* Makes OUT, locks it, checks that it is empty (force: holds nothing that is not ours) and makes an
 * empty stage. */
status prepare_folder_init(prepare_folder *f, const char *out, bool force);
/* Renames the parts of the stage (count names, in this order) into OUT, removing the old part of
 * that name. */
status prepare_folder_publish(const prepare_folder *f, const char *const *parts, int32_t count);
/* Removes the stage and unlocks. */
void prepare_folder_deinit(prepare_folder *f);

#endif
