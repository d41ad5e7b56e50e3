#include "base/file.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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
        _exit((int)s);
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

/* a law or a config kept elsewhere, by a link, is written there */
Test(file, a_link_stays_and_its_file_is_written)
{
    char folder[] = "/tmp/isoflop-file-XXXXXX", kept[64], name[64], nowhere[64], *text;
    struct stat about;
    cr_assert(mkdtemp(folder));
    (void)snprintf(kept, sizeof kept, "%s/kept", folder);
    (void)snprintf(name, sizeof name, "%s/name", folder);
    (void)snprintf(nowhere, sizeof nowhere, "%s/nowhere", folder);
    cr_assert_eq(file_write_text(kept, "first", 5), OK);
    cr_assert_eq(symlink("kept", name), 0);
    cr_expect_eq(file_write_text(name, "second", 6), OK);
    cr_expect(lstat(name, &about) == 0 && S_ISLNK(about.st_mode));
    cr_assert_eq(file_read_text(&text, NULL, kept, 64), OK);
    cr_expect_str_eq(text, "second");
    free(text);
    cr_assert_eq(symlink("missing", nowhere), 0);
    cr_expect_eq(file_write_text(nowhere, "text", 4), ERR_IO);
    cr_expect(lstat(nowhere, &about) == 0 && S_ISLNK(about.st_mode));
    cr_assert(unlink(nowhere) == 0 && symlink("/dev/null", nowhere) == 0);
    cr_expect_eq(file_write_text(nowhere, "text", 4), ERR_IO, "a device");
    /* nothing else is left */
    cr_expect(unlink(kept) == 0 && unlink(name) == 0 && unlink(nowhere) == 0);
    cr_expect_eq(rmdir(folder), 0);
}

Test(file, a_copy_has_the_bytes_asked_for)
{
    enum { BYTES = 200000 };
    char folder[] = "/tmp/isoflop-file-XXXXXX", from[64], to[64], *text, *copy;
    int64_t bytes;
    cr_assert(mkdtemp(folder));
    (void)snprintf(from, sizeof from, "%s/from", folder);
    (void)snprintf(to, sizeof to, "%s/to", folder);
    cr_assert(text = malloc(BYTES));
    for (int i = 0; i < BYTES; i++) text[i] = (char)((uint32_t)i * 2654435761u >> 24);
    cr_assert_eq(file_write_text(from, text, BYTES), OK);
    const int64_t asked[] = {-1, BYTES, 65537, 65536, 1, 0};
    for (int i = 0; i < 6; i++) {
        cr_assert_eq(file_copy(to, from, asked[i]), OK);
        cr_assert_eq(file_read_text(&copy, &bytes, to, BYTES), OK);
        cr_expect_eq(bytes, asked[i] < 0 ? BYTES : asked[i]);
        cr_expect_eq(memcmp(copy, text, (size_t)bytes), 0);
        free(copy);
    }
    cr_expect_eq(file_copy(to, from, BYTES + 1), ERR_IO, "more than there is");
    cr_expect_eq(file_copy(to, folder, -1), ERR_IO);
    free(text);
    cr_expect(unlink(from) == 0 && unlink(to) == 0 && rmdir(folder) == 0);
}
