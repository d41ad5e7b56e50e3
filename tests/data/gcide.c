#include "data/gcide.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static gcide cleaned(const char *raw)
{
    gcide g = {0};
    cr_assert_eq(gcide_clean(&g, (const uint8_t *)raw, (int64_t)strlen(raw)), OK, "%s",
                 status_message());
    return g;
}

static void entry_is(const gcide *g, int64_t i, const char *text)
{
    int64_t n = g->begin[i + 1] - g->begin[i];
    cr_expect(n == (int64_t)strlen(text) && memcmp(g->text + g->begin[i], text, (size_t)n) == 0,
              "entry %lld is \"%.*s\"", (long long)i, (int)n, (const char *)g->text + g->begin[i]);
}

Test(gcide, tags_indentation_braces_and_front_matter_go_and_entries_stay)
{
    gcide g = cleaned("00-database-info\nThis file is free. \\Really\\\n\n"
                      "A \\A\\ (made up), n.\n"
                      "   1. The first {letter}. [1913 Webster] It goes\n"
                      "      on here.\n"
                      "      [1913 Webster]\n"
                      "\n"
                      "   2. A note [Obs.] of A[sharp].\n"
                      "      [Webster 1913 Suppl.\n"
                      "      +PJC]\n"
                      "\n\n\n"
                      "Abac \\Ab\"ac\\, a.\n"
                      "   Bent. \xff[WordNet sense 1,2]\n"
                      "\n"
                      "Not a headword, but a line.\n"
                      "\n"
                      "Abb \\Abb\\ [AS. abb.]\n"
                      "   Yarn. [PJC] [1913] [AS] [Century Dict. 1906.]\n");
    cr_assert_eq(g.entries, 3);
    entry_is(&g, 0,
             "A \\A\\ (made up), n.\n1. The first letter. It goes\non here.\n\n2. A note [Obs.] of "
             "A[sharp].\n");
    entry_is(&g, 1, "Abac \\Ab\"ac\\, a.\nBent.\n\nNot a headword, but a line.\n");
    entry_is(&g, 2, "Abb \\Abb\\ [AS. abb.]\nYarn. [1913]\n");
    gcide_deinit(&g);
}

Test(gcide, brackets_that_are_no_tags_or_never_end_stay)
{
    gcide g = cleaned("A \\A\\ [\n\nB \\B\\ [1913 Webster\n\nC \\C\\ [1913 Webster +\n\nD \\D\\ [] "
                      "[ ] [+] [Websters]\n");
    cr_assert_eq(g.entries, 4);
    entry_is(&g, 0, "A \\A\\ [\n");
    entry_is(&g, 1, "B \\B\\ [1913 Webster\n");
    entry_is(&g, 2, "C \\C\\ [1913 Webster +\n");
    entry_is(&g, 3, "D \\D\\ [] [ ] [+] [Websters]\n");
    gcide_deinit(&g);
}

Test(gcide, a_text_cut_anywhere_is_cleaned_or_refused)
{
    static const char raw[] = "x\nA \\A\\\n   [1913 Webster]\n\nB \\B\\ {b} [Webster 1913 "
                              "Suppl.]\n\nC \\C\\ \xe6\x97\xa5";
    for (int64_t n = 0; n < (int64_t)sizeof raw; n++) {
        uint8_t *part = malloc((size_t)n + 1);
        memcpy(part, raw, (size_t)n);
        gcide g = {0};
        status s = gcide_clean(&g, part, n);
        cr_expect(s == OK ? g.entries > 0 : s == ERR_IO && n < 3, "%lld bytes", (long long)n);
        if (s == OK) gcide_deinit(&g);
        free(part);
    }
}

Test(gcide, what_install_deps_fetched_is_found)
{
    char folder[] = "/tmp/isoflop-gcide.XXXXXX", path[1024], made[64];
    cr_assert(mkdtemp(folder));
    (void)unsetenv("ISOFLOP_GCIDE");
    (void)setenv("ISOFLOP_DATA", folder, 1);
    (void)snprintf(made, sizeof made, "%s/gcide", folder);
    cr_assert_eq(mkdir(made, 0777), 0);
    (void)snprintf(made, sizeof made, "%s/gcide/gcide.dict.dz", folder);
    FILE *file = fopen(made, "w");
    cr_assert(file && fclose(file) == 0);
    /* the distribution's own comes first */
    static const char usual[] = "/usr/share/dictd/gcide.dict.dz";
    cr_expect_eq(gcide_find(path, sizeof path), OK, "%s", status_message());
    cr_expect_str_eq(path, access(usual, R_OK) == 0 ? usual : made);
    cr_expect_eq(unlink(made), 0);
    (void)snprintf(made, sizeof made, "%s/gcide", folder);
    cr_expect(rmdir(made) == 0 && rmdir(folder) == 0);
}

Test(gcide, its_absence_says_how_to_get_it)
{
    char path[1024];
    (void)setenv("ISOFLOP_GCIDE", "/nowhere/gcide.dict.dz", 1);
    cr_expect_eq(gcide_find(path, sizeof path), ERR_IO);
    cr_expect(strstr(status_message(), "/nowhere/gcide.dict.dz"));
    (void)unsetenv("ISOFLOP_GCIDE");
    if (gcide_find(path, sizeof path) == ERR_IO)
        cr_expect(strstr(status_message(), "dict-gcide"), "%s", status_message());
}
