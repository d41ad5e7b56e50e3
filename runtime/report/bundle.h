/* bundle.h — what a report needs, in one file to give away: records, summaries, the study's table
 * and ledger, laws. No text, no weights, no host names, no paths. The same records give the same
 * bytes (tar, gzip, no times), and a report on a bundle is the report on what it was made from.
 * Flow: run directories -> FILE.tar.gz -> report                                                */
#ifndef REPORT_BUNDLE_H
#define REPORT_BUNDLE_H

#include "report/run_set.h"

/* Packs a folder whose runs are `set`, under its name. ERR_IO; nothing is left behind then. */
status bundle_write(const char *path, const char *folder, const char *name, const run_set *set);
/* Is this a file that begins like a bundle? */
bool bundle_is(const char *path);
/* Unpacks into a new temporary folder; folder (bytes) receives the one inside that reports take,
 * temporary the one to remove. ERR_CONFIG when it is no bundle or tries to leave its folder. */
status bundle_unpack(char *folder, char *temporary, size_t bytes, const char *path);

/* The text with paths cut to their last parts, as it may be given away; malloc'ed. */
char *bundle_scrub(const char *text);

#endif
