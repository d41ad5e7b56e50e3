/* safetensors.h — the file format of checkpoints: u64 header length, a JSON object naming each
 * tensor's type, shape and byte range, then the bytes. Only F32 is written and read. */
#ifndef TRAIN_SAFETENSORS_H
#define TRAIN_SAFETENSORS_H

#include "plan/layout.h"

/* A file seen through its header: where the bytes of each parameter row lie. */
typedef struct safetensors_map {
    int64_t data;    /* file offset of the first tensor byte          */
    int64_t bytes;   /* file size the header demands                  */
    int64_t *offset; /* (row_count) file offset of each row; owned    */
} safetensors_map;

/* Header (length word, JSON, padding to 64 bytes) for `copies` consecutive logical vectors; the
 * names of copy c are prefix[c] followed by the row's name. With it tensor bytes lie in logical
 * order. *out is malloc'ed. */
status safetensors_header(char **out, int64_t *header_bytes, const layout *l, int copies,
                          const char *const *prefix);
/* Reads and checks the header of an open file against the rows (names with this prefix): every row
 * present with its shape, type F32, ranges inside the file, file complete. ERR_IO names path,
 * tensor and what is wrong. deinit frees. */
status safetensors_map_init(safetensors_map *out, const char *path, int fd, const layout *l,
                            const char *prefix);
void safetensors_map_deinit(safetensors_map *m);
/* Logical elements [first, first + count) of the mapped vector. */
status safetensors_read(const safetensors_map *m, const char *path, int fd, const layout *l,
                        int64_t first, int64_t count, float *out);

#endif
