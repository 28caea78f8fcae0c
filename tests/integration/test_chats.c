/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Chats on real shards: pages of a mailbox, and messages that are sent again. */
#include "tests/integration/edges.h"

static enum outcome send_text(struct message_action_args *args, const char *text)
{
    struct work work;

    args->text = text;
    work_begin(&work, 2000);
    enum outcome outcome = message_action(fixture.delivery, &work.call, args, NULL);
    work_end(&work);
    return outcome;
}

/* The text of the only message in a mailbox; "" if there is none. */
static void only_text(uint64_t owner, uint64_t peer, char text[32])
{
    const struct message_range range = {.limit = 10};
    struct work work;
    struct message_page page;

    work_begin(&work, 5000);
    assert_int_equal(message_chat(fixture.router, &work.call, owner, peer, &range, &page),
                     OUTCOME_OK);
    assert_true(page.n <= 1 && page.next_ms == 0);
    (void)snprintf(text, 32, "%s", page.n == 1 ? page.messages[0].text : "");
    work_end(&work);
}

/* Both mailboxes have the text of the first attempt, even if the second attempt, with
 * another text, makes the second half. */
static void test_replay_keeps_the_text(void **unused)
{
    (void)unused;
    size_t frozen = fixture.live.n_shards - 1;
    uint64_t me = live_user(fixture.router, 0);
    uint64_t peer = live_user(fixture.router, frozen);
    struct message_action_args args = {.user_id = me, .peer_id = peer};
    char text[32];

    rnd_bytes(args.op, sizeof args.op);
    freeze(frozen);
    assert_int_equal(send_text(&args, "first"), OUTCOME_OK);
    thaw(frozen);
    only_text(peer, me, text);
    assert_string_equal(text, "");
    assert_int_equal(send_text(&args, "second"), OUTCOME_SAME);
    only_text(peer, me, text);
    assert_string_equal(text, "first");
    only_text(me, peer, text);
    assert_string_equal(text, "first");
}

#define MESSAGES 7

/* All messages in pages of LIMIT, in the order of the mailbox. */
static void assert_pages(uint64_t owner, uint64_t peer, struct message_range range)
{
    struct work work;
    struct message_page page;
    char expected[16];
    size_t n_seen = 0;

    work_begin(&work, 10000);
    do {
        assert_int_equal(
            message_chat(fixture.router, &work.call, owner, peer, &range, &page),
            OUTCOME_OK);
        for (size_t i = 0; i < page.n; i++) {
            size_t at = range.backwards ? MESSAGES - n_seen - page.n + i : n_seen + i;
            (void)snprintf(expected, sizeof expected, "%zu", at);
            assert_string_equal(page.messages[i].text, expected);
        }
        n_seen += page.n;
        assert_true(page.next_ms == 0 ? n_seen == MESSAGES : page.n == range.limit);
        range.from_ms = page.next_ms;
    } while (page.next_ms != 0);
    work_end(&work);
}

/* Also if the last page is full. */
static void test_pages_either_way(void **unused)
{
    (void)unused;
    uint64_t me = live_user(fixture.router, 0);
    uint64_t peer = live_user(fixture.router, fixture.live.n_shards - 1);
    struct message_action_args args = {.user_id = me, .peer_id = peer};
    char text[16];

    for (size_t i = 0; i < MESSAGES; i++) {
        (void)snprintf(text, sizeof text, "%zu", i);
        rnd_bytes(args.op, sizeof args.op);
        assert_int_equal(send_text(&args, text), OUTCOME_OK);
    }
    for (size_t limit = 1; limit <= MESSAGES + 1; limit++) {
        for (int backwards = 0; backwards < 2; backwards++) {
            struct message_range range = {.backwards = backwards, .limit = limit};
            assert_pages(me, peer, range);
            range.received_only = true;
            assert_pages(peer, me, range);
        }
    }
}

/* Without a relay: what a request leaves undone stays undone. */
static int set_up_alone(void **state)
{
    int status = set_up(state);

    if (status == 0) {
        relay_off();
    }
    return status;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_replay_keeps_the_text),
        cmocka_unit_test(test_pages_either_way),
    };

    return cmocka_run_group_tests(tests, set_up_alone, tear_down);
}
