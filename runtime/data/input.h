/* input.h — documents out of files, folders, compressed files, stdin, JSON lines and gcide.
 * A list of names is expanded once (folders: every file below, sorted by path, names with a
 * leading dot left out) and can be read any number of times: stdin is copied to a temporary file.
 * Documents come in that order, in blocks. Where a document ends:
 *   JSON lines   a line is a document: the text of its field
 *   gcide        an entry of the dictionary
 *   other text   by the cut rule. auto: a file is a document, in pieces of 8 KiB and more, cut
 *                behind the first blank line (from 16 KiB on any line, at 32 KiB anywhere), which
 *                are joined again where neighbours meet in one split                          */
#ifndef DATA_INPUT_H
#define DATA_INPUT_H

#include "base/status.h"

#include <stdint.h>

typedef struct input input;
typedef enum cut_rule { CUT_AUTO, CUT_FILE, CUT_BLANK, CUT_LINE } cut_rule;

typedef struct input_options {
    const char *const *names; /* files, folders, "-", "gcide"                               */
    int32_t count;
    cut_rule cut;
    const char *field;   /* of a JSON line; NULL: "text", and stdin is plain text       */
    int64_t block_bytes; /* aim of a block; 0: 16 MiB                                    */
} input_options;

/* One document, or a line of JSON that holds it: bytes [offset, offset + count) of the block. */
typedef struct document {
    int64_t offset, count;
    const char *path; /* of its file; borrowed from the input */
    int64_t line;     /* JSON lines: from 1                   */
    bool json;        /* still to be taken out of its line    */
    bool joined;      /* goes on where the document before it ended */
} document;

typedef struct document_block {
    uint8_t *text; /* owned                          */
    int64_t bytes, room;
    document *document; /* (count), owned            */
    int64_t count, documents_room;
} document_block;

/* ERR_IO: a name that does not exist, a folder without files. Caller closes. */
status input_open(input **out, const input_options *options);
void input_close(input *in);
/* Back to the first document. */
void input_rewind(input *in);
/* Replaces the block by the next documents; count 0 at the end. */
status input_next(input *in, document_block *block);
void document_block_deinit(document_block *block);
/* Bytes on disk: of all files, and read since the last rewind. */
int64_t input_bytes(const input *in);
int64_t input_taken(const input *in);

/* The text of a field of a JSON line, malloc'ed. ERR_IO: "FILE:LINE: ..." for damaged JSON or a
 * missing field. */
status document_json(uint8_t **out, int64_t *count, const uint8_t *line, const document *d,
                     const char *field);
/* Length of the first piece of at[0..count) under a rule, 0 if its end is not there yet; end:
 * nothing follows. */
int64_t document_cut(cut_rule rule, const uint8_t *at, int64_t count, bool end);

#endif
