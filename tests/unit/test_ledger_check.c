/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The checker of the ledger tests: finds nothing in good histories, and each violation in
 * a history or rows made for it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/ledger/check.h"

/* Two users, a video of the second, and ids that nobody has. */
#define ANN          UINT64_C(101)
#define BOB          UINT64_C(102)
#define CLIP         UINT64_C(201)
#define GHOST_USER   UINT64_C(999)
#define GHOST_VIDEO  UINT64_C(998)
#define ROWS_MAX     8192
#define HISTORY_MAX  32
#define NO_VIOLATION 0

/* One case: rows as text, operations as structs. Times are in seconds. */
struct trial {
    char rows[ROWS_MAX];
    struct ledger_history history;
    struct ledger_report report;
};

static void begin(struct trial *trial)
{
    memset(trial, 0, sizeof *trial);
}

static void add_row(struct trial *trial, const char *row)
{
    size_t len = strlen(trial->rows);

    assert_true(snprintf(trial->rows + len, sizeof trial->rows - len, "%s\n", row) <
                (int)(sizeof trial->rows - len));
}

/* Users without anything but Bob's video. Columns: follow, follower, favorite,
 * total_favorited, works, edge_ver. */
static void add_owners(struct trial *trial, const char *ann, const char *bob,
                       const char *clip)
{
    add_row(trial, ann != NULL ? ann : "user\t101\t0\t0\t0\t0\t0\t0");
    add_row(trial, bob != NULL ? bob : "user\t102\t0\t0\t0\t0\t1\t0");
    add_row(trial, clip != NULL ? clip : "video\t201\t102\t1\t0\t0\t1");
}

static struct ledger_op *add_op(struct trial *trial, enum ledger_kind kind,
                                uint64_t actor, uint64_t target, int from_s, int to_s)
{
    const struct ledger_op op = {.worker = 1,
                                 .n = (uint32_t)trial->history.n,
                                 .kind = kind,
                                 .actor = actor,
                                 .target = target,
                                 .on = true,
                                 .invoked_us = from_s * INT64_C(1000000),
                                 .returned_us = to_s * INT64_C(1000000)};

    assert_true(trial->history.n < HISTORY_MAX);
    ledger_history_add(&trial->history, &op);
    return &trial->history.ops[trial->history.n - 1];
}

/* Check, and expect violations of these invariants (a bit each) and of no other. */
static void expect(struct trial *trial, unsigned invariants)
{
    struct ledger_rows rows = {.outbox = 0};
    size_t line = 0;
    FILE *file = fmemopen(trial->rows, strlen(trial->rows), "r");

    assert_non_null(file);
    assert_true(ledger_rows_read(&rows, file, &line));
    assert_int_equal(fclose(file), 0);
    trial->report = (struct ledger_report){.out = NULL};
    ledger_check(&trial->history, &rows, &trial->report);
    for (unsigned i = 0; i < INVARIANT__COUNT; i++) {
        if ((trial->report.violations[i] > 0) != ((invariants >> i & 1) != 0)) {
            fail_msg("I%u: %zu violations, expected %s", i, trial->report.violations[i],
                     (invariants >> i & 1) != 0 ? "some" : "none");
        }
    }
    ledger_rows_release(&rows);
    ledger_history_release(&trial->history);
}

#define BIT(invariant) (1u << (invariant))

/* Ann likes Bob's clip: both halves and all counters. */
static void add_like(struct trial *trial)
{
    add_owners(trial, "user\t101\t0\t0\t1\t0\t0\t1", "user\t102\t0\t0\t0\t1\t1\t0",
               "video\t201\t102\t1\t1\t0\t2");
    add_row(trial, "favorite\t101\t201\t1\t1");
    add_row(trial, "liker\t201\t101\t1\t1");
}

/* Ann liked it and does not any more. */
static void add_unlike(struct trial *trial)
{
    add_owners(trial, "user\t101\t0\t0\t0\t0\t0\t2", NULL, "video\t201\t102\t1\t0\t0\t3");
    add_row(trial, "favorite\t101\t201\t0\t2");
    add_row(trial, "liker\t201\t101\t0\t2");
}

static void test_like(void **unused)
{
    struct trial trial;
    (void)unused;

    begin(&trial);
    add_like(&trial);
    add_op(&trial, LEDGER_LIKE, ANN, CLIP, 1, 2);
    expect(&trial, NO_VIOLATION);

    /* Nobody asked. */
    begin(&trial);
    add_like(&trial);
    expect(&trial, BIT(INVARIANT_INVENTED) | BIT(INVARIANT_TWICE));

    /* It was refused. */
    begin(&trial);
    add_like(&trial);
    add_op(&trial, LEDGER_LIKE, ANN, CLIP, 1, 2)->outcome = LEDGER_FAIL;
    expect(&trial, BIT(INVARIANT_INVENTED));

    /* It was acknowledged and is not there. */
    begin(&trial);
    add_owners(&trial, NULL, NULL, NULL);
    add_op(&trial, LEDGER_LIKE, ANN, CLIP, 1, 2);
    expect(&trial, BIT(INVARIANT_LOST));

    /* It is unknown: both are right. */
    begin(&trial);
    add_owners(&trial, NULL, NULL, NULL);
    add_op(&trial, LEDGER_LIKE, ANN, CLIP, 1, 2)->outcome = LEDGER_UNKNOWN;
    expect(&trial, NO_VIOLATION);
    begin(&trial);
    add_like(&trial);
    add_op(&trial, LEDGER_LIKE, ANN, CLIP, 1, 2)->outcome = LEDGER_UNKNOWN;
    expect(&trial, NO_VIOLATION);
}

static void test_order(void **unused)
{
    struct trial trial;
    (void)unused;

    /* A later unlike decides; one at the same time may. */
    begin(&trial);
    add_unlike(&trial);
    add_op(&trial, LEDGER_LIKE, ANN, CLIP, 1, 2);
    add_op(&trial, LEDGER_LIKE, ANN, CLIP, 3, 4)->on = false;
    expect(&trial, NO_VIOLATION);
    begin(&trial);
    add_like(&trial);
    add_op(&trial, LEDGER_LIKE, ANN, CLIP, 1, 4);
    add_op(&trial, LEDGER_LIKE, ANN, CLIP, 2, 3)->on = false;
    expect(&trial, NO_VIOLATION);

    /* The first attempt of the like came after the acknowledged unlike. */
    begin(&trial);
    add_like(&trial);
    add_op(&trial, LEDGER_LIKE, ANN, CLIP, 1, 2);
    add_op(&trial, LEDGER_LIKE, ANN, CLIP, 3, 4)->on = false;
    expect(&trial, BIT(INVARIANT_LOST));
    begin(&trial);
    add_unlike(&trial);
    add_op(&trial, LEDGER_LIKE, ANN, CLIP, 1, 2)->on = false;
    add_op(&trial, LEDGER_LIKE, ANN, CLIP, 3, 4);
    expect(&trial, BIT(INVARIANT_LOST));

    /* With an unknown like nobody can say. */
    begin(&trial);
    add_like(&trial);
    add_op(&trial, LEDGER_LIKE, ANN, CLIP, 1, 2)->outcome = LEDGER_UNKNOWN;
    add_op(&trial, LEDGER_LIKE, ANN, CLIP, 3, 4)->on = false;
    expect(&trial, NO_VIOLATION);
}

static void test_halves(void **unused)
{
    struct trial trial;
    (void)unused;

    begin(&trial);
    add_owners(&trial, "user\t101\t0\t0\t1\t0\t0\t1", NULL, NULL);
    add_row(&trial, "favorite\t101\t201\t1\t1");
    add_op(&trial, LEDGER_LIKE, ANN, CLIP, 1, 2);
    expect(&trial, BIT(INVARIANT_HALVES));

    begin(&trial);
    add_owners(&trial, "user\t101\t1\t0\t0\t0\t0\t3", "user\t102\t0\t1\t0\t0\t1\t1",
               NULL);
    add_row(&trial, "follow\t101\t102\t1\t3");
    add_row(&trial, "follower\t102\t101\t1\t1");
    for (int i = 0; i < 3; i++) {
        add_op(&trial, LEDGER_FOLLOW, ANN, BOB, 1 + i, 2 + i);
    }
    expect(&trial, BIT(INVARIANT_HALVES));

    /* Of what is no longer there nothing is said. */
    begin(&trial);
    add_owners(&trial, "user\t101\t0\t0\t1\t0\t0\t1", "user\t102\t0\t0\t0\t0\t0\t0",
               "video\t201\t102\t0\t0\t0\t2");
    add_row(&trial, "favorite\t101\t201\t1\t1");
    add_op(&trial, LEDGER_LIKE, ANN, CLIP, 1, 2);
    expect(&trial, NO_VIOLATION);
}

static void test_counters(void **unused)
{
    struct trial trial;
    (void)unused;

    begin(&trial);
    add_owners(&trial, "user\t101\t0\t0\t2\t0\t0\t1", "user\t102\t0\t0\t0\t1\t1\t0",
               "video\t201\t102\t1\t1\t0\t2");
    add_row(&trial, "favorite\t101\t201\t1\t1");
    add_row(&trial, "liker\t201\t101\t1\t1");
    add_op(&trial, LEDGER_LIKE, ANN, CLIP, 1, 2);
    expect(&trial, BIT(INVARIANT_COUNTERS));

    static const char *const wrong[][3] = {
        {"user\t101\t1\t0\t0\t0\t0\t0", NULL, NULL}, /* follow_count */
        {"user\t101\t0\t1\t0\t0\t0\t0", NULL, NULL},
        {"user\t101\t0\t0\t-1\t0\t0\t0", NULL, NULL},
        {NULL, "user\t102\t0\t0\t0\t4\t1\t0", NULL},
        {NULL, "user\t102\t0\t0\t0\t0\t2\t0", NULL},
        {NULL, NULL, "video\t201\t102\t1\t0\t1\t1"},
    };
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        begin(&trial);
        add_owners(&trial, wrong[i][0], wrong[i][1], wrong[i][2]);
        expect(&trial, BIT(INVARIANT_COUNTERS));
    }

    /* More versions than requests. */
    begin(&trial);
    add_owners(&trial, "user\t101\t0\t0\t0\t0\t0\t3", NULL, NULL);
    add_op(&trial, LEDGER_LIKE, ANN, CLIP, 1, 2)->outcome = LEDGER_UNKNOWN;
    expect(&trial, BIT(INVARIANT_TWICE));
}

static void test_ghosts(void **unused)
{
    struct trial trial;
    (void)unused;

    /* A tombstone may stay. */
    begin(&trial);
    add_owners(&trial, "user\t101\t0\t0\t0\t0\t0\t1", NULL, NULL);
    add_row(&trial, "favorite\t101\t998\t0\t1");
    add_row(&trial, "message\t101\t999\t1\t1\t55\t10\t0\ttext 1-1");
    add_op(&trial, LEDGER_LIKE, ANN, GHOST_VIDEO, 1, 2)->outcome = LEDGER_FAIL;
    add_op(&trial, LEDGER_MESSAGE, ANN, GHOST_USER, 3, 4);
    expect(&trial, NO_VIOLATION);

    begin(&trial);
    add_owners(&trial, "user\t101\t0\t0\t1\t0\t0\t1", NULL, NULL);
    add_row(&trial, "favorite\t101\t998\t1\t1");
    add_op(&trial, LEDGER_LIKE, ANN, GHOST_VIDEO, 1, 2);
    expect(&trial, BIT(INVARIANT_REFERENCES));

    begin(&trial);
    add_owners(&trial, NULL, NULL, NULL);
    add_row(&trial, "message\t101\t999\t1\t1\t55\t10\t1\ttext 1-0");
    add_op(&trial, LEDGER_MESSAGE, ANN, GHOST_USER, 3, 4);
    expect(&trial, BIT(INVARIANT_REFERENCES));
}

/* Ann's comment 301 under Bob's clip, written by operation 1-0. */
static void add_comment(struct trial *trial, const char *forward, const char *backward)
{
    add_row(trial, "user\t101\t0\t0\t0\t0\t0\t0");
    add_row(trial, "user\t102\t0\t0\t0\t0\t1\t0");
    add_row(trial, strstr(forward, "\t101\t1\t") != NULL ? "video\t201\t102\t1\t0\t1\t2"
                                                         : "video\t201\t102\t1\t0\t0\t3");
    add_row(trial, forward);
    if (backward != NULL) {
        add_row(trial, backward);
    }
    add_op(trial, LEDGER_COMMENT, ANN, CLIP, 1, 2)->item = 301;
}

static void test_comments(void **unused)
{
    static const char live[] = "comment\t201\t301\t101\t1\t1\ttext 1-0";
    static const char live_back[] = "commented\t201\t301\t101\t1\t1\t-";
    static const char gone[] = "comment\t201\t301\t101\t0\t2\ttext 1-0";
    static const char gone_back[] = "commented\t201\t301\t101\t0\t2\t-";
    struct trial trial;
    (void)unused;

    begin(&trial);
    add_comment(&trial, live, live_back);
    expect(&trial, NO_VIOLATION);

    begin(&trial);
    add_comment(&trial, live, NULL);
    expect(&trial, BIT(INVARIANT_HALVES));

    begin(&trial);
    add_comment(&trial, live, gone_back);
    expect(&trial, BIT(INVARIANT_HALVES));

    begin(&trial);
    add_comment(&trial, live, live_back);
    trial.history.ops[0].outcome = LEDGER_FAIL;
    expect(&trial, BIT(INVARIANT_INVENTED));

    begin(&trial);
    add_comment(&trial, live, live_back);
    trial.history.ops[0].item = 302;
    expect(&trial, BIT(INVARIANT_LOST));

    begin(&trial);
    add_comment(&trial, gone, gone_back);
    expect(&trial, BIT(INVARIANT_INVENTED));

    begin(&trial);
    add_comment(&trial, gone, gone_back);
    add_op(&trial, LEDGER_UNCOMMENT, BOB, CLIP, 3, 4)->item = 301;
    expect(&trial, NO_VIOLATION);

    begin(&trial);
    add_comment(&trial, live, live_back);
    add_op(&trial, LEDGER_UNCOMMENT, BOB, CLIP, 3, 4)->item = 301;
    expect(&trial, BIT(INVARIANT_LOST));

    begin(&trial);
    add_owners(&trial, NULL, NULL, NULL);
    add_op(&trial, LEDGER_COMMENT, ANN, CLIP, 1, 2)->item = 301;
    expect(&trial, BIT(INVARIANT_LOST));

    /* The same operation twice. */
    begin(&trial);
    add_comment(&trial, live, live_back);
    trial.history.ops[0].outcome = LEDGER_UNKNOWN;
    add_row(&trial, "comment\t201\t302\t101\t0\t2\ttext 1-0");
    add_row(&trial, "commented\t201\t302\t101\t0\t2\t-");
    add_op(&trial, LEDGER_UNCOMMENT, BOB, CLIP, 3, 4)->item = 302;
    expect(&trial, BIT(INVARIANT_TWICE));
}

/* Ann sends Bob the messages of operations 1-0, 1-1, .. one after the other. */
static void add_messages(struct trial *trial, const char *const *rows, size_t n)
{
    add_owners(trial, NULL, NULL, NULL);
    for (size_t i = 0; i < n; i++) {
        add_row(trial, rows[i]);
    }
    add_op(trial, LEDGER_MESSAGE, ANN, BOB, 1, 2);
    add_op(trial, LEDGER_MESSAGE, ANN, BOB, 3, 4);
}

static void test_messages(void **unused)
{
    static const char s1[] = "message\t101\t102\t1\t1\t55\t10\t1\ttext 1-0";
    static const char s2[] = "message\t101\t102\t1\t2\t56\t11\t1\ttext 1-1";
    static const char r1[] = "message\t102\t101\t0\t1\t55\t20\t1\ttext 1-0";
    static const char r2[] = "message\t102\t101\t0\t2\t56\t21\t1\ttext 1-1";
    static const struct {
        const char *rows[6];
        unsigned invariants;
    } cases[] = {
        {{s1, s2, r1, r2}, NO_VIOLATION},
        /* no copy; no original */
        {{s1, s2, r1}, BIT(INVARIANT_MESSAGES)},
        {{s1, r1, r2}, BIT(INVARIANT_MESSAGES) | BIT(INVARIANT_LOST)},
        /* a gap */
        {{s1, r1, "message\t101\t102\t1\t3\t56\t11\t1\ttext 1-1",
          "message\t102\t101\t0\t3\t56\t21\t1\ttext 1-1"},
         BIT(INVARIANT_MESSAGES)},
        /* another text, another id */
        {{s1, s2, r1, "message\t102\t101\t0\t2\t56\t21\t1\ttext 1-0"},
         BIT(INVARIANT_MESSAGES)},
        {{s1, s2, r1, "message\t102\t101\t0\t2\t57\t21\t1\ttext 1-1"},
         BIT(INVARIANT_MESSAGES)},
        /* taken back */
        {{s1, r1, "message\t101\t102\t1\t2\t56\t11\t0\ttext 1-1", r2},
         BIT(INVARIANT_MESSAGES)},
        /* times go back */
        {{s1, s2, r1, "message\t102\t101\t0\t2\t56\t19\t1\ttext 1-1"},
         BIT(INVARIANT_MESSAGES)},
        /* the later one first */
        {{"message\t101\t102\t1\t1\t55\t10\t1\ttext 1-1",
          "message\t101\t102\t1\t2\t56\t11\t1\ttext 1-0",
          "message\t102\t101\t0\t1\t55\t20\t1\ttext 1-1",
          "message\t102\t101\t0\t2\t56\t21\t1\ttext 1-0"},
         BIT(INVARIANT_MESSAGES)},
        /* one of them twice */
        {{s1, s2, r1, r2, "message\t101\t102\t1\t3\t57\t12\t1\ttext 1-1",
          "message\t102\t101\t0\t3\t57\t22\t1\ttext 1-1"},
         BIT(INVARIANT_TWICE)},
        /* one that nobody sent */
        {{s1, s2, r1, r2, "message\t101\t102\t1\t3\t57\t12\t1\ttext 7-7",
          "message\t102\t101\t0\t3\t57\t22\t1\ttext 7-7"},
         BIT(INVARIANT_INVENTED)},
    };
    struct trial trial;
    (void)unused;

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        size_t n = 0;
        while (n < ARRAY_LEN(cases[i].rows) && cases[i].rows[n] != NULL) {
            n++;
        }
        begin(&trial);
        add_messages(&trial, cases[i].rows, n);
        expect(&trial, cases[i].invariants);
    }
}

/* Ann's favorite_count, read from FROM_S to TO_S, after a like at 1-2 and an unlike at
 * 5-6 s. */
static void expect_read(int from_s, int to_s, int64_t count, bool good)
{
    struct trial trial;

    begin(&trial);
    add_unlike(&trial);
    add_op(&trial, LEDGER_LIKE, ANN, CLIP, 1, 2);
    add_op(&trial, LEDGER_LIKE, ANN, CLIP, 5, 6)->on = false;
    add_op(&trial, LEDGER_READ, ANN, 0, from_s, to_s)->counts[COUNTER_FAVORITE] = count;
    expect(&trial, good ? NO_VIOLATION : BIT(INVARIANT_BOUNDS));
}

static void test_reads(void **unused)
{
    (void)unused;
    expect_read(0, 0, 0, true);
    expect_read(0, 0, 1, false);
    expect_read(0, 3, 0, true); /* while it is being liked */
    expect_read(0, 3, 1, true);
    expect_read(0, 3, 2, false);
    expect_read(3, 4, 1, true);
    expect_read(3, 4, 0, false);
    expect_read(3, 7, 0, true);
    expect_read(7, 8, 0, true);
    expect_read(7, 8, 1, false);
    expect_read(7, 8, -1, false);
}

static void test_outbox(void **unused)
{
    struct trial trial;
    (void)unused;

    begin(&trial);
    add_owners(&trial, NULL, NULL, NULL);
    add_row(&trial, "outbox\t101\tfollow\t102\t0\t1\t0");
    expect(&trial, BIT(INVARIANT_INTENTS));
}

static void test_history(void **unused)
{
    struct ledger_history history = {.n = 0};
    struct ledger_history again = {.n = 0};
    const struct ledger_op op = {.worker = 63,
                                 .n = 4000000000u,
                                 .kind = LEDGER_READ,
                                 .actor = (UINT64_C(1) << 53) - 1,
                                 .item = 7,
                                 .on = true,
                                 .invoked_us = 1,
                                 .returned_us = INT64_MAX,
                                 .outcome = LEDGER_UNKNOWN,
                                 .code = -1,
                                 .server = 1,
                                 .counts = {1, -2, 3, 4}};
    size_t line = 0;
    uint32_t worker = 0;
    uint32_t n = 0;
    char text[32];
    FILE *file = tmpfile();
    (void)unused;

    assert_non_null(file);
    ledger_history_add(&history, &op);
    assert_true(ledger_history_write(&history, file));
    rewind(file);
    assert_true(ledger_history_read(&again, file, &line));
    assert_int_equal(again.n, 1);
    assert_int_equal(again.ops[0].n, op.n);
    assert_int_equal(again.ops[0].actor, op.actor);
    assert_int_equal(again.ops[0].returned_us, op.returned_us);
    assert_int_equal(again.ops[0].outcome, op.outcome);
    assert_memory_equal(again.ops[0].counts, op.counts, sizeof op.counts);
    assert_true(fputs("1 2 3\n", file) >= 0);
    rewind(file);
    assert_false(ledger_history_read(&again, file, &line));
    assert_int_equal(line, 2);
    (void)fclose(file);
    ledger_history_release(&history);
    ledger_history_release(&again);

    ledger_text(text, sizeof text, 63, 4000000000u);
    assert_true(ledger_text_parse(text, &worker, &n));
    assert_int_equal(worker, 63);
    assert_int_equal(n, 4000000000u);
    assert_false(ledger_text_parse("text 1-2x", &worker, &n));
    assert_false(ledger_text_parse("text 1", &worker, &n));
    assert_false(ledger_text_parse("hello", &worker, &n));
}

static void test_outcomes(void **unused)
{
    (void)unused;
    assert_int_equal(ledger_outcome_of(0), LEDGER_OK);
    assert_int_equal(ledger_outcome_of(1011), LEDGER_FAIL);
    /* Each of these may come after an attempt that was done. */
    assert_int_equal(ledger_outcome_of(1016), LEDGER_UNKNOWN);
    assert_int_equal(ledger_outcome_of(1017), LEDGER_UNKNOWN);
    assert_int_equal(ledger_outcome_of(1018), LEDGER_UNKNOWN);
    assert_int_equal(ledger_outcome_of(1500), LEDGER_UNKNOWN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_like),     cmocka_unit_test(test_order),
        cmocka_unit_test(test_halves),   cmocka_unit_test(test_counters),
        cmocka_unit_test(test_ghosts),   cmocka_unit_test(test_comments),
        cmocka_unit_test(test_messages), cmocka_unit_test(test_reads),
        cmocka_unit_test(test_outbox),   cmocka_unit_test(test_history),
        cmocka_unit_test(test_outcomes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
