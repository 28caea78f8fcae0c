/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Second halves: how they are read, which are delivered together, and in which order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "shard/half.h"

static struct half message(uint64_t from, uint64_t to, uint64_t seq)
{
    return (struct half){.kind = HALF_MESSAGE,
                         .actor_id = from,
                         .target_id = to,
                         .seq = seq,
                         .ver = 1,
                         .text = "hello",
                         .is_head = true};
}

static void test_words(void **unused)
{
    (void)unused;
    assert_string_equal(half_word(HALF_FOLLOW), "follow");
    assert_string_equal(half_word(HALF_FAVORITE), "favorite");
    assert_string_equal(half_word(HALF_COMMENT), "comment");
    assert_string_equal(half_word(HALF_MESSAGE), "message");
}

static void test_outcomes(void **unused)
{
    (void)unused;
    static const struct {
        enum outcome outcome;
        enum half_state state;
    } cases[] = {
        {OUTCOME_OK, HALF_MADE},          {OUTCOME_SAME, HALF_MADE},
        {OUTCOME_NOTFOUND, HALF_REFUSED}, {OUTCOME_UNAVAILABLE, HALF_LATER},
        {OUTCOME_TIMEOUT, HALF_LATER},    {OUTCOME_UNKNOWN, HALF_LATER},
        {OUTCOME_BUSY, HALF_LATER},       {OUTCOME_NOTREADY, HALF_LATER},
        {OUTCOME_MOVED, HALF_LATER},      {OUTCOME_NOMEM, HALF_LATER},
        {OUTCOME_GAP, HALF_APART},        {OUTCOME_INTERNAL, HALF_FAILED},
        {OUTCOME_BADARG, HALF_FAILED},    {OUTCOME_FORBIDDEN, HALF_FAILED},
    };
    struct half half = message(1, 2, 3);

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_int_equal(half_state_from(&half, cases[i].outcome), cases[i].state);
    }
    half.is_head = false; /* a gap is then expected */
    assert_int_equal(half_state_from(&half, OUTCOME_GAP), HALF_LATER);
    assert_int_equal(half_state_from(&half, OUTCOME_INTERNAL), HALF_FAILED);
}

/* The columns of outbox_list(). */
static const char *const columns[] = {"slot", "epoch",      "owner", "kind", "target",
                                      "seq",  "ver",        "state", "at",   "attempts",
                                      "text", "message_id", "op",    "prev", "head"};

static void test_read(void **unused)
{
    (void)unused;
    struct dbvalue values[2][ARRAY_LEN(columns)] = {
        {{.number = 3},
         {.number = 1},
         {.number = 41},
         {.text = "favorite"},
         {.number = 42},
         {.number = 0},
         {.number = 7},
         {.number = 1},
         {.number = 1000},
         {.number = 2},
         {.is_null = true},
         {.is_null = true},
         {.is_null = true},
         {.is_null = true},
         {.number = 1}},
        {{.number = 3},
         {.number = 1},
         {.number = 41},
         {.text = "message"},
         {.number = 42},
         {.number = 5},
         {.number = 2},
         {.number = 0},
         {.number = 1001},
         {.number = 0},
         {.text = "hi"},
         {.number = 99},
         {.text = "000102030405060708090a0b0c0d0eff"},
         {.number = 98},
         {.number = 0}},
    };
    const struct dbresult rows = {.columns = columns,
                                  .n_columns = ARRAY_LEN(columns),
                                  .n_rows = 2,
                                  .values = &values[0][0]};
    struct half half;

    assert_true(half_read(&rows, 0, &half));
    assert_int_equal(half.kind, HALF_FAVORITE);
    assert_true(half.actor_id == 41 && half.target_id == 42 && half.ver == 7);
    assert_true(half.state == 1 && half.at_ms == 1000 && half.attempts == 2);
    assert_true(half.is_head);
    assert_true(half_read(&rows, 1, &half));
    assert_int_equal(half.kind, HALF_MESSAGE);
    assert_true(half.seq == 5 && half.message_id == 99 && half.prev_id == 98 &&
                half.op[15] == 0xff);
    assert_string_equal(half.text, "hi");
    assert_true(half.ver == 2 && half.state == 0);
    assert_false(half.is_head);

    /* the first half is gone: the key is read all the same, so that this half can be
     * marked as failed */
    values[1][10] = (struct dbvalue){.is_null = true};
    assert_false(half_read(&rows, 1, &half));
    assert_int_equal(half.kind, HALF_MESSAGE);
    assert_true(half.actor_id == 41 && half.target_id == 42 && half.seq == 5);
    values[0][7] = (struct dbvalue){.number = 2};
    assert_false(half_read(&rows, 0, &half));
    values[0][3] = (struct dbvalue){.text = "wink"};
    assert_false(half_read(&rows, 0, &half));
    assert_int_equal(half.kind, HALF__COUNT);
    assert_false(half_read(&rows, 2, &half));
    assert_int_equal(half.kind, HALF__COUNT);
}

static void set_all(enum half_state *states, const size_t *index, size_t n,
                    enum half_state state)
{
    for (size_t i = 0; i < n; i++) {
        states[index[i]] = state;
    }
}

static void test_pick_edges(void **unused)
{
    (void)unused;
    static struct half halves[OPS_MAX + 10];
    static enum half_state states[OPS_MAX + 10];
    size_t index[OPS_MAX];

    for (size_t i = 0; i < ARRAY_LEN(halves); i++) {
        halves[i] =
            (struct half){.kind = HALF_FAVORITE, .actor_id = 1, .target_id = i + 1};
        states[i] = HALF_WAITING;
    }
    states[3] = HALF_FAILED; /* could not be read */
    assert_int_equal(half_pick(halves, states, ARRAY_LEN(halves), index), OPS_MAX);
    assert_int_equal(index[2], 2);
    assert_int_equal(index[3], 4);
    set_all(states, index, OPS_MAX, HALF_MADE);
    assert_int_equal(half_pick(halves, states, ARRAY_LEN(halves), index), 9);
    set_all(states, index, 9, HALF_LATER);
    assert_int_equal(half_pick(halves, states, ARRAY_LEN(halves), index), 0);
    assert_int_equal(half_pick(halves, states, 0, index), 0);
}

/* One message of a chat at a time, in order; a chat that is stuck does not stop
 * others. */
static void test_pick_messages(void **unused)
{
    (void)unused;
    const struct half halves[] = {
        message(1, 2, 1), message(1, 2, 2), message(1, 2, 3), /* 0 1 2 */
        message(2, 1, 8), message(2, 1, 9), /* 3 4: the other direction */
        message(1, 3, 5), message(1, 3, 6), /* 5 6 */
    };
    enum half_state states[ARRAY_LEN(halves)] = {HALF_WAITING};
    size_t n = ARRAY_LEN(halves);
    size_t index[OPS_MAX];

    assert_int_equal(half_pick(halves, states, n, index), 3);
    assert_true(index[0] == 0 && index[1] == 3 && index[2] == 5);
    states[0] = HALF_MADE;
    states[3] = HALF_LATER;
    states[5] = HALF_REFUSED; /* no such receiver: the next one may be tried, too */
    assert_int_equal(half_pick(halves, states, n, index), 2);
    assert_true(index[0] == 1 && index[1] == 6);
    assert_int_equal(states[4], HALF_LATER);
    states[1] = HALF_FAILED;
    states[6] = HALF_REFUSED;
    assert_int_equal(half_pick(halves, states, n, index), 0);
    /* skipped, not failed: its turn has not come */
    assert_int_equal(states[2], HALF_LATER);
    states[1] = HALF_APART;
    states[2] = HALF_WAITING;
    assert_int_equal(half_pick(halves, states, n, index), 0);
    assert_int_equal(states[2], HALF_LATER);
}

/* A batch never exceeds the bytes that a procedure accepts. */
static void test_pick_bytes(void **unused)
{
    (void)unused;
    static char text[4001];
    struct half halves[OPS_MAX];
    enum half_state states[OPS_MAX] = {HALF_WAITING};
    size_t index[OPS_MAX];

    memset(text, '\x01', sizeof text - 1); /* six bytes each in JSON */
    for (size_t i = 0; i < OPS_MAX; i++) {
        halves[i] = message(1, i + 2, 1);
        halves[i].text = text;
    }
    size_t n = half_pick(halves, states, OPS_MAX, index);
    assert_in_range(n, 5, OPS_BYTES_MAX / (6 * (sizeof text - 1)));
}

static void test_merge(void **unused)
{
    (void)unused;
    struct half halves[] = {
        {.kind = HALF_FOLLOW, .actor_id = 1, .target_id = 2, .ver = 5},
        {.kind = HALF_FAVORITE, .actor_id = 1, .target_id = 2, .ver = 9},
        {.kind = HALF_FOLLOW, .actor_id = 1, .target_id = 2, .ver = 7},
        {.kind = HALF_FOLLOW, .actor_id = 1, .target_id = 2, .ver = 6},
        {.kind = HALF_MESSAGE, .actor_id = 1, .target_id = 2, .seq = 1, .ver = 1},
        {.kind = HALF_MESSAGE, .actor_id = 1, .target_id = 2, .seq = 2, .ver = 1},
    };

    assert_int_equal(half_merge(halves, ARRAY_LEN(halves)), 4);
    assert_true(halves[0].kind == HALF_FOLLOW && halves[0].ver == 7);
    assert_true(halves[1].kind == HALF_FAVORITE && halves[1].ver == 9);
    assert_true(halves[2].seq == 1 && halves[3].seq == 2);
    assert_int_equal(half_merge(halves, 0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_words),         cmocka_unit_test(test_outcomes),
        cmocka_unit_test(test_read),          cmocka_unit_test(test_pick_edges),
        cmocka_unit_test(test_pick_messages), cmocka_unit_test(test_pick_bytes),
        cmocka_unit_test(test_merge),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
