/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The load of slots and owners: sums are exact, the heaviest owners are found among
 * many and from several threads, and no owner is charged for another. */
#include <pthread.h>
#include <string.h>

#include "shard/slotload.h"
#include "shard/slotset.h"

#include "tests/unit/cmocka_all.h"

#define THREADS 4
#define ROUNDS  20000
#define CROWD   5000 /* owners that cost little */
#define HEAVY   20

static struct slotload_owner owners[SLOTLOAD_OWNERS];
static struct slotload_slot slots[SLOTS_MAX];

static bool wants_all(void *context, uint32_t slot)
{
    (void)context;
    (void)slot;
    return true;
}

static bool wants_one(void *context, uint32_t slot)
{
    return slot == *(const uint32_t *)context;
}

static void count(struct slotload *load, uint32_t slot, uint64_t owner, int64_t us)
{
    struct slotload_tally tally = slotload_begin(load, 1, us);

    slotload_add(&tally, slot, owner);
    slotload_end(&tally);
}

static void test_sums(void **state)
{
    (void)state;
    struct slotload *load = slotload_new();

    assert_non_null(load);
    struct slotload_tally tally = slotload_begin(load, 4, 1000);
    slotload_add(&tally, 7, 70);
    slotload_add(&tally, 7, 71);
    slotload_add(&tally, 7, 70);
    slotload_add(&tally, SLOTS_MAX - 1, 0); /* a name, not an id */
    slotload_end(&tally);
    count(load, SLOTS_MAX, 5, 10); /* no such slot */
    /* clocks do not run backwards, but the operation counts */
    count(load, 7, 70, -5);

    uint32_t seven = 7;
    assert_int_equal(slotload_take_slots(load, wants_one, &seven, slots, SLOTS_MAX), 1);
    assert_int_equal(slots[0].operations, 4);
    assert_int_equal(slots[0].busy_us, 750);
    assert_int_equal(slotload_take_owners(load, wants_one, &seven, owners), 2);
    assert_int_equal(owners[0].owner, 70);
    assert_int_equal(owners[0].operations, 3);
    assert_int_equal(owners[0].busy_us, 500);
    assert_int_equal(slotload_take_owners(load, wants_all, NULL, owners), 0);
    assert_int_equal(slotload_take_slots(load, wants_all, NULL, slots, SLOTS_MAX), 1);
    assert_int_equal(slots[0].slot, SLOTS_MAX - 1);
    assert_int_equal(slotload_take_slots(load, wants_all, NULL, slots, SLOTS_MAX), 0);
    slotload_free(&load);
    assert_null(load);

    load = slotload_new();
    tally = slotload_begin(load, 2, 1000);
    slotload_add_both(&tally, 3, 30, 4, 40);
    slotload_add(&tally, 3, 30);
    slotload_end(&tally);
    assert_int_equal(slotload_take_slots(load, wants_all, NULL, slots, SLOTS_MAX), 2);
    assert_int_equal(slots[0].busy_us, 750);
    assert_int_equal(slots[1].busy_us, 250);
    assert_int_equal(slotload_take_owners(load, wants_all, NULL, owners), 2);
    assert_int_equal(owners[0].busy_us + owners[1].busy_us, 1000);
    slotload_free(&load);

    struct slotload_tally none = slotload_begin(NULL, 1, 5); /* nothing is counted */
    slotload_add(&none, 1, 2);
    slotload_end(&none);
}

static void test_slots_that_do_not_fit_are_left(void **state)
{
    (void)state;
    struct slotload *load = slotload_new();

    for (uint32_t slot = 0; slot < 10; slot++) {
        count(load, slot, 0, 1);
    }
    assert_int_equal(slotload_take_slots(load, wants_all, NULL, slots, 6), 6);
    assert_int_equal(slotload_take_slots(load, wants_all, NULL, slots, 6), 4);
    assert_int_equal(slots[0].slot, 6);
    slotload_free(&load);
}

/* HEAVY owners have half of the load, a crowd of others the rest. */
static void *count_many(void *context)
{
    struct slotload *load = context;

    for (uint64_t i = 0; i < ROUNDS; i++) {
        count(load, 1, 1 + i % HEAVY, 10);
        count(load, 2, 1000 + i * 7919 % CROWD, 10);
    }
    return NULL;
}

static void test_the_heaviest_are_found(void **state)
{
    (void)state;
    struct slotload *load = slotload_new();
    pthread_t threads[THREADS];
    size_t n_heavy = 0;
    uint32_t two = 2;
    uint64_t busy_us = 0;

    for (size_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, count_many, load), 0);
    }
    for (size_t i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    assert_int_equal(slotload_take_slots(load, wants_one, &two, slots, SLOTS_MAX), 1);
    assert_int_equal(slots[0].operations, THREADS * ROUNDS);
    assert_int_equal(slots[0].busy_us, THREADS * ROUNDS * 10);
    const size_t n = slotload_take_owners(load, wants_all, NULL, owners);
    assert_int_equal(n, SLOTLOAD_OWNERS);
    for (size_t i = 0; i < n; i++) {
        const bool is_heavy = owners[i].owner <= HEAVY;
        n_heavy += is_heavy;
        busy_us += is_heavy ? owners[i].busy_us : 0;
        /* Nobody in the crowd has a hundredth of what a heavy owner has. */
        assert_true(is_heavy || owners[i].operations < ROUNDS / HEAVY);
    }
    assert_int_equal(n_heavy, HEAVY);
    /* The estimate corrects for samples left out: it is the true load within chance. */
    assert_in_range(busy_us, THREADS * ROUNDS * 10 / 2, THREADS * ROUNDS * 10 * 3 / 2);
    slotload_free(&load);
}

/* The index stays consistent while owners come, go and are taken. */
static void test_places_change_hands(void **state)
{
    (void)state;
    struct slotload *load = slotload_new();
    uint32_t seed = 5;

    for (size_t round = 0; round < 200; round++) {
        uint64_t operations = 0;
        for (size_t i = 0; i < 400; i++) {
            seed = seed * 1664525 + 1013904223;
            count(load, seed >> 30, (1 + (seed >> 8) % 600) << 13, 1 + (seed >> 20) % 9);
        }
        uint32_t slot = (uint32_t)(round % 4);
        const size_t n = slotload_take_owners(load, wants_one, &slot, owners);
        for (size_t i = 0; i < n; i++) {
            assert_int_equal(owners[i].slot, slot);
            assert_true(owners[i].operations > 0);
            operations += owners[i].operations;
            for (size_t k = 0; k < i; k++) {
                assert_true(owners[k].owner != owners[i].owner);
            }
        }
        assert_true(operations > 0);
    }
    slotload_free(&load);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sums),
        cmocka_unit_test(test_slots_that_do_not_fit_are_left),
        cmocka_unit_test(test_the_heaviest_are_found),
        cmocka_unit_test(test_places_change_hands),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
