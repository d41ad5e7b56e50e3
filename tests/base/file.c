#include "base/file.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

Test(file, a_pipe_or_folder_is_refused_at_once_where_a_file_is_read, .timeout = 60)
{
    char folder[] = "/tmp/isoflop-file-XXXXXX", path[64];
    char *text = NULL;
    int fd = -1;
    cr_assert_not_null(mkdtemp(folder));
    (void)snprintf(path, sizeof path, "%s/pipe", folder);
    cr_assert_eq(mkfifo(path, 0600), 0);
    cr_expect_eq(file_open(&fd, path), ERR_IO);
    cr_expect_eq(file_read_text(&text, NULL, path, 100), ERR_IO);
    cr_expect_eq(file_open(&fd, folder), ERR_IO);
    cr_expect_eq(fd, -1);
    cr_expect_eq(unlink(path), 0);
    cr_expect_eq(file_open(&fd, path), ERR_IO);
    cr_expect_eq(rmdir(folder), 0);
}
