#include "base/json.h"
#include "base/file.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static json_t *example(void)
{
    return json_pack("{s:{s:{s:f, s:s, s:n}}, s:i}", "a", "b", "c", 2.5, "t", "word", "none", "n",
                     7);
}

Test(json, a_path_leads_to_its_value_and_absent_is_absent)
{
    json_t *root = example();
    cr_assert_eq(json_number_at(root, "a.b.c"), 2.5);
    cr_assert_eq(json_number_at(root, "n"), 7);
    cr_assert_str_eq(json_text_at(root, "a.b.t"), "word");
    cr_assert_eq(json_at(root, ""), root);
    cr_assert(isnan(json_number_at(root, "a.b.none")), "null is no number");
    cr_assert(isnan(json_number_at(root, "a.b.t")), "a text is no number");
    cr_assert(isnan(json_number_at(root, "a.x.c")));
    cr_assert(isnan(json_number_at(NULL, "a")));
    cr_assert_str_eq(json_text_at(root, "a.b.c"), "", "a number is no text");
    cr_assert_null(json_at(root, "a.b.c.d"), "nothing lies inside a number");
    json_decref(root);
}

Test(json, what_is_not_finite_is_null_and_never_0)
{
    json_t *list = json_pack("[o, o, o]", json_finite(NAN), json_finite(-INFINITY), json_finite(0));
    cr_assert(json_is_null(json_array_get(list, 0)) && json_is_null(json_array_get(list, 1)));
    cr_assert(json_is_real(json_array_get(list, 2)));
    json_decref(list);
}

Test(json, a_written_tree_is_read_back_whole_or_was_never_written)
{
    char folder[] = "/tmp/isoflop-json-XXXXXX", path[64], *text = NULL;
    cr_assert(mkdtemp(folder));
    (void)snprintf(path, sizeof path, "%s/a.json", folder);
    cr_assert_eq(json_write(json_pack("{s:f}", "third", 1.0 / 3.0), path), OK);
    cr_assert_eq(file_read_text(&text, NULL, path, 100), OK);
    json_t *again = json_loads(text, 0, NULL);
    cr_assert_eq(json_number_at(again, "third"), 1.0 / 3.0);
    json_decref(again);
    free(text);
    /* a tree that could not be built leaves the file as it was; a missing folder is said */
    cr_assert_eq(json_write(NULL, path), ERR_MEMORY);
    cr_assert(strstr(status_message(), path), "%s", status_message());
    cr_assert(file_exists(path));
    (void)snprintf(path, sizeof path, "%s/none/a.json", folder);
    cr_assert_eq(json_write(json_object(), path), ERR_IO);
    (void)file_remove_folder(folder);
}
