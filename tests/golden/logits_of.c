/* logits_of.c — logits of a checkpoint after every prefix of some tokens, for open_safetensors.py:
 *   logits_of CHECKPOINT TOKEN...      one line of V numbers per prefix */
#include "base/status.h"
#include "train/inference.h"

#include <stdio.h>
#include <stdlib.h>

static status print_logits(inference *i, const int32_t *tokens, int64_t count)
{
    const float *logits;
    for (int64_t n = 1; n <= count; n++) {
        TRY(inference_logits(i, tokens, n, &logits));
        for (int64_t v = 0; v < inference_model(i)->vocab; v++)
            (void)printf("%s%.9g", v ? " " : "", (double)logits[v]);
        (void)putchar('\n');
    }
    return OK;
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        (void)fputs("usage: logits_of CHECKPOINT TOKEN...\n", stderr);
        return ERR_CONFIG;
    }
    inference *i = NULL;
    int32_t *tokens = calloc((size_t)argc, sizeof *tokens);
    for (int n = 2; n < argc; n++) tokens[n - 2] = (int32_t)strtol(argv[n], NULL, 10);
    status s = tokens ? inference_open(&i, argv[1], "auto") : ERR_MEMORY;
    if (s == OK) s = print_logits(i, tokens, argc - 2);
    if (s != OK) (void)fprintf(stderr, "logits_of: %s\n", status_message());
    inference_close(i);
    free(tokens);
    return (int)s;
}
