/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* What the load generator measures with: histogram, pace of an open loop, judging of
 * answers, states of switches, CPU time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/bench/answer.h"
#include "tests/bench/cpu.h"
#include "tests/bench/hist.h"
#include "tests/bench/pace.h"
#include "tests/bench/script.h"

#define WHY_BYTES  200
#define PATH_BYTES 64

/* ---- Histogram ---- */

/* A value that is read back is within 1/256 of what was recorded, wherever it lies. */
static void test_hist_precision(void **state)
{
    (void)state;
    for (uint64_t v = 1; v < (UINT64_C(1) << HIST_TOP_BITS); v += v / 37 + 1) {
        static struct hist hist;
        memset(&hist, 0, sizeof hist);
        hist_add(&hist, (int64_t)v);
        uint64_t read = hist_quantile_ns(&hist, 0.5);
        uint64_t off = read > v ? read - v : v - read;
        assert_true(off * 256 <= v);
        assert_int_equal(hist.max_ns, v);
    }
}

static void test_hist_quantiles(void **state)
{
    static struct hist hist, half, empty;

    (void)state;
    for (int64_t ms = 1; ms <= 1000; ms++) {
        hist_add(ms % 2 == 0 ? &hist : &half, ms * 1000000);
    }
    hist_merge(&hist, &half);
    assert_int_equal(hist.n, 1000);
    assert_float_equal(hist_mean_ns(&hist), 500.5e6, 1);
    assert_float_equal((double)hist_quantile_ns(&hist, 0.5), 500e6, 2e6);
    assert_float_equal((double)hist_quantile_ns(&hist, 0.99), 990e6, 4e6);
    assert_int_equal(hist_quantile_ns(&hist, 1), 1000000000);
    assert_int_equal(hist_quantile_ns(&empty, 0.5), 0);
}

static void test_hist_edges(void **state)
{
    static struct hist hist;

    (void)state;
    hist_add(&hist, -5); /* two clocks read in the wrong order */
    hist_add(&hist, INT64_MAX);
    assert_int_equal(hist.n, 2);
    assert_int_equal(hist_quantile_ns(&hist, 0), 0);
    assert_true(hist_quantile_ns(&hist, 1) >= (UINT64_C(1) << HIST_TOP_BITS) / 256 * 255);
}

/* ---- Pace ---- */

/* Even after a day at an odd rate, the count is what the rate says. */
static void test_pace(void **state)
{
    const struct pace pace = {.start_ns = 1000, .per_s = 17999.7};
    const int64_t day_ns = INT64_C(86400) * 1000000000;

    (void)state;
    assert_int_equal(pace_due_by(&pace, 999), 0);
    assert_int_equal(pace_due_by(&pace, 1000), 1); /* the first one at once */
    assert_int_equal(pace_due_ns(&pace, 0), 1000);
    assert_float_equal((double)pace_due_by(&pace, 1000 + day_ns), 17999.7 * 86400, 1.01);
    for (uint64_t k = 1; k < 200000; k += 977) {
        int64_t due_ns = pace_due_ns(&pace, k);
        assert_int_equal(pace_due_by(&pace, due_ns), k + 1);
        assert_int_equal(pace_due_by(&pace, due_ns - 1), k);
    }
}

/* ---- Answers ---- */

#define OK   "HTTP/1.1 200 OK"
#define GOOD "{\"status_code\":0,\"status_msg\":\"success\"}"

static const struct expectation any_json = {.body = NULL};

/* Judges the first LEN bytes of TEXT as if they lay in the receive buffer. */
static enum verdict judge_part(const struct expectation *wanted, const char *text,
                               size_t len)
{
    char bytes[1024];
    bool closes = false;
    int code = 0;

    assert_true(len < sizeof bytes);
    memcpy(bytes, text, len);
    bytes[len] = '\0';
    return answer_judge(wanted, bytes, len, true, &closes, &code);
}

/* An answer with STATUS line and BODY, a matching Content-Length, and then TAIL. */
static void make_answer(char *text, size_t size, const char *status, const char *body,
                        const char *tail)
{
    int len = snprintf(text, size, "%s\r\nContent-Length: %zu\r\n\r\n%s%s", status,
                       strlen(body), body, tail);

    assert_true(len > 0 && (size_t)len < size);
}

static enum verdict judge(const struct expectation *wanted, const char *status,
                          const char *body, const char *tail)
{
    char text[1024];

    make_answer(text, sizeof text, status, body, tail);
    return judge_part(wanted, text, strlen(text));
}

static void test_answer_in_parts(void **state)
{
    char text[1024];

    (void)state;
    make_answer(text, sizeof text, OK, GOOD, "");
    for (size_t len = 0; len < strlen(text); len++) {
        assert_int_equal(judge_part(&any_json, text, len), ANSWER_PART);
    }
    assert_int_equal(judge_part(&any_json, text, strlen(text)), ANSWER_RIGHT);
}

/* Answers that a benchmark must not count as work done. */
static void test_answer_wrong(void **state)
{
    static const struct {
        const char *status, *body, *tail;
    } wrong[] = {
        {OK, GOOD, "x"}, /* more than was asked for */
        {"HTTP/1.1 500 Oops", GOOD, ""},
        {"HTTP/1.1 404 Not Found", "", ""},
        {OK, "", ""},
        {OK, "{\"status_code\":0", ""},
        {OK, "{\"status_code\":\"0\"}", ""},
        {OK, "{\"status_code\":}", ""},
        {OK, "{\"message\":\"pong\"}", ""},
        {OK, "{\"status_code\":0,\"partial\":true}", ""},
        {OK, "{\"status_code\":0,broken}", ""},
        {OK, "{\"status_code\":1001,\"status_msg\":\"not logged in\"}", ""},
    };
    static const char endless[] = OK "\r\n\r\n" GOOD;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        if (judge(&any_json, wrong[i].status, wrong[i].body, wrong[i].tail) !=
            ANSWER_WRONG) {
            fail_msg("accepted: %s %s", wrong[i].status, wrong[i].body);
        }
    }
    assert_int_equal(judge_part(&any_json, endless, sizeof endless - 1), ANSWER_WRONG);
}

static void test_answer_refused(void **state)
{
    char text[1024];
    bool closes = true;
    int code = 0;

    (void)state;
    make_answer(text, sizeof text, OK, "{\"status_code\":1016,\"status_msg\":\"busy\"}",
                "");
    assert_int_equal(answer_judge(&any_json, text, strlen(text), false, &closes, &code),
                     ANSWER_REFUSED);
    assert_int_equal(code, 1016);
    assert_false(closes);
}

static void test_answer_expected(void **state)
{
    static const char pong[] = "{\"message\":\"pong\"}";
    const struct expectation only_pong = {.body = pong};
    const struct expectation two = {.array = "list", .array_min = 2};

    (void)state;
    assert_int_equal(judge(&only_pong, OK, pong, ""), ANSWER_RIGHT);
    assert_int_equal(judge(&only_pong, OK, "{\"message\":\"ping\"}", ""), ANSWER_WRONG);
    assert_int_equal(judge(&two, OK, "{\"status_code\":0,\"list\":[1,2]}", ""),
                     ANSWER_RIGHT);
    assert_int_equal(judge(&two, OK, "{\"status_code\":0,\"list\":[1]}", ""),
                     ANSWER_WRONG);
    assert_int_equal(judge(&two, OK, GOOD, ""), ANSWER_WRONG);
}

static void test_answer_closes(void **state)
{
    char text[1024];
    bool closes = false;
    int code = 0;

    (void)state;
    make_answer(text, sizeof text, OK "\r\nconnection: close", GOOD, "");
    assert_int_equal(answer_judge(&any_json, text, strlen(text), false, &closes, &code),
                     ANSWER_RIGHT);
    assert_true(closes);
}

/* ---- Scripts ---- */

/* Makes a file with TEXT; PATH gets its name. */
static void make_file(char *path, const char *text)
{
    snprintf(path, PATH_BYTES, "/tmp/doushard-bench-XXXXXX");
    int fd = mkstemp(path);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
}

static void load(struct script *script, const char *text)
{
    char path[PATH_BYTES];
    char why[WHY_BYTES];

    make_file(path, text);
    assert_true(script_load(script, path, why, sizeof why));
    unlink(path);
}

static void test_script_switches(void **state)
{
    struct script script;
    char out[SCRIPT_REQUEST_MAX];

    (void)state;
    load(&script, "POST /like?type=%&x=1\nGET /ping\n");
    size_t len = script_write(&script, 0, out);
    assert_int_equal(strncmp(out, "POST /like?type=1&x=1 HTTP/1.1\r\n", 32), 0);
    assert_memory_equal(out + len - 21, "Content-Length: 0\r\n\r\n", 21);
    assert_true(script_done(&script, 0));
    assert_int_equal(script_count(&script, SWITCH_ON), 1);
    script_write(&script, 0, out);
    assert_int_equal(out[16], '2');

    /* It is not known whether it was switched off: the next success proves no change. */
    script_unknown(&script, 0);
    script_write(&script, 0, out);
    assert_int_equal(out[16], '1');
    assert_false(script_done(&script, 0));
    assert_int_equal(script_count(&script, SWITCH_ON), 1);
    assert_true(script_done(&script, 0));

    script_unknown(&script, 1);
    assert_true(script_done(&script, 1)); /* not a switch: counts as a change */
    script_release(&script);
}

/* Whichever line comes first, each line belongs to one connection. */
static void test_script_shares(void **state)
{
    struct script script;
    int owner[10];

    (void)state;
    load(&script, "GET /0\nGET /1\nGET /2\nGET /3\nGET /4\nGET /5\nGET /6\nGET /7\n"
                  "GET /8\nGET /9\n");
    memset(owner, -1, sizeof owner);
    for (script.first = 0; script.first < 10; script.first++) {
        for (size_t c = 0; c < 4; c++) {
            size_t line = script_first(&script, c, 4);
            for (int i = 0; i < 12; i++, line = script_next(&script, line, 4)) {
                assert_true(owner[line] == -1 || owner[line] == (int)c);
                owner[line] = (int)c;
            }
        }
    }
    for (size_t i = 0; i < 10; i++) {
        assert_int_equal(owner[i], i % 4);
    }
    script_release(&script);
}

static void test_script_states(void **state)
{
    struct script script, other;
    char path[PATH_BYTES];

    (void)state;
    make_file(path, "");
    load(&script, "POST /%\nPOST /%\nPOST /%\n");
    assert_true(script_done(&script, 1));
    script_unknown(&script, 2);
    assert_true(script_save_states(&script, path, 5));
    script_release(&script);

    load(&script, "POST /%\nPOST /%\nPOST /%\n");
    assert_true(script_load_states(&script, path));
    assert_int_equal(script.first, 2);
    assert_int_equal(script.line[1].state, SWITCH_ON);
    assert_int_equal(script.line[2].state, SWITCH_UNKNOWN);
    load(&other, "POST /%\n");
    assert_false(script_load_states(&other, path));
    unlink(path);
    assert_true(script_load_states(&other, path)); /* no such file: all are off */
    script_release(&script);
    script_release(&other);
}

static void test_script_bad(void **state)
{
    static const char *const bad[] = {"", "GET /ping", "GET /a\n\nGET /b\n"};
    struct script script;
    char path[PATH_BYTES];
    char why[WHY_BYTES];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        make_file(path, bad[i]);
        assert_false(script_load(&script, path, why, sizeof why));
        unlink(path);
    }
    assert_false(script_load(&script, "/nowhere", why, sizeof why));
}

/* ---- CPU ---- */

static void test_cpu(void **state)
{
    struct cpu_group group;
    char text[64];

    (void)state;
    assert_false(cpu_parse(&group, "server"));
    assert_false(cpu_parse(&group, "server="));
    assert_false(cpu_parse(&group, "server=1,x"));
    snprintf(text, sizeof text, "self=%d,%d", (int)getpid(), (int)getpid());
    assert_true(cpu_parse(&group, text));
    assert_string_equal(group.name, "self");
    assert_int_equal(group.n, 2);

    clock_t until = clock() + CLOCKS_PER_SEC / 20;
    while (clock() < until) {
    }
    /* each is counted twice, in ticks of 10 ms */
    assert_true(cpu_seconds(&group) >= 2 * 0.03);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hist_precision),  cmocka_unit_test(test_hist_quantiles),
        cmocka_unit_test(test_hist_edges),      cmocka_unit_test(test_pace),
        cmocka_unit_test(test_answer_in_parts), cmocka_unit_test(test_answer_wrong),
        cmocka_unit_test(test_answer_refused),  cmocka_unit_test(test_answer_expected),
        cmocka_unit_test(test_answer_closes),   cmocka_unit_test(test_script_switches),
        cmocka_unit_test(test_script_shares),   cmocka_unit_test(test_script_states),
        cmocka_unit_test(test_script_bad),      cmocka_unit_test(test_cpu),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
