#include "data/foreign.h"

#include <string.h>

/* How a format begins. */
typedef struct format {
    int64_t offset;
    int64_t length;
    const char *bytes;
    const char *what; /* it is, and how to go on */
} format;

#define BEGINS(offset, bytes, what)                                                                \
    {                                                                                              \
        offset, sizeof bytes - 1, bytes, what                                                      \
    }
static const format formats[] = {
    BEGINS(0, "PAR1", "a Parquet file; write its text as JSON lines (.jsonl) first"),
    BEGINS(0, "ARROW1", "an Arrow file; write its text as JSON lines (.jsonl) first"),
    BEGINS(0, "\xff\xfe", "UTF-16; iconv -f UTF-16 -t UTF-8 makes text of it"),
    BEGINS(0, "\xfe\xff", "UTF-16; iconv -f UTF-16 -t UTF-8 makes text of it"),
    BEGINS(257, "ustar", "a tar archive; unpack it and name the folder"),
    BEGINS(0, "PK\x03\x04", "a zip archive; unpack it and name the folder"),
    BEGINS(0, "\x1f\x8b", "compressed by gzip; let its name end in .gz"),
    BEGINS(0, "\x28\xb5\x2f\xfd", "compressed by zstd; let its name end in .zst"),
    BEGINS(0,
           "\xfd"
           "7zXZ",
           "compressed by xz; pipe it: xz -dc F | isoflop prepare -"),
    BEGINS(4, "1AY&SY", "compressed by bzip2; pipe it: bzip2 -dc F | isoflop prepare -"),
    BEGINS(0, "%PDF-", "a PDF; pdftotext makes text of it"),
    BEGINS(0, "\x89HDF", "an HDF5 file; write its text as JSON lines (.jsonl) first"),
    BEGINS(0, "SQLite format 3", "a database; write its text as JSON lines (.jsonl) first"),
    BEGINS(0, "\x88\xd8\x34\x01", "an llm.c token file; train reads it as it is (data.train)"),
    BEGINS(0, "\xa1\xd9\x34\x01", "an llm.c token file; train reads it as it is (data.train)"),
    BEGINS(0, "MMIDIDX", "a Megatron index; train reads it as it is (data.train)"),
};

status foreign_refuse(const char *path, const uint8_t *at, int64_t count)
{
    for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++) {
        const format *f = &formats[i];
        if (count < f->offset + f->length) continue;
        REQUIRE(memcmp(at + f->offset, f->bytes, (size_t)f->length) != 0, ERR_CONFIG,
                "%s is no text: it is %s", path, f->what);
    }
    return OK;
}
