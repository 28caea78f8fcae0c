/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The checker of the ledger tests: it finds nothing in good histories, and each
 * violation in a history or rows made for it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/ledger/check.h"

/* Two users, a video of the second, a third user, and ids that do not exist. */
#define ANN          UINT64_C(101)
#define BOB          UINT64_C(102)
#define CAT          UINT64_C(103)
#define CLIP         UINT64_C(201)
#define GHOST_USER   UINT64_C(999)
#define GHOST_VIDEO  UINT64_C(998)
#define ROWS_MAX     8192
#define HISTORY_MAX  32
#define NO_VIOLATION 0

/* One case: rows as text, and operations. Times are in seconds. */
struct trial {
    char rows[ROWS_MAX];
    struct ledger_history history;
    struct ledger_mailboxes mailboxes;
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

/* Users who have nothing but Bob's video. Columns: follow, follower, favorite,
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

/* Checks, and expects violations of these invariants (a bit each) and of no others. */
static void expect(struct trial *trial, unsigned invariants)
{
    struct ledger_rows rows = {.outbox = 0};
    size_t line = 0;
    FILE *file = fmemopen(trial->rows, strlen(trial->rows), "r");

    assert_non_null(file);
    assert_true(ledger_rows_read(&rows, file, &line));
    assert_int_equal(fclose(file), 0);
    trial->report = (struct ledger_report){.out = NULL};
    ledger_check(&trial->history, &rows, &trial->mailboxes, &trial->report);
    for (unsigned i = 0; i < INVARIANT__COUNT; i++) {
        if ((trial->report.violations[i] > 0) != ((invariants >> i & 1) != 0)) {
            fail_msg("I%u: %zu violations, expected %s", i, trial->report.violations[i],
                     (invariants >> i & 1) != 0 ? "some" : "none");
        }
    }
    ledger_rows_release(&rows);
    ledger_history_release(&trial->history);
    ledger_mailboxes_release(&trial->mailboxes);
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

/* Ann liked it, and has taken the like back. */
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

    /* Nobody asked for it. */
    begin(&trial);
    add_like(&trial);
    expect(&trial, BIT(INVARIANT_INVENTED) | BIT(INVARIANT_TWICE));

    /* It was refused. */
    begin(&trial);
    add_like(&trial);
    add_op(&trial, LEDGER_LIKE, ANN, CLIP, 1, 2)->outcome = LEDGER_FAIL;
    expect(&trial, BIT(INVARIANT_INVENTED));

    /* It was acknowledged and is missing. */
    begin(&trial);
    add_owners(&trial, NULL, NULL, NULL);
    add_op(&trial, LEDGER_LIKE, ANN, CLIP, 1, 2);
    expect(&trial, BIT(INVARIANT_LOST));

    /* Its outcome is unknown: both are right. */
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

    /* A later unlike counts; an unlike at the same time may count. */
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

    /* After a like of unknown outcome both are possible. */
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

    /* Nothing is checked of what no longer exists. */
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

/* Ann's comment 301 on Bob's clip, written by operation 1-0. */
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

    /* Another video may have a comment of the same number. */
    begin(&trial);
    add_comment(&trial, live, live_back);
    add_op(&trial, LEDGER_UNCOMMENT, BOB, CLIP + 1, 3, 4)->item = 301;
    expect(&trial, NO_VIOLATION);

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

/* Ann sends Bob the messages of operations 1-0, 1-1, ... one after the other. */
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

/* ---- Polls ---- */

/* What was returned to Bob, or to another viewer. */
struct poll_answer {
    uint64_t viewer; /* 0: Bob */
    uint64_t sender; /* 0: Ann */
    uint64_t receiver;
    int64_t since_ms;
    uint64_t id;
    int64_t at;
    const char *text;
};

/* Ann has sent Bob two messages, and he has sent an answer that lies between them in
 * his mailbox. He polls, and these are the answers. */
static void add_polls(struct trial *trial, const struct poll_answer *answers, size_t n)
{
    static const char *const rows[] = {
        "message\t101\t102\t1\t1\t55\t10\t1\ttext 1-0",
        "message\t101\t102\t1\t2\t56\t12\t1\ttext 1-1",
        "message\t101\t102\t0\t1\t77\t11\t1\ttext 1-2",
        "message\t102\t101\t0\t1\t55\t20\t1\ttext 1-0",
        "message\t102\t101\t0\t2\t56\t2000\t1\ttext 1-1",
        "message\t102\t101\t1\t1\t77\t21\t1\ttext 1-2",
    };

    add_messages(trial, rows, ARRAY_LEN(rows));
    add_op(trial, LEDGER_MESSAGE, BOB, ANN, 2, 3);
    add_op(trial, LEDGER_MESSAGE, CAT, ANN, 2, 3)->outcome = LEDGER_UNKNOWN;
    add_op(trial, LEDGER_MESSAGE, ANN, CAT, 2, 3)->outcome = LEDGER_UNKNOWN;
    struct ledger_mailbox *mailbox = ledger_mailboxes_add(&trial->mailboxes, BOB, ANN);
    mailbox->stranger = CAT;
    for (size_t i = 0; i < n; i++) {
        struct ledger_given given = {
            .viewer = answers[i].viewer != 0 ? answers[i].viewer : BOB,
            .since_ms = answers[i].since_ms,
            .id = answers[i].id,
            .sender = answers[i].sender != 0 ? answers[i].sender : ANN,
            .receiver = answers[i].receiver != 0 ? answers[i].receiver : BOB,
            .at = answers[i].at};
        (void)snprintf(given.text, sizeof given.text, "%s", answers[i].text);
        ledger_mailbox_give(mailbox, &given);
    }
}

static void expect_polls(const struct poll_answer *answers, size_t n, unsigned invariants)
{
    struct trial trial;

    begin(&trial);
    add_polls(&trial, answers, n);
    expect(&trial, invariants);
}

#define FIRST     .id = 55, .at = 20, .text = "text 1-0"
#define SECOND    .id = 56, .at = 2000, .text = "text 1-1"
#define SENT      .sender = BOB, .receiver = ANN, .id = 77, .at = 21, .text = "text 1-2"
#define STRANGERS .viewer = CAT, .sender = CAT, .receiver = ANN, .id = 9

#define EXPECT_POLLS(invariants, ...)                                                    \
    do {                                                                                 \
        const struct poll_answer answers_[] = {__VA_ARGS__};                             \
        expect_polls(answers_, ARRAY_LEN(answers_), (invariants));                       \
    } while (0)

static void test_good_polls(void **unused)
{
    struct trial trial;
    const struct poll_answer answers[] = {{FIRST}, {.since_ms = 20, SECOND}};
    (void)unused;

    EXPECT_POLLS(NO_VIOLATION, {FIRST}, {SECOND});
    EXPECT_POLLS(NO_VIOLATION, {.since_ms = 1, FIRST}, {.since_ms = 20, SECOND});
    /* The first answer has both directions, later ones only received messages. */
    EXPECT_POLLS(NO_VIOLATION, {FIRST}, {SENT}, {.since_ms = 21, SECOND});
    /* A stranger sees only their own messages. */
    EXPECT_POLLS(NO_VIOLATION, {FIRST}, {SECOND},
                 {STRANGERS, .at = 5, .text = "text 1-3"});
    EXPECT_POLLS(NO_VIOLATION, {FIRST}, {SECOND},
                 {.viewer = CAT, .receiver = CAT, .id = 8, .at = 4, .text = "text 1-4"});

    /* A message that was taken back is shown to nobody. */
    begin(&trial);
    add_polls(&trial, answers, 1);
    char *row = strstr(trial.rows, "2000\t1");
    assert_non_null(row);
    row[strlen("2000\t")] = '0';
    trial.history.ops[1].outcome = LEDGER_UNKNOWN;
    expect(&trial, BIT(INVARIANT_MESSAGES)); /* its sender was not erased */
    assert_int_equal(trial.report.violations[INVARIANT_MESSAGES], 1);

    begin(&trial);
    add_polls(&trial, answers, ARRAY_LEN(answers));
    expect(&trial, NO_VIOLATION);
    assert_int_equal(trial.report.given, 2);
    assert_int_equal(trial.report.late, 1);
}

static void test_bad_polls(void **unused)
{
    static const unsigned bad = BIT(INVARIANT_MESSAGES);
    struct trial trial;
    (void)unused;

    /* skipped: the first, the last, all */
    EXPECT_POLLS(bad, {SECOND});
    EXPECT_POLLS(bad, {FIRST});
    expect_polls(NULL, 0, bad);
    /* doubled, by the same answer or the next */
    EXPECT_POLLS(bad, {FIRST}, {FIRST}, {.since_ms = 20, SECOND});
    EXPECT_POLLS(bad, {FIRST}, {.since_ms = 20, FIRST}, {.since_ms = 20, SECOND});
    EXPECT_POLLS(bad, {FIRST}, {SECOND}, {.since_ms = 2000, SECOND});
    /* twice, each time as a later one */
    EXPECT_POLLS(bad, {FIRST}, {SECOND},
                 {.since_ms = 2000, .id = 56, .at = 2001, .text = "text 1-1"});
    /* in the wrong order, in one answer or in two */
    EXPECT_POLLS(bad, {SECOND}, {FIRST});
    EXPECT_POLLS(bad, {.since_ms = 1, SECOND}, {.since_ms = 1, FIRST});
    /* no newer than since_ms */
    EXPECT_POLLS(bad, {.since_ms = 20, FIRST}, {.since_ms = 20, SECOND});
    /* a time, id or text that differs from its row */
    EXPECT_POLLS(bad, {FIRST}, {.id = 56, .at = 1999, .text = "text 1-1"});
    EXPECT_POLLS(bad, {FIRST}, {.id = 57, .at = 2000, .text = "text 1-1"});
    EXPECT_POLLS(bad, {FIRST}, {.id = 56, .at = 2000, .text = "text 1-0"});
    EXPECT_POLLS(bad, {FIRST}, {.id = 56, .at = 2000, .text = "hello"});
    /* a message without a row */
    EXPECT_POLLS(bad, {FIRST}, {SECOND}, {.id = 99, .at = 2001, .text = "text 1-9"});
    /* his own message in an answer to a later poll */
    EXPECT_POLLS(bad, {FIRST}, {.since_ms = 20, SENT}, {.since_ms = 21, SECOND});
    /* from another chat */
    EXPECT_POLLS(bad, {FIRST}, {SECOND},
                 {.sender = CAT, .id = 99, .at = 2001, .text = "text 1-9"});
    EXPECT_POLLS(bad, {FIRST}, {SECOND},
                 {.receiver = CAT, .id = 99, .at = 2001, .text = "text 1-9"});
    /* shown to a stranger, as it is or as if the stranger were a party */
    EXPECT_POLLS(bad, {FIRST}, {SECOND}, {.viewer = CAT, FIRST});
    EXPECT_POLLS(bad, {FIRST}, {SECOND}, {.viewer = CAT, .receiver = CAT, FIRST});
    EXPECT_POLLS(bad, {FIRST}, {SECOND}, {STRANGERS, .at = 20, .text = "text 1-2"});
    EXPECT_POLLS(bad, {FIRST}, {SECOND}, {STRANGERS, .at = 20, .text = "hello"});

    /* Skipped, or with another text, although the sender got no acknowledgement. */
    const struct poll_answer skipped[] = {{FIRST}};
    begin(&trial);
    add_polls(&trial, skipped, ARRAY_LEN(skipped));
    trial.history.ops[1].outcome = LEDGER_UNKNOWN;
    expect(&trial, bad);
    const struct poll_answer other[] = {{FIRST}, {.id = 56, .at = 2000, .text = "hello"}};
    begin(&trial);
    add_polls(&trial, other, ARRAY_LEN(other));
    trial.history.ops[1].outcome = LEDGER_UNKNOWN;
    expect(&trial, bad);

    /* Acknowledged, and lost before anybody saw it. */
    const struct poll_answer answers[] = {{FIRST}, {SECOND}};
    begin(&trial);
    add_polls(&trial, answers, ARRAY_LEN(answers));
    add_op(&trial, LEDGER_MESSAGE, ANN, BOB, 5, 6);
    expect(&trial, bad | BIT(INVARIANT_LOST));
}

static void test_mailboxes(void **unused)
{
    struct ledger_mailboxes mailboxes = {.n = 0};
    struct ledger_mailboxes again = {.n = 0};
    const struct ledger_given given[] = {{.viewer = BOB,
                                          .since_ms = 1,
                                          .id = (UINT64_C(1) << 53) - 1,
                                          .sender = ANN,
                                          .receiver = BOB,
                                          .at = INT64_MAX,
                                          .text = "text 63-4000000000"},
                                         {.viewer = CAT, .text = "two\nlines"}};
    size_t line = 0;
    FILE *file = tmpfile();
    (void)unused;

    assert_non_null(file);
    struct ledger_mailbox *mailbox = ledger_mailboxes_add(&mailboxes, BOB, ANN);
    mailbox->stranger = CAT;
    mailbox->polls = 7;
    mailbox->failures = 8;
    ledger_mailbox_give(mailbox, &given[0]);
    ledger_mailbox_give(mailbox, &given[1]);
    (void)ledger_mailboxes_add(&mailboxes, ANN, BOB);
    assert_true(ledger_mailboxes_write(&mailboxes, file));
    rewind(file);
    assert_true(ledger_mailboxes_read(&again, file, &line));
    assert_int_equal(again.n, 2);
    assert_int_equal(again.all[0].owner, BOB);
    assert_int_equal(again.all[0].peer, ANN);
    assert_int_equal(again.all[0].stranger, CAT);
    assert_int_equal(again.all[0].polls, 7);
    assert_int_equal(again.all[0].failures, 8);
    assert_int_equal(again.all[0].n_given, 2);
    assert_int_equal(again.all[1].n_given, 0);
    assert_int_equal(again.all[0].given[0].since_ms, 1);
    assert_int_equal(again.all[0].given[0].id, given[0].id);
    assert_int_equal(again.all[0].given[0].sender, ANN);
    assert_int_equal(again.all[0].given[0].receiver, BOB);
    assert_int_equal(again.all[0].given[0].at, INT64_MAX);
    assert_string_equal(again.all[0].given[0].text, given[0].text);
    assert_int_equal(again.all[0].given[1].viewer, CAT);
    assert_string_equal(again.all[0].given[1].text, "?");
    assert_true(fputs("given 1 2 3\n", file) >= 0);
    rewind(file);
    assert_false(ledger_mailboxes_read(&again, file, &line));
    assert_int_equal(line, 5);
    (void)fclose(file);
    ledger_mailboxes_release(&mailboxes);
    ledger_mailboxes_release(&again);
}

/* ---- Counters that were read ---- */

/* Ann's favorite_count, read between FROM_S and TO_S, after a like at 1-2 s and an
 * unlike at 5-6 s. */
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

/* Ann likes and unlikes Bob's clip, and follows and unfollows him; only the first
 * halves of these are certain. Bob's counters are read between FROM_S and TO_S. */
static void expect_user(int from_s, int to_s, int64_t followers, int64_t favorited,
                        bool good)
{
    struct trial trial;

    begin(&trial);
    add_owners(&trial, "user\t101\t0\t0\t0\t0\t0\t4", NULL,
               "video\t201\t102\t1\t0\t0\t3");
    add_row(&trial, "favorite\t101\t201\t0\t2");
    add_row(&trial, "liker\t201\t101\t0\t2");
    add_row(&trial, "follow\t101\t102\t0\t4");
    add_row(&trial, "follower\t102\t101\t0\t4");
    add_op(&trial, LEDGER_LIKE, ANN, CLIP, 2, 3);
    add_op(&trial, LEDGER_FOLLOW, ANN, BOB, 4, 5);
    add_op(&trial, LEDGER_LIKE, ANN, CLIP, 6, 7)->on = false;
    add_op(&trial, LEDGER_FOLLOW, ANN, BOB, 6, 7)->on = false;
    /* An edge counts once. */
    add_op(&trial, LEDGER_LIKE, ANN, CLIP, 8, 9)->outcome = LEDGER_UNKNOWN;
    add_op(&trial, LEDGER_LIKE, ANN, GHOST_VIDEO, 1, 9)->outcome = LEDGER_FAIL;
    struct ledger_op *read = add_op(&trial, LEDGER_READ, BOB, 0, from_s, to_s);
    read->counts[COUNTER_FOLLOWER] = followers;
    read->counts[COUNTER_FAVORITED] = favorited;
    expect(&trial, good ? NO_VIOLATION : BIT(INVARIANT_BOUNDS));
}

static void test_late_counters(void **unused)
{
    (void)unused;
    expect_user(0, 1, 0, 0, true);
    expect_user(0, 1, 0, 1, false); /* before the first request */
    expect_user(0, 1, 1, 0, false);
    expect_user(0, 2, 0, 1, true);
    expect_user(0, 3, 1, 1, false);
    expect_user(0, 4, 1, 1, true);
    expect_user(0, 4, 1, 2, false);
    expect_user(0, 4, 2, 1, false);
    expect_user(0, 4, 0, 0, true);
    /* the second halves of unlike and unfollow are late */
    expect_user(30, 31, 1, 1, true);
    expect_user(30, 31, 2, 0, false);
    expect_user(30, 31, 0, 2, false);
    expect_user(30, 31, -1, 0, false);
    expect_user(30, 31, 0, -1, false);
}

/* Bob's clip: Ann's like at 1-2 s, her comment 301 at 3-4 s, and 302, of unknown
 * outcome, at 5-6 s; 301 is deleted at 7-8 s, and a forbidden delete is tried at 3-6
 * s. */
static void expect_video(int from_s, int to_s, int64_t likes, int64_t comments, bool good)
{
    struct trial trial;

    begin(&trial);
    add_owners(&trial, "user\t101\t0\t0\t1\t0\t0\t1", "user\t102\t0\t0\t0\t1\t1\t0",
               "video\t201\t102\t1\t1\t0\t4");
    add_row(&trial, "favorite\t101\t201\t1\t1");
    add_row(&trial, "liker\t201\t101\t1\t1");
    add_row(&trial, "comment\t201\t301\t101\t0\t2\ttext 1-1");
    add_row(&trial, "commented\t201\t301\t101\t0\t2\t-");
    add_op(&trial, LEDGER_LIKE, ANN, CLIP, 1, 2);
    add_op(&trial, LEDGER_COMMENT, ANN, CLIP, 3, 4)->item = 301;
    add_op(&trial, LEDGER_COMMENT, ANN, CLIP, 5, 6)->outcome = LEDGER_UNKNOWN;
    add_op(&trial, LEDGER_UNCOMMENT, BOB, CLIP, 7, 8)->item = 301;
    add_op(&trial, LEDGER_UNCOMMENT, ANN, CLIP, 7, 9)->item = 301;
    struct ledger_op *refused = add_op(&trial, LEDGER_UNCOMMENT, CAT, CLIP, 3, 6);
    refused->item = 301;
    refused->outcome = LEDGER_FAIL;
    struct ledger_op *read = add_op(&trial, LEDGER_READ_VIDEO, BOB, CLIP, from_s, to_s);
    read->counts[VIDEO_COUNTER_FAVORITE] = likes;
    read->counts[VIDEO_COUNTER_COMMENT] = comments;
    expect(&trial, good ? NO_VIOLATION : BIT(INVARIANT_BOUNDS));
}

static void test_video_counters(void **unused)
{
    (void)unused;
    expect_video(0, 0, 0, 0, true);
    expect_video(0, 0, 1, 0, false);
    expect_video(0, 0, 0, 1, false);
    expect_video(0, 0, -1, 0, false);
    expect_video(0, 0, 0, -1, false);
    expect_video(0, 1, 1, 0, true);
    expect_video(0, 1, 2, 0, false);
    expect_video(30, 31, 0, 0, true); /* the second half of a like may be late */
    expect_video(0, 3, 0, 1, true);   /* a comment has none */
    expect_video(0, 3, 0, 2, false);
    expect_video(4, 5, 0, 0, true); /* at the same microsecond */
    expect_video(5, 5, 0, 1, true);
    expect_video(5, 5, 0, 2, true);
    expect_video(5, 5, 0, 3, false);
    expect_video(5, 6, 0, 0, false);
    expect_video(5, 7, 0, 0, true); /* while it is being deleted */
    expect_video(5, 7, 0, 2, true);
    expect_video(7, 7, 0, 2, true);
    expect_video(5, 9, 0, 2, true);
    expect_video(3, 8, 0, -1, false);
    expect_video(9, 10, 0, 1, true); /* 302 may exist */
    expect_video(9, 10, 0, 0, true);
    expect_video(9, 10, 0, 2, false);
    expect_video(9, 10, 0, -1, false);
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
                                 .counts = {1, -2, 3, 4},
                                 .repeats = 5};
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
    assert_int_equal(again.ops[0].repeats, op.repeats);
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
        cmocka_unit_test(test_like),           cmocka_unit_test(test_order),
        cmocka_unit_test(test_halves),         cmocka_unit_test(test_counters),
        cmocka_unit_test(test_ghosts),         cmocka_unit_test(test_comments),
        cmocka_unit_test(test_messages),       cmocka_unit_test(test_reads),
        cmocka_unit_test(test_good_polls),     cmocka_unit_test(test_bad_polls),
        cmocka_unit_test(test_mailboxes),      cmocka_unit_test(test_late_counters),
        cmocka_unit_test(test_video_counters), cmocka_unit_test(test_outbox),
        cmocka_unit_test(test_history),        cmocka_unit_test(test_outcomes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
