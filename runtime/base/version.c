#include "base/version.h"

/* COMMIT: written by commit.cmake at every build that finds another one */
#include "commit.h"

const char *version_text(void) { return VERSION; }

const char *version_commit(void) { return COMMIT; }
