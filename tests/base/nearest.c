#include "base/nearest.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *among(nearest n, const char *const *names)
{
    for (; *names; names++) (void)nearest_offer(&n, *names);
    return n.found ? n.found : "(none)";
}

Test(nearest, a_slip_finds_its_name_and_a_stranger_none)
{
    const char *const verbs[] = {"plan", "train", "prepare", "diff", NULL};
    cr_expect_str_eq(among(nearest_slip("trian"), verbs), "train");
    cr_expect_str_eq(among(nearest_slip("Prepare"), verbs), "prepare");
    cr_expect_str_eq(among(nearest_slip("plann"), verbs), "plan");
    cr_expect_str_eq(among(nearest_slip("quantize"), verbs), "(none)");
    cr_expect_str_eq(among(nearest_any("quantize"), (const char *const[]){"z", NULL}), "z");
    cr_expect_str_eq(among(nearest_any("x"), (const char *const[]){NULL}), "(none)");
}

Test(nearest, half_a_name_is_nearer_than_another_of_its_length)
{
    const char *const laws[] = {"kaplan", "hoffmann-1", "llama3", NULL};
    cr_expect_str_eq(among(nearest_any("hofman"), laws), "hoffmann-1");
}

static void expect_file(const char *root, const char *path, const char *wanted)
{
    char asked[600], expected[600];
    (void)snprintf(asked, sizeof asked, "%s/%s", root, path);
    (void)snprintf(expected, sizeof expected, "; nearest: %s/%s", root, wanted);
    const nearest_text t = nearest_file(asked);
    cr_expect_str_eq(t.text, wanted ? expected : "", "%s gives '%s'", path, t.text);
}

Test(nearest, a_path_is_mended_where_it_leaves_what_exists)
{
    char root[] = "/tmp/isoflop-nearest-XXXXXX", path[128];
    cr_assert(mkdtemp(root));
    static const char *const folders[] = {"runs", "runs/first", "runs/second"};
    for (int i = 0; i < 3; i++) {
        (void)snprintf(path, sizeof path, "%s/%s", root, folders[i]);
        cr_assert(mkdir(path, 0700) == 0);
    }
    (void)snprintf(path, sizeof path, "%s/runs/first/law.json", root);
    FILE *file = fopen(path, "w");
    cr_assert(file && fclose(file) == 0);

    expect_file(root, "runs/frist", "runs/first");
    expect_file(root, "run/first/law.json", "runs/first/law.json");
    expect_file(root, "run/nothing/of/it", "runs");
    expect_file(root, "runs/first/lwa.json", "runs/first/law.json");
    expect_file(root, "runs/x/law.json", NULL);
    expect_file(root, "elsewhere", NULL);
    expect_file(root, "runs/first", NULL);
    cr_expect_str_eq(nearest_file("").text, "");
    char endless[5000];
    memset(endless, 'a', sizeof endless);
    endless[sizeof endless - 1] = '\0';
    cr_expect_str_eq(nearest_file(endless).text, "");

    cr_expect(unlink(path) == 0);
    for (int i = 2; i >= 0; i--) {
        (void)snprintf(path, sizeof path, "%s/%s", root, folders[i]);
        cr_expect(rmdir(path) == 0);
    }
    cr_expect(rmdir(root) == 0);
}
