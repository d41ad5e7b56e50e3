#include "law/fit.h"
#include "law/points.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static status read_columns(points *p, const char *text, const char *columns)
{
    char path[] = "/tmp/isoflop-points-XXXXXX";
    const int fd = mkstemp(path);
    cr_assert(fd >= 0);
    cr_assert(write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    (void)close(fd);
    const status s = points_read(p, path, columns);
    (void)unlink(path);
    return s;
}

static status read_text(points *p, const char *text) { return read_columns(p, text, NULL); }

static void expect_refused(const char *text, const char *reason)
{
    points p;
    const status s = read_text(&p, text);
    cr_expect(s == ERR_CONFIG && strstr(status_message(), reason), "'%s' gives %d '%s'", text, s,
              s == OK ? "" : status_message());
}

Test(law_points, columns_are_found_by_name_and_others_ignored)
{
    points p;
    cr_assert(read_text(&p,
                        "\xef\xbb\xbf# comment\n\xef\xbb\xbfloss, name ,tokens,\"params\",group\r\n"
                        "3.5,a,1e9,2e7,x\r\n\n# more\n3.1,b,2e9,3e7,y\n3.0,c,3e9,3e7,x") == OK,
              "%s", status_message());
    cr_expect(p.count == 3 && !p.has_flops);
    cr_expect(p.row[0].params == 2e7 && p.row[1].tokens == 2e9 && p.row[2].loss == 3.0);
    cr_expect(p.row[0].group == p.row[2].group && p.row[0].group != p.row[1].group);
    cr_expect(p.row[2].line == 7);
    points_deinit(&p);
}

/* the same three points, as others write them */
static void expect_points(const char *text, const char *columns)
{
    points p;
    cr_assert(read_columns(&p, text, columns) == OK, "%s: %s", text, status_message());
    cr_expect(p.count == 2, "%s: %d points", text, p.count);
    for (int32_t i = 0; i < 2; i++)
        cr_expect(p.row[i].params == (i ? 3e7 : 70e6) && p.row[i].tokens == (i ? 2.5e9 : 1.4e9) &&
                      p.row[i].loss == (i ? 3.125 : 3.5),
                  "%s: %g %g %g", text, p.row[i].params, p.row[i].tokens, p.row[i].loss);
    points_deinit(&p);
}

Test(law_points, tables_are_read_as_spreadsheets_write_them)
{
    expect_points("params,tokens,loss\n70e6,1.4e9,3.5\n3e7,2.5e9,3.125\n", NULL);
    expect_points("Params, Tokens ,LOSS\n70M,1.4B,3.5\n30M,2.5B,3.125", NULL);
    expect_points("params;tokens;loss\r\n70000000;1400000000;3,5\r\n30000000;2,5e9;3,125\r\n;;\r\n",
                  NULL);
    expect_points("params;tokens;loss\n70.000.000;1.400.000.000;3.5\n3e7;2500000000;3.125\n", NULL);
    expect_points("params\ttokens\tloss\n\"70,000,000\"\t1.4e9\t3.5\n3e7\t2500000K\t3.125\n", NULL);
    expect_points(
        "name,params,tokens,loss\n\"a, \"\"b\"\"\",\"70,000,000\",\"1,400,000,000.0\",3.5\n"
        ",\"30,000,000\",2.5e9,3.125\n,,,\n",
        NULL);
    expect_points("params,tokens,loss\r70e6,1.4e9,3.5\r3e7,2.5e9,3.125\r", NULL);
    expect_points("N (params),Training Tokens,loss,val_loss\n70e6,1.4e9,1,3.5\n3e7,2.5e9,1,3.125\n",
                  "params=N (params),tokens=training tokens,loss=val_loss");
}

Test(law_points, what_can_be_read_in_two_ways_is_refused)
{
    expect_refused("params,tokens,loss\n1,2,\"3,528\"\n", ":2: loss is '3,528', which can be read");
    expect_refused("params;tokens;loss\n30.000;2;3\n", "params is '30.000', which can be read");
    expect_refused("params;tokens;loss\n30,000;2;3\n", "params is '30,000', which can be read");
    expect_refused("params,tokens,loss\n\"3,00,000\",2,3\n", "params is '3,00,000', not a number");
    expect_refused("params,tokens,loss\n70Q,2,3\n", "params is '70Q', not a number");
    expect_refused("params,tokens,loss\n3d,2,3\n", "params is '3d', not a number");
    expect_refused("n_params,tokens,loss\n1,2,3\n",
                   "column params is missing; the header needs params,tokens,loss and has "
                   "\"n_params\", \"tokens\", \"loss\" (--columns params=NAME)");
    points p;
    cr_expect(read_columns(&p, "params,tokens,loss\n1,2,3\n", "loss=val_loss") == ERR_CONFIG);
    cr_expect(strstr(status_message(), "column val_loss is missing"), "%s", status_message());
    cr_expect(read_columns(&p, "params,tokens,loss\n1,2,3\n", "lss=loss") == ERR_CONFIG);
    cr_expect(strstr(status_message(), "--columns: 'lss'; allowed: params=NAME"), "%s",
              status_message());
}

Test(law_points, tokens_follow_from_flops)
{
    points p;
    cr_assert(read_text(&p, "params,flops,loss\n10,600,2\n") == OK);
    cr_expect(p.row[0].tokens == 10);
    points_deinit(&p);
}

Test(law_points, bad_tables_are_refused_with_line_and_reason)
{
    expect_refused("", "empty");
    expect_refused("# only\n", "empty");
    expect_refused("params,tokens,loss\n", "no points");
    expect_refused("params,loss\n1,2\n", "tokens is missing");
    expect_refused("tokens,loss\n1,2\n", "params is missing");
    expect_refused("params,tokens\n1,2\n", "loss is missing");
    expect_refused("params,tokens,loss,loss\n1,2,3,4\n", "twice");
    expect_refused("params,tokens,loss\n1,2\n", ":2: 2 cells, the header has 3");
    expect_refused("params,tokens,loss\n1,2,3,4\n", ":2: 4 cells");
    expect_refused("params,tokens,loss\n1,2,x\n", ":2: loss is 'x'");
    expect_refused("params,tokens,loss\n1,2,\n", "loss is ''");
    expect_refused("params,tokens,loss\n1,2,3\n1e21x,2,3\n", ":3: params is '1e21x'");
    expect_refused("params,tokens,loss\n0,2,3\n", "params is 0; it must be");
    expect_refused("params,tokens,loss\n1,-2,3\n", "tokens is -2");
    expect_refused("params,tokens,loss\n1,2,nan\n", "loss is nan");
    expect_refused("params,tokens,loss\n1e400,2,3\n", "params is 1e400");
    points p;
    cr_expect(read_text(&p, "params,tokens,loss\n1,2,3\n") == OK);
    points_deinit(&p);
    cr_expect(points_read(&p, "/nonexistent/points.csv", NULL) == ERR_IO);
}

static void expect_no_fit(const char *text, const char *reason)
{
    points p;
    fit_result r;
    cr_assert(read_text(&p, text) == OK, "%s", status_message());
    const status s = fit_run(&r, &p,
                             (fit_options){law_find("chinchilla"), FIT_HUBER, 1e-3, 0, 1, X_FLOPS,
                                           false, NULL, NULL});
    cr_expect(s == ERR_CONFIG && strstr(status_message(), reason), "%d '%s' for %s", s,
              status_message(), reason);
    points_deinit(&p);
}

Test(law_points, points_that_cannot_determine_the_law_are_refused)
{
    expect_no_fit("params,tokens,loss\n1e6,1e8,3\n", "one point");
    expect_no_fit("params,tokens,loss\n1e6,1e8,3\n1e6,1e8,3\n1e6,1e8,3\n1e6,1e8,3\n1e6,1e8,3\n"
                  "1e6,1e8,3\n1e6,1e8,3\n",
                  "all 7 points are equal");
    expect_no_fit("params,tokens,loss\n1e6,1e8,3\n1e6,2e8,2.9\n2e6,1e8,2.8\n", "at least 6");
    expect_no_fit("params,tokens,loss\n1e6,1e8,3\n1e6,2e8,2.9\n1e6,3e8,2.8\n1e6,4e8,2.7\n"
                  "1e6,5e8,2.6\n1e6,6e8,2.5\n",
                  "params is the same");
    expect_no_fit("params,tokens,loss\n1e9,1e8,3\n1e9,2e8,2.9\n2e9,3e8,2.8\n1e9,4e8,2.7\n"
                  "3e9,5e8,2.6\n1e9,6e8,2.5\n",
                  "at least as many parameters as tokens");
}
