/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Which repair fits a difference that the audit found, and which shards take part in
 * it. */
#include "shard/mend.h"
#include "shard/ops.h"
#include "shard/proc.h"
#include "shard/repair.h"
#include "shard/router.h"
#include "shard/router_call.h"

#include "tests/unit/cmocka_all.h"

/* Owners with odd numbers are on shard 1, which was restored from a backup. */
#define HERE     2u
#define THERE    3u
#define RESTORED 1

size_t router_owner_shard(struct router *router, uint64_t owner_id)
{
    (void)router;
    return owner_id % 2;
}

static enum proc_id asked;
static uint64_t asked_owner;
static enum outcome answered;

void router_batch(struct router *router, struct call *call, enum proc_id proc,
                  struct ops *ops, struct router_answer *answers)
{
    (void)router;
    (void)call;
    asked = proc;
    asked_owner = ops_owner(ops, 0);
    for (size_t i = 0; i < ops_count(ops); i++) {
        answers[i] = (struct router_answer){.outcome = answered};
    }
}

static uint64_t repaired[2];

enum outcome repair_chat(struct router *router, struct call *call, uint64_t user_id,
                         uint64_t peer_id)
{
    (void)router;
    (void)call;
    repaired[0] = user_id;
    repaired[1] = peer_id;
    return OUTCOME_OK;
}

static struct mend judge(enum audit_part part, enum audit_fault fault, uint64_t owner,
                         uint64_t other, bool is_owner_lost)
{
    const struct audit_difference difference = {.part = part,
                                                .fault = fault,
                                                .owner = owner,
                                                .other = other,
                                                .ver = 9,
                                                .is_owner_lost = is_owner_lost};

    return mend_for(NULL, RESTORED, &difference);
}

static void test_mend_for_each_fault(void **state)
{
    static const struct {
        enum audit_part part;
        enum audit_fault fault;
        uint64_t owner, other;
        bool is_owner_lost;
        enum mend_kind kind;
    } cases[] = {
        {AUDIT_FOLLOW, AUDIT_NO_SECOND, HERE, THERE, false, MEND_AGAIN},
        {AUDIT_FAVORITE, AUDIT_OLD_SECOND, HERE, THERE, false, MEND_AGAIN},
        {AUDIT_COMMENT, AUDIT_NEVER, HERE, THERE, true, MEND_AGAIN},
        {AUDIT_FOLLOW, AUDIT_DIFFER, HERE, THERE, false, MEND_NONE},
        {AUDIT_FOLLOWER, AUDIT_NO_FIRST, HERE, THERE, false, MEND_RECOVER},
        {AUDIT_LIKER, AUDIT_OLD_FIRST, HERE, THERE, false, MEND_RECOVER},
        {AUDIT_LIKER, AUDIT_NO_FIRST, HERE, THERE, true, MEND_FORGET},
        {AUDIT_FOLLOWER, AUDIT_NO_FIRST, THERE, HERE, false, MEND_FORGET},
        {AUDIT_FOLLOWER, AUDIT_OLD_FIRST, THERE, HERE, false, MEND_NONE},
        {AUDIT_COMMENTED, AUDIT_NO_FIRST, HERE, THERE, false, MEND_FORGET},
        {AUDIT_COMMENTED, AUDIT_OLD_FIRST, HERE, THERE, false, MEND_DELETE},
        {AUDIT_COMMENTED, AUDIT_OLD_FIRST, THERE, HERE, false, MEND_NONE},
        {AUDIT_SENT, AUDIT_NO_SECOND, HERE, THERE, false, MEND_CHAT},
        {AUDIT_SENT, AUDIT_DIFFER, THERE, HERE, false, MEND_CHAT},
        {AUDIT_SENT, AUDIT_NEVER, HERE, THERE, true, MEND_USER},
        {AUDIT_RECEIVED, AUDIT_NO_FIRST, HERE, THERE, true, MEND_USER},
        {AUDIT_RECEIVED, AUDIT_NO_FIRST, THERE, HERE, true, MEND_NONE},
        {AUDIT_OWNERS, AUDIT_COUNTER, HERE, 0, false, MEND_NONE},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct mend mend = judge(cases[i].part, cases[i].fault, cases[i].owner,
                                 cases[i].other, cases[i].is_owner_lost);
        assert_int_equal(mend.kind, cases[i].kind);
    }
}

static void test_call_for_each_fault(void **state)
{
    static const struct {
        enum audit_part part;
        enum audit_fault fault;
        bool is_owner_lost;
        enum proc_id proc;
        uint64_t owner;
    } cases[] = {
        {AUDIT_FOLLOW, AUDIT_NO_SECOND, false, PROC_OUTBOX_AGAIN, HERE},
        {AUDIT_FOLLOWER, AUDIT_NO_FIRST, false, PROC_EDGE_RECOVER, THERE},
        {AUDIT_FOLLOWER, AUDIT_NO_FIRST, true, PROC_RELATION_DELIVER, HERE},
        {AUDIT_LIKER, AUDIT_NO_FIRST, true, PROC_FAVORITE_DELIVER, HERE},
        {AUDIT_COMMENTED, AUDIT_NO_FIRST, false, PROC_COMMENT_DELIVER, HERE},
        {AUDIT_COMMENTED, AUDIT_OLD_FIRST, false, PROC_COMMENT_DELETE, THERE},
        {AUDIT_SENT, AUDIT_NEVER, true, PROC_USER_LOST, THERE},
    };
    struct arena arena;
    struct call call;

    (void)state;
    arena_init(&arena, 1 << 16);
    call_init(&call, &arena, INT64_MAX);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct mend mend =
            judge(cases[i].part, cases[i].fault, HERE, THERE, cases[i].is_owner_lost);
        answered = OUTCOME_OK;
        assert_int_equal(mend_do(NULL, &call, &mend, 1), OUTCOME_OK);
        assert_int_equal(asked, cases[i].proc);
        assert_int_equal(asked_owner, cases[i].owner);
        answered = OUTCOME_BUSY;
        assert_int_equal(mend_do(NULL, &call, &mend, 1), OUTCOME_BUSY);
        answered = OUTCOME_SAME;
        assert_int_equal(mend_do(NULL, &call, &mend, 1), OUTCOME_OK);
    }
    struct mend sent = judge(AUDIT_SENT, AUDIT_DIFFER, HERE, THERE, false);
    assert_int_equal(mend_do(NULL, &call, &sent, 1), OUTCOME_OK);
    assert_true(repaired[0] == HERE && repaired[1] == THERE);
    struct mend received = judge(AUDIT_RECEIVED, AUDIT_NO_FIRST, HERE, THERE, false);
    assert_int_equal(mend_do(NULL, &call, &received, 1), OUTCOME_OK);
    assert_true(repaired[0] == THERE && repaired[1] == HERE);
    arena_release(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mend_for_each_fault),
        cmocka_unit_test(test_call_for_each_fault),
    };

    return cmocka_run_group_tests_name("mend", tests, NULL, NULL);
}
