/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The slot map: only newer epochs are adopted, in whatever order and from however many
 * threads; two claims at one epoch are a dispute, what others report is not. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "shard/base/check.h"

#include "shard/id.h"
#include "shard/slotmap.h"

static int make_map(void **state)
{
    *state = slotmap_new();
    return *state == NULL;
}

static int free_map(void **state)
{
    struct slotmap *map = *state;

    slotmap_free(&map);
    return 0;
}

static bool adopt(struct slotmap *map, uint32_t slot, uint64_t epoch, unsigned server)
{
    return slotmap_adopt(map, slot,
                         (struct slot_place){.epoch = epoch, .server = server});
}

static void test_only_newer(void **state)
{
    struct slotmap *map = *state;

    assert_int_equal(slotmap_get(map, 7).epoch, 0);
    assert_true(adopt(map, 7, 1, 2));
    assert_true(adopt(map, 7, 5, 3));
    assert_false(adopt(map, 7, 5, 1)); /* the same epoch never names another server */
    assert_false(adopt(map, 7, 4, 1));
    assert_int_equal(slotmap_get(map, 7).epoch, 5);
    assert_int_equal(slotmap_get(map, 7).server, 3);
}

/* The shard that reported it first is remembered; those that repeat it are not. */
static void test_told_by(void **state)
{
    struct slotmap *map = *state;
    const struct slot_place news = {.epoch = 6, .server = 3, .told_by = 1};
    const struct slot_place again = {.epoch = 6, .server = 3, .told_by = 2};
    const struct slot_place own = {
        .epoch = 6, .server = 3, .told_by = 3, .is_claimed = true};
    const struct slot_place unheard = {
        .epoch = 7, .server = 254, .told_by = SLOTMAP_FOREIGN};

    (void)slotmap_adopt(map, 7, news);
    (void)slotmap_adopt(map, 7, again);
    assert_int_equal(slotmap_get(map, 7).told_by, 1);
    (void)slotmap_adopt(map, 7, own);
    assert_int_equal(slotmap_get(map, 7).told_by, 3);
    assert_true(slotmap_adopt(map, 7, unheard));
    assert_int_equal(slotmap_get(map, 7).told_by, SLOTMAP_FOREIGN);
    assert_int_equal(slotmap_get(map, 7).server, 254);
    assert_false(slotmap_get(map, 7).is_claimed);
}

/* The news names a server that was not in the topology yet. */
static void test_a_name_beats_none(void **state)
{
    struct slotmap *map = *state;

    assert_true(adopt(map, 7, 5, SLOTMAP_FOREIGN));
    assert_true(adopt(map, 7, 5, 3));
    assert_false(adopt(map, 7, 5, SLOTMAP_FOREIGN));
    assert_false(adopt(map, 7, 5, 2));
    assert_int_equal(slotmap_get(map, 7).server, 3);
}

static void test_bounds(void **state)
{
    struct slotmap *map = *state;

    assert_true(adopt(map, SLOTS_MAX - 1, 1, SLOTMAP_FOREIGN));
    assert_int_equal(slotmap_get(map, SLOTS_MAX - 1).server, SLOTMAP_FOREIGN);
    assert_false(adopt(map, SLOTS_MAX, 1, 0));
    assert_int_equal(slotmap_get(map, SLOTS_MAX).epoch, 0);
    assert_false(adopt(map, 1, UINT64_C(1) << 20, 0)); /* larger than any epoch */
    assert_true(adopt(map, 1, (UINT64_C(1) << 20) - 1, 0));
}

static bool claim(struct slotmap *map, uint32_t slot, uint64_t epoch, unsigned server)
{
    return slotmap_adopt(
        map, slot,
        (struct slot_place){.epoch = epoch, .server = server, .is_claimed = true});
}

static void assert_place(struct slotmap *map, uint64_t epoch, unsigned server,
                         bool is_disputed)
{
    struct slot_place place = slotmap_get(map, 7);

    assert_int_equal(place.epoch, epoch);
    assert_int_equal(place.server, server);
    assert_int_equal(place.is_disputed, is_disputed);
}

static void test_two_claims_are_a_dispute(void **state)
{
    struct slotmap *map = *state;

    assert_true(claim(map, 7, 3, 1));
    assert_false(claim(map, 7, 3, 1)); /* the same server repeats its claim */
    assert_place(map, 3, 1, false);
    assert_false(claim(map, 7, 2, 2)); /* outdated */
    assert_place(map, 3, 1, false);
    assert_false(claim(map, 7, 3, 2));
    assert_place(map, 3, 1, true);
    assert_int_equal(slotmap_get(map, 7).rival, 2);
    assert_false(claim(map, 7, 3, 1)); /* repeating a claim settles nothing */
    assert_false(adopt(map, 7, 3, 1));
    assert_place(map, 3, 1, true);
    assert_true(claim(map, 7, 4, 2));
    assert_place(map, 4, 2, false);
}

static void test_hearsay_is_not_a_claim(void **state)
{
    struct slotmap *map = *state;

    assert_true(adopt(map, 7, 3, 1));
    assert_false(adopt(map, 7, 3, 2));
    assert_place(map, 3, 1, false);
    assert_true(claim(map, 7, 3, 2)); /* the server itself claims it */
    assert_place(map, 3, 2, false);
    assert_false(adopt(map, 7, 3, 1));
    assert_place(map, 3, 2, false);
    assert_true(adopt(map, 7, 4, 1)); /* a newer epoch counts, whoever reports it */
    assert_false(claim(map, 7, 3, 2));
    assert_place(map, 4, 1, false);
}

static void test_a_stopped_claim_is_a_dispute(void **state)
{
    struct slotmap *map = *state;
    const struct slot_place stopped = {
        .epoch = 3, .server = 1, .is_claimed = true, .is_disputed = true};

    assert_true(slotmap_adopt(map, 7, stopped)); /* the rival claim is not there */
    assert_place(map, 3, 1, true);
    assert_int_equal(slotmap_get(map, 7).rival, SLOTMAP_FOREIGN);
    assert_false(claim(map, 7, 3, 2));
    assert_int_equal(slotmap_get(map, 7).rival, 2);
    assert_true(claim(map, 7, 4, 1));
    assert_false(slotmap_adopt(map, 7, stopped));
    assert_place(map, 4, 1, false);
}

static void test_epoch_far_above_a_claim_is_refused(void **state)
{
    struct slotmap *map = *state;

    assert_true(adopt(map, 7, 5000, 1)); /* nothing to compare it with */
    assert_true(claim(map, 7, 3, 2));
    assert_place(map, 3, 2, false);
    assert_false(adopt(map, 7, 5000, 1));
    assert_false(claim(map, 7, 5000, 1));
    assert_false(adopt(map, 7, 1004, 1));
    assert_place(map, 3, 2, false);
    assert_true(adopt(map, 7, 1003, 1));
    assert_place(map, 1003, 1, false);
}

static void test_count(void **state)
{
    struct slotmap *map = *state;

    for (uint32_t slot = 0; slot < SHARED_SLOTS; slot++) {
        assert_true(adopt(map, slot, 1, slot % 4));
    }
    assert_true(adopt(map, SHARED_SLOTS + 3, 1, 0)); /* own slots count, too */
    assert_int_equal(slotmap_count(map, 0), SHARED_SLOTS / 4 + 1);
}

static void test_homes(void **state)
{
    struct slotmap *map = *state;
    uint64_t owner = 123456789 * UINT64_C(8192) + UINT64_C(77) * 8;

    assert_int_equal(slotmap_home(map, owner), 77);
    slotmap_set_home(map, owner, 1030);
    assert_int_equal(slotmap_home(map, owner), 1030);
    assert_int_equal(slotmap_home(map, owner + 1), 77);
}

struct adopter {
    struct slotmap *map;
    unsigned server;
};

static void *adopt_many(void *argument)
{
    const struct adopter *self = argument;

    for (uint64_t epoch = self->server + 1; epoch < 40000; epoch += 4) {
        adopt(self->map, 9, epoch, self->server);
    }
    return NULL;
}

static void test_race_ends_with_the_newest(void **state)
{
    struct adopter adopters[4];
    pthread_t threads[4];

    for (unsigned i = 0; i < 4; i++) {
        adopters[i] = (struct adopter){.map = *state, .server = i};
        assert_int_equal(pthread_create(&threads[i], NULL, adopt_many, &adopters[i]), 0);
    }
    for (unsigned i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
    }
    assert_int_equal(slotmap_get(*state, 9).epoch, 39999);
    assert_int_equal(slotmap_get(*state, 9).server, (39999 - 1) % 4);
}

static void test_restless_for_a_while(void **state)
{
    struct slotmap *map = *state;

    assert_false(slotmap_is_restless(map, 5, 1000));
    slotmap_set_restless(map, 5, 3000);
    assert_true(slotmap_is_restless(map, 5, 2999));
    assert_false(slotmap_is_restless(map, 5, 3000));
    assert_false(slotmap_is_restless(map, 6, 1000));
    slotmap_set_restless(map, SLOTS_MAX, 3000); /* no such slot */
    assert_false(slotmap_is_restless(map, SLOTS_MAX, 1000));
}

/* The owner is back in the slot of their id, and no server is waited for. */
static void test_an_own_slot_is_left(void **state)
{
    struct slotmap *map = *state;
    const uint64_t owner = (UINT64_C(5) << 13) + (11 << 3);
    const struct slot_place left = {
        .epoch = 4, .server = SLOTMAP_FOREIGN, .is_empty = true};
    struct slotset all;

    assert_true(claim(map, 2000, 3, 1));
    slotmap_set_home(map, owner, 2000);
    assert_int_equal(slotmap_home(map, owner), 2000);
    assert_true(slotmap_adopt(map, 2000, left));
    assert_int_equal(slotmap_home(map, owner), 11);
    assert_int_equal(slotmap_get(map, 2000).epoch, 4);
    assert_int_equal(slotmap_count(map, 1), 0);
    slotmap_all(map, &all);
    assert_false(slotset_has(&all, 2000));
    assert_false(claim(map, 2000, 3, 1)); /* outdated */
    assert_true(claim(map, 2000, 5, 1));  /* the dispute was settled */
    slotmap_all(map, &all);
    assert_true(slotset_has(&all, 2000));
    assert_int_equal(slotmap_home(map, owner), 2000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_restless_for_a_while, make_map, free_map),
        cmocka_unit_test_setup_teardown(test_only_newer, make_map, free_map),
        cmocka_unit_test_setup_teardown(test_told_by, make_map, free_map),
        cmocka_unit_test_setup_teardown(test_a_name_beats_none, make_map, free_map),
        cmocka_unit_test_setup_teardown(test_bounds, make_map, free_map),
        cmocka_unit_test_setup_teardown(test_two_claims_are_a_dispute, make_map,
                                        free_map),
        cmocka_unit_test_setup_teardown(test_hearsay_is_not_a_claim, make_map, free_map),
        cmocka_unit_test_setup_teardown(test_a_stopped_claim_is_a_dispute, make_map,
                                        free_map),
        cmocka_unit_test_setup_teardown(test_epoch_far_above_a_claim_is_refused, make_map,
                                        free_map),
        cmocka_unit_test_setup_teardown(test_an_own_slot_is_left, make_map, free_map),
        cmocka_unit_test_setup_teardown(test_count, make_map, free_map),
        cmocka_unit_test_setup_teardown(test_homes, make_map, free_map),
        cmocka_unit_test_setup_teardown(test_race_ends_with_the_newest, make_map,
                                        free_map),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
