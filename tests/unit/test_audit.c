/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The auditor's pages: they visit every owner once, and get smaller where large ones
 * are slow. */
#include <string.h>

#include "shard/audit.h"
#include "shard/router.h"
#include "shard/router_call.h"
#include "shard/router_scatter.h"

#include "tests/unit/cmocka_all.h"

#define PAGE_MOST  256
#define N_OWNERS   4000
#define TRIES_MOST 5 /* as often as shardctl asks for a page */

/* One shard: users 1 to N_OWNERS in slot 0, each with a wrong counter, and no other rows.
 */
static struct {
    unsigned heavy_from; /* a page that has any of these users */
    unsigned heavy_to;
    unsigned heavy_rows;  /* is too slow if it has more rows than this */
    enum outcome refusal; /* not OK: how the next page ends */
    unsigned n_asked;
    unsigned most_rows; /* in the last page asked for */
    unsigned n_late;
} shard;

/* How often each user was reported. */
static unsigned told[N_OWNERS + 1];

static const char *const columns[] = {
    "slot",           "user_id",    "follow_count", "follows", "follower_count",
    "followers",      "work_count", "works",        "likes",   "total_favorited",
    "favorite_count", "favorites",  "bad_videos",
};

size_t router_n_shards(const struct router *router)
{
    (void)router;
    return 1;
}

size_t router_owner_shard(struct router *router, uint64_t owner_id)
{
    (void)router;
    (void)owner_id;
    return 0;
}

void router_batch(struct router *router, struct call *call, enum proc_id proc,
                  struct ops *ops, struct router_answer *answers)
{
    (void)router;
    (void)call;
    (void)proc;
    (void)ops;
    (void)answers;
    fail();
}

static const struct dbresult *owners(struct arena *arena, unsigned from, unsigned to)
{
    struct dbresult *result = arena_calloc(arena, 1, sizeof *result);
    size_t n = to < from ? 0 : to - from + 1;

    assert_non_null(result);
    result->columns = columns;
    result->n_columns = ARRAY_LEN(columns);
    result->n_rows = n;
    result->values = arena_calloc(arena, n * ARRAY_LEN(columns), sizeof *result->values);
    assert_non_null(result->values);
    for (size_t i = 0; i < n; i++) {
        result->values[i * ARRAY_LEN(columns) + 1].number = from + i;
        result->values[i * ARRAY_LEN(columns) + 2].number = 1; /* rows: none */
    }
    return result;
}

void router_scatter(struct router *router, struct call *call, enum proc_id proc,
                    const struct dbarg *args, struct router_share *shares, size_t n)
{
    (void)router;
    assert_int_equal(n, 1);
    assert_true(shares[0].wanted);
    shares[0].outcome = OUTCOME_OK;
    if (proc != PROC_AUDIT_OWNERS) {
        return;
    }
    unsigned from = (unsigned)args[1].number + 1;
    unsigned to = (unsigned)(args[1].number + args[2].number);
    shard.n_asked++;
    shard.most_rows = (unsigned)args[2].number;
    to = to < N_OWNERS ? to : N_OWNERS;
    if (shard.refusal != OUTCOME_OK) {
        shares[0].outcome = shard.refusal;
        shard.refusal = OUTCOME_OK;
    } else if (from <= shard.heavy_to && to >= shard.heavy_from &&
               to - from + 1 > shard.heavy_rows) {
        shares[0].outcome = OUTCOME_TIMEOUT;
        shard.n_late++;
    } else {
        shares[0].results = owners(call->arena, from, to);
    }
}

static void note(void *context, const struct audit_difference *difference)
{
    (void)context;
    assert_true(difference->owner >= 1 && difference->owner <= N_OWNERS);
    told[difference->owner]++;
}

static enum outcome page(struct audit_place *place)
{
    struct audit audit = {.found = note};
    struct arena arena;
    struct call call;
    size_t n_rows = 0;

    arena_init(&arena, (size_t)1 << 20);
    call_init(&call, &arena, INT64_MAX);
    enum outcome outcome = audit_page(&audit, &call, 0, place, &n_rows);
    arena_release(&arena);
    return outcome;
}

/* Visits all owners; no page fails more often than shardctl tries it. */
static void walk(struct audit_place *place)
{
    unsigned n_failed = 0;

    memset(told, 0, sizeof told);
    while (place->part == AUDIT_OWNERS) {
        n_failed = page(place) == OUTCOME_OK ? 0 : n_failed + 1;
        assert_true(n_failed < TRIES_MOST);
    }
    for (size_t i = 1; i <= N_OWNERS; i++) {
        assert_int_equal(told[i], 1);
    }
}

static int reset(void **unused)
{
    (void)unused;
    memset(&shard, 0, sizeof shard);
    return 0;
}

static void test_light_owners(void **unused)
{
    struct audit_place place = {.part = AUDIT_OWNERS};

    (void)unused;
    walk(&place);
    assert_int_equal(shard.n_asked, N_OWNERS / PAGE_MOST + 1);
    assert_int_equal(shard.most_rows, PAGE_MOST);
    while (place.part < AUDIT_PART__COUNT) { /* the tables of halves, all empty */
        assert_int_equal(page(&place), OUTCOME_OK);
    }
}

/* Twenty users, of whom no two fit into one page in time: the run gets past them, and
 * back to large pages after them. */
static void test_heavy_owners(void **unused)
{
    struct audit_place place = {.part = AUDIT_OWNERS};

    (void)unused;
    shard.heavy_from = 300;
    shard.heavy_to = 319;
    shard.heavy_rows = 1;
    walk(&place);
    /* After each page of one row a page that is too large is tried. */
    assert_true(shard.n_late > 2 && shard.n_late < 30);
    assert_int_equal(shard.most_rows, PAGE_MOST);
}

/* Pages of up to 40 rows are fast enough: the size stays near that, and larger pages
 * are seldom tried. */
static void test_heavy_region(void **unused)
{
    struct audit_place place = {.part = AUDIT_OWNERS};

    (void)unused;
    shard.heavy_from = 1;
    shard.heavy_to = N_OWNERS;
    shard.heavy_rows = 40;
    walk(&place);
    assert_true(shard.n_late > 1);
    assert_true(shard.n_asked > 8 * shard.n_late);
}

/* A user whose page is always too slow: the run stops there. */
static void test_hopeless_owner(void **unused)
{
    struct audit_place place = {.part = AUDIT_OWNERS};

    (void)unused;
    shard.heavy_from = shard.heavy_to = 1;
    for (unsigned i = 0; i < 10; i++) {
        assert_int_equal(page(&place), OUTCOME_TIMEOUT);
        assert_true(place.part == AUDIT_OWNERS && place.owner == 0);
    }
    assert_int_equal(shard.most_rows, 1);
    shard.heavy_rows = 1;
    assert_int_equal(page(&place), OUTCOME_OK);
    assert_true(place.owner == 1);
}

/* Only slowness makes pages smaller. */
static void test_other_failures(void **unused)
{
    static const enum outcome outcomes[] = {OUTCOME_UNAVAILABLE, OUTCOME_BUSY,
                                            OUTCOME_INTERNAL, OUTCOME_NOMEM};
    struct audit_place place = {.part = AUDIT_OWNERS};

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(outcomes); i++) {
        shard.refusal = outcomes[i];
        assert_int_equal(page(&place), outcomes[i]);
        assert_int_equal(shard.most_rows, PAGE_MOST);
        assert_true(place.part == AUDIT_OWNERS && place.owner == 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_light_owners, reset),
        cmocka_unit_test_setup(test_heavy_owners, reset),
        cmocka_unit_test_setup(test_heavy_region, reset),
        cmocka_unit_test_setup(test_hopeless_owner, reset),
        cmocka_unit_test_setup(test_other_failures, reset),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
