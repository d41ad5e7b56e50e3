/* data_files.h — files of tokens and text for the tests of runtime/data, in a folder that is
 * removed. */
#ifndef DATA_DATA_FILES_H
#define DATA_DATA_FILES_H

#include "config/config.h"

#include <stdint.h>

/* A new folder; its path stays valid until the process ends, and so does the folder. */
const char *files_folder(void);
/* folder/name, in one of 512 buffers that take turns. */
const char *files_path(const char *folder, const char *name);
void files_write(const char *path, const void *bytes, int64_t count);
void files_write_text(const char *path, const char *text);
/* The whole file, malloc'ed. */
uint8_t *files_read(const char *path, int64_t *count);
/* True if both files hold the same bytes. */
bool files_equal(const char *a, const char *b);
/* Changes one byte. */
void files_damage(const char *path, int64_t offset);

/* An llm.c file of these ids (version 7 with 32-bit tokens if wide). */
void files_write_llmc(const char *path, const int32_t *ids, int64_t count, bool wide);
/* PREFIX.bin and PREFIX.idx: uint16 ids in sequences of these lengths, one document each. */
void files_write_megatron(const char *prefix, const int32_t *ids, const int32_t *lengths,
                          int32_t sequences);
/* A config whose data.train and data.validation are this source. */
config files_config(const char *source, int64_t context, int64_t vocab);
/* Text with many words of `letters`, the same for the same seed: about bytes long, lines of ten
 * words. */
char *files_words(uint64_t seed, int64_t bytes);
/* Letters of many scripts, white space of all kinds, contractions, and bytes that are not UTF-8. */
uint8_t *files_mixture(uint64_t seed, int64_t bytes);

#endif
