#include "study/branch.h"

#include "base/file.h"
#include "train/checkpoint.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { PATH_BYTES = 1400 };

/* A second name for a file nobody changes, or a copy where the file system has none such. */
static status share_file(const char *to, const char *from)
{
    return link(from, to) == 0 ? OK : file_copy(to, from, -1);
}

static status fill(const char *folder, const checkpoint_info *from, const char *parent)
{
    static const char *const names[] = {"weights.safetensors", "optimizer.safetensors",
                                        "config.json", "manifest.json"};
    char step[PATH_BYTES], a[PATH_BYTES + 64], b[PATH_BYTES + 64];
    (void)snprintf(step, sizeof step, "%.1200s/checkpoints%s", folder, strrchr(from->path, '/'));
    TRY(file_make_folder(step));
    for (int i = 0; i < 4; i++) {
        (void)snprintf(a, sizeof a, "%s/%s", step, names[i]);
        (void)snprintf(b, sizeof b, "%s/%s", from->path, names[i]);
        TRY(share_file(a, b));
    }
    TRY(file_sync_folder(step));
    (void)snprintf(a, sizeof a, "%s/record.jsonl", folder);
    (void)snprintf(b, sizeof b, "%s/record.jsonl", parent);
    return file_copy(a, b, from->record_bytes);
}

status branch_make(const char *folder, const char *parent)
{
    char temporary[PATH_BYTES], checkpoints[PATH_BYTES];
    checkpoint_info from;
    world *alone = NULL;
    if (file_exists(folder)) return OK;
    (void)snprintf(checkpoints, sizeof checkpoints, "%s/checkpoints", parent);
    TRY(world_open_self(&alone));
    status s = checkpoint_find(&from, alone, checkpoints, NULL, NULL);
    world_close(alone);
    TRY(s);
    REQUIRE(from.path[0], ERR_IO, "%s holds no complete checkpoint to branch from", parent);
    (void)snprintf(temporary, sizeof temporary, "%s.tmp", folder);
    TRY(file_remove_folder(temporary));
    TRY(file_make_folder(temporary));
    TRY(fill(temporary, &from, parent));
    REQUIRE(rename(temporary, folder) == 0, ERR_IO, "cannot rename %s to %s: %s", temporary, folder,
            strerror(errno));
    return OK;
}
