/* manifest.h — manifest.json of a checkpoint, and digests of whole files. */
#ifndef TRAIN_MANIFEST_H
#define TRAIN_MANIFEST_H

#include "train/checkpoint.h"

enum { MANIFEST_FILES = 3, MANIFEST_CHUNK_BYTES = 1 << 20 };

typedef struct manifest_file {
    const char *name;
    int64_t bytes;
    uint64_t digest;
} manifest_file;

extern const char *const manifest_names[MANIFEST_FILES];

/* Size and digest of folder/name; chunks are shared out over the ranks. COLLECTIVE over w. */
status manifest_digest(manifest_file *out, world *w, const char *folder, const char *name);
/* folder/manifest.json, durable. */
status manifest_write(const char *folder, const checkpoint_info *info,
                      const manifest_file files[MANIFEST_FILES]);
/* Reads text (NUL-terminated) of folder's manifest. ERR_IO names what is missing or of the wrong
 * type. */
status manifest_parse(checkpoint_info *out, manifest_file files[MANIFEST_FILES], const char *folder,
                      const char *text);

#endif
