/* The ledger of a study: what was written is read, and damage ends it. */
#include "base/file.h"
#include "study/ledger.h"
#include "study/study_text.h"

#include <math.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static ledger_line line_of(int number)
{
    ledger_line l = {.state = (ledger_state)(number % 3),
                     .step = number,
                     .loss = number % 2 ? 1.0 / number : NAN};
    (void)snprintf(l.run, sizeof l.run, "run-%d", number);
    return l;
}

static void open_new(ledger *l, char folder[64])
{
    make_folder(folder);
    cr_assert_eq(ledger_open(l, folder), OK);
}

static void remove_all(ledger *l, const char *folder)
{
    char damaged[1200];
    (void)snprintf(damaged, sizeof damaged, "%s.damaged", l->path);
    ledger_close(l);
    (void)unlink(l->path);
    (void)unlink(damaged);
    (void)rmdir(folder);
}

Test(ledger, an_exit_code_stands_only_where_something_ended)
{
    ledger l;
    char folder[64], *text;
    open_new(&l, folder);
    const ledger_line begun = {.run = "a", .state = LEDGER_STARTED, .loss = NAN};
    const ledger_line failed = {.run = "a", .state = LEDGER_FAILED, .exit = 7, .loss = NAN};
    cr_assert_eq(ledger_append(&l, &begun), OK);
    cr_assert_eq(ledger_append(&l, &failed), OK);
    cr_assert_eq(file_read_text(&text, NULL, l.path, 1000), OK);
    cr_expect(strstr(text, "\"started\",\"step\":0,\"exit\":null,\"loss\":null"), "%s", text);
    cr_expect(strstr(text, "\"failed\",\"step\":0,\"exit\":7,"), "%s", text);
    free(text);
    remove_all(&l, folder);
}

Test(ledger, a_line_that_found_no_space_costs_no_later_one)
{
    ledger l;
    ledger_line *lines;
    int32_t count;
    int64_t end;
    char folder[64];
    struct rlimit most;
    open_new(&l, folder);
    cr_assert_eq(ledger_append(&l, &(ledger_line){.run = "a", .loss = NAN}), OK);
    (void)signal(SIGXFSZ, SIG_IGN);
    cr_assert_eq(getrlimit(RLIMIT_FSIZE, &most), 0);
    const struct rlimit few = {(rlim_t)lseek(l.fd, 0, SEEK_END) + 10, most.rlim_max};
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &few), 0);
    const status s = ledger_append(&l, &(ledger_line){.run = "b", .loss = NAN});
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &most), 0);
    cr_expect_eq(s, ERR_IO);
    cr_assert_eq(ledger_append(&l, &(ledger_line){.run = "c", .loss = NAN}), OK);
    cr_assert_eq(ledger_read(&l, 0, &lines, &count, &end), OK);
    cr_assert_eq(count, 2);
    cr_expect_str_eq(lines[1].run, "c");
    free(lines);
    remove_all(&l, folder);
}

Test(ledger, what_was_appended_is_read_back)
{
    ledger l;
    ledger_line *lines;
    int32_t count;
    int64_t end;
    char folder[64];
    open_new(&l, folder);
    for (int i = 1; i <= 50; i++) {
        const ledger_line line = line_of(i);
        cr_assert_eq(ledger_append(&l, &line), OK);
    }
    cr_assert_eq(ledger_read(&l, 0, &lines, &count, &end), OK);
    cr_assert_eq(count, 50);
    for (int i = 0; i < 50; i++) {
        const ledger_line want = line_of(i + 1);
        cr_expect_str_eq(lines[i].run, want.run);
        cr_expect_eq(lines[i].state, want.state);
        cr_expect_eq(lines[i].step, want.step);
        cr_expect(isnan(want.loss) ? isnan(lines[i].loss) : lines[i].loss == want.loss);
    }
    free(lines);
    remove_all(&l, folder);
}

/* Ten lines, then byte `at` is changed to `to` (-1: the file ends there). */
static void damaged_at(long at, int to, int32_t *kept, int32_t *lost)
{
    ledger l;
    ledger_line *lines;
    int32_t line;
    int64_t end;
    char folder[64];
    open_new(&l, folder);
    for (int i = 1; i <= 10; i++) {
        const ledger_line one = line_of(i);
        cr_assert_eq(ledger_append(&l, &one), OK);
    }
    if (to < 0) {
        cr_assert_eq(truncate(l.path, at), 0);
    } else {
        FILE *f = fopen(l.path, "r+");
        cr_assert(f && fseek(f, at, SEEK_SET) == 0 && fputc(to, f) == to && fclose(f) == 0);
    }
    cr_assert_eq(ledger_recover(&l, lost, &line), OK, "%s", status_message());
    cr_assert_eq(ledger_read(&l, 0, &lines, kept, &end), OK);
    cr_expect_eq(line, *kept + 1);
    for (int i = 0; i < *kept; i++) cr_expect_str_eq(lines[i].run, line_of(i + 1).run);
    free(lines);
    /* it goes on from there */
    const ledger_line more = line_of(11);
    cr_assert_eq(ledger_append(&l, &more), OK);
    cr_assert_eq(ledger_read(&l, 0, &lines, &line, &end), OK);
    cr_expect_eq(line, *kept + 1);
    free(lines);
    remove_all(&l, folder);
}

Test(ledger, a_damaged_byte_ends_it_where_it_is)
{
    /* a line has about 80 bytes */
    for (long at = 0; at < 780; at += 37) {
        int32_t kept, lost;
        damaged_at(at, '#', &kept, &lost);
        /* a lost newline makes one line of two */
        cr_expect(kept <= at / 70 && kept + lost >= 9, "byte %ld: %d kept, %d lost", at, kept,
                  lost);
    }
}

Test(ledger, a_line_cut_by_a_crash_is_set_aside)
{
    for (long at = 1; at < 780; at += 37) {
        int32_t kept, lost;
        damaged_at(at, -1, &kept, &lost);
        cr_expect(kept <= at / 70 && lost <= 1, "byte %ld: %d kept, %d lost", at, kept, lost);
    }
}

Test(ledger, writers_of_several_processes_do_not_mix_their_lines)
{
    enum { WRITERS = 4, EACH = 100 };
    ledger l;
    ledger_line *lines;
    int32_t count, of[WRITERS] = {0};
    int64_t end;
    char folder[64];
    open_new(&l, folder);
    for (int w = 0; w < WRITERS; w++)
        if (fork() == 0) {
            ledger mine;
            status s = ledger_open(&mine, folder);
            for (int i = 0; i < EACH && s == OK; i++) {
                ledger_line one = {.step = i};
                (void)snprintf(one.run, sizeof one.run, "%d", w);
                s = ledger_lock(&mine, true);
                if (s == OK) s = ledger_append(&mine, &one);
                ledger_unlock(&mine);
            }
            _exit((int)s);
        }
    for (int w = 0; w < WRITERS; w++) {
        int code;
        cr_assert(wait(&code) > 0 && code == 0);
    }
    cr_assert_eq(ledger_read(&l, 0, &lines, &count, &end), OK);
    cr_assert_eq(count, WRITERS * EACH);
    for (int32_t i = 0; i < count; i++) cr_expect_eq(lines[i].step, of[atoi(lines[i].run)]++);
    free(lines);
    remove_all(&l, folder);
}
