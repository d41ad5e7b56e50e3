#include "base/file.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
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
    /* nor is one written, or replaced by a file */
    const char *const no_files[] = {path, folder, "/dev/null"};
    for (int i = 0; i < 3; i++) {
        cr_expect_eq(file_open_write(&fd, no_files[i], O_TRUNC), ERR_IO, "%s", no_files[i]);
        cr_expect_eq(fd, -1);
        cr_expect_eq(file_write_text(no_files[i], "text", 4), ERR_IO, "%s", no_files[i]);
    }
    cr_expect_eq(unlink(path), 0);
    cr_expect_eq(file_open(&fd, path), ERR_IO);
    cr_expect_eq(rmdir(folder), 0);
}

/* tasks of an array job write the files of their study at the same moment */
Test(file, writers_of_one_file_do_not_meet)
{
    char folder[] = "/tmp/isoflop-file-XXXXXX", path[64];
    enum { WRITERS = 3, TIMES = 40 };
    cr_assert(mkdtemp(folder));
    (void)snprintf(path, sizeof path, "%s/shared", folder);
    for (int i = 0; i < WRITERS; i++) {
        if (fork() != 0) continue;
        status s = OK;
        for (int k = 0; s == OK && k < TIMES; k++) s = file_write_text(path, "the same text", 13);
        _exit(s);
    }
    for (int i = 0; i < WRITERS; i++) {
        int how;
        cr_assert(wait(&how) > 0);
        cr_expect_eq(how, 0, "a writer failed");
    }
    char *text;
    cr_assert_eq(file_read_text(&text, NULL, path, 64), OK);
    cr_expect_str_eq(text, "the same text");
    free(text);
    /* nothing else is left */
    cr_expect_eq(unlink(path), 0);
    cr_expect_eq(rmdir(folder), 0);
}

Test(file, space_is_that_of_the_file_system_where_a_path_will_lie)
{
    /* a file system that never has space */
    cr_expect_eq(file_free_bytes("/proc"), 0);
    cr_expect_eq(file_free_bytes("/proc/no-such/folder/"), 0);
    cr_expect(file_free_bytes("no-such") > 0);
    cr_expect(file_free_bytes("no-such/folder") > 0);
    cr_expect_eq(file_free_bytes("/proc/version/below-a-file"), -1);
}
