/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Runs the planner (shard/plan.h) on a simulated fleet: 100 shards, 1024 shared slots,
 * the 2000 heaviest of 10,000,000 users in slots of their own, load by Zipf's law. Prints
 * how even the fleet is before and after, what moves, and the least number of bytes that
 * would be enough. It sets no limits. */
#include <math.h>
#include <stdio.h>

#include "shard/base/check.h"
#include "shard/base/clock.h"

#include "shard/plan.h"

#define SHARDS     100
#define SHARDS_MAX 110
#define SHARED     1024
#define OWN        2000
#define SLOTS      (SHARED + OWN)
#define USERS      10000000
#define LOAD       1e6  /* of the fleet, operations per second */
#define USER_BYTES 5e4  /* of a user who does hardly anything */
#define LOAD_BYTES 2e10 /* left behind by the load, per shard */
#define ROW_BYTES  180.0
#define SEED       1025u

static struct plan_shard shards[SHARDS_MAX];
static struct plan_slot slots[SLOTS];

static uint64_t random_state;

static double next_random(void) /* [0, 1) */
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (double)(random_state >> 11) / 9007199254740992.0;
}

/* A factor around 1, for some users several times that: they differ in what they store.
 */
static double about_one(void)
{
    return exp(next_random() + next_random() + next_random() - 1.5);
}

static void add_user(struct plan_slot *slot, double load)
{
    const double bytes = (USER_BYTES + LOAD_BYTES * 100 * load / LOAD) * about_one();

    slot->load += load;
    slot->bytes += (uint64_t)bytes;
    slot->rows += (uint64_t)(bytes / ROW_BYTES / about_one());
}

/* User K has 1/K^S of the load of user 1. Every slot is on a random shard. */
static void make_fleet(double s)
{
    double sum = 0;

    random_state = SEED;
    for (unsigned k = 1; k <= USERS; k++) {
        sum += pow(k, -s);
    }
    for (unsigned i = 0; i < SLOTS; i++) {
        slots[i] = (struct plan_slot){.number = i,
                                      .shard = (size_t)(next_random() * SHARDS),
                                      .moving_to = PLAN_NOWHERE};
    }
    for (unsigned k = 1; k <= USERS; k++) {
        const size_t slot =
            k <= OWN ? SHARED + k - 1 : (size_t)(next_random() * (double)SHARED);
        add_user(&slots[slot], LOAD * pow(k, -s) / sum);
    }
}

/* The largest slot as a share of what a shard should have: no plan gets below it. */
static double floor_of(const struct plan_input *input, size_t n_takers)
{
    double sum = 0;
    double largest = 0;

    for (size_t i = 0; i < SLOTS; i++) {
        const double values[] = {(double)slots[i].bytes, (double)slots[i].rows,
                                 slots[i].load};
        sum += values[input->by];
        largest = fmax(largest, values[input->by]);
    }
    return fmax(1, largest * (double)n_takers / sum);
}

static bool show(const char *what, size_t n_shards, size_t n_draining, enum plan_by by)
{
    struct plan_input input = {.shards = shards,
                               .n_shards = n_shards,
                               .slots = slots,
                               .n_slots = SLOTS,
                               .by = by,
                               .threshold = PLAN_THRESHOLD};
    struct plan plan;

    for (size_t i = 0; i < n_shards; i++) {
        shards[i] =
            (struct plan_shard){.name = "", .weight = 1, .is_draining = i < n_draining};
    }
    const int64_t begin_us = clock_mono_us();
    const char *problem = plan_make(&plan, &input);
    const int64_t us = clock_mono_us() - begin_us;
    if (problem != NULL) {
        (void)fprintf(stderr, "bench_plan: %s\n", problem);
        return false;
    }
    printf("%-10s %-5s %7.3f %7.3f %7.3f %6zu %9.1f %9.1f %6.2f %6.0f ms\n", what,
           plan_by_name(by), plan.imbalance_before, plan.imbalance_after,
           floor_of(&input, n_shards - n_draining), plan.n_moves, plan.bytes_moved / 1e9,
           plan.bytes_min / 1e9,
           plan.bytes_min > 0 ? plan.bytes_moved / plan.bytes_min : 1, (double)us / 1e3);
    plan_release(&plan);
    return true;
}

int main(void)
{
    const double exponents[] = {0.8, 1.0};
    bool good = true;

    for (size_t i = 0; i < ARRAY_LEN(exponents); i++) {
        make_fleet(exponents[i]);
        printf("Zipf %.1f, seed %u\n%-10s %-5s %7s %7s %7s %6s %9s %9s %6s %9s\n",
               exponents[i], SEED, "", "by", "before", "after", "floor", "moves",
               "moved GB", "least GB", "ratio", "time");
        for (enum plan_by by = 0; by < PLAN_BY__COUNT; by++) {
            good = show("as it is", SHARDS, 0, by) && good;
            good = show("add 10", SHARDS + 10, 0, by) && good;
            good = show("drain 5", SHARDS, 5, by) && good;
        }
    }
    return good ? 0 : 1;
}
