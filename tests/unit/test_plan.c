/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The planner: its plans for small fleets are written down here, and what must hold
 * for every plan is checked on random fleets, move by move. The judge itself is tested
 * with wrong plans. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shard/base/check.h"

#include "shard/plan.h"

#include "tests/unit/cmocka_all.h"

#define SHARDS_MAX 24
#define SLOTS_MAX  400
#define FLEETS     400
#define TINY       1e-6

/* A fleet, and where each slot is while a plan is carried out. */
static struct plan_shard shards[SHARDS_MAX];
static struct plan_slot slots[SLOTS_MAX];
static size_t at[SLOTS_MAX];
static struct plan_input input;
static char why[160];

static void fleet(size_t n_shards, enum plan_by by)
{
    memset(slots, 0, sizeof slots);
    input = (struct plan_input){.shards = shards,
                                .n_shards = n_shards,
                                .slots = slots,
                                .by = by,
                                .threshold = PLAN_THRESHOLD};
    for (size_t i = 0; i < n_shards; i++) {
        shards[i] = (struct plan_shard){.name = "", .weight = 1};
    }
}

static struct plan_slot *add_slot(size_t shard, uint64_t bytes)
{
    struct plan_slot *slot = &slots[input.n_slots];

    *slot = (struct plan_slot){.number = (unsigned)input.n_slots++,
                               .shard = shard,
                               .moving_to = PLAN_NOWHERE,
                               .bytes = bytes,
                               .rows = bytes / 10,
                               .load = (double)bytes};
    return slot;
}

static void add_slots(size_t shard, size_t n, uint64_t bytes)
{
    for (size_t i = 0; i < n; i++) {
        (void)add_slot(shard, bytes);
    }
}

/* ---- The judge: written from plan.h alone, and slowly ---- */

struct measures {
    size_t undrained;
    double over_bytes;
    double spread; /* sum of weight * (fill - 1)^2 */
    double highest;
};

static double weight_of(size_t shard)
{
    return shards[shard].is_draining ? 0 : shards[shard].weight;
}

static double value_of(size_t slot)
{
    return input.by == PLAN_LOAD   ? slots[slot].load
           : input.by == PLAN_ROWS ? (double)slots[slot].rows
                                   : (double)slots[slot].bytes;
}

static uint64_t bytes_at(size_t shard)
{
    uint64_t bytes = 0;

    for (size_t i = 0; i < input.n_slots; i++) {
        bytes += at[i] == shard ? slots[i].bytes : 0;
    }
    return bytes;
}

static struct measures measure(void)
{
    struct measures m = {0};
    double total = 0;
    double weights = 0;

    for (size_t i = 0; i < input.n_slots; i++) {
        total += value_of(i);
        m.undrained += weight_of(at[i]) <= 0;
    }
    for (size_t i = 0; i < input.n_shards; i++) {
        weights += weight_of(i);
    }
    m.highest = total > 0 ? 0 : 1;
    for (size_t i = 0; i < input.n_shards; i++) {
        const double capacity = (double)shards[i].capacity_bytes;
        double value = 0;
        for (size_t slot = 0; slot < input.n_slots; slot++) {
            value += at[slot] == i ? value_of(slot) : 0;
        }
        if (weight_of(i) > 0) {
            const double fill = total > 0 ? value / (total * weight_of(i) / weights) : 0;
            m.spread += weight_of(i) * (fill - 1) * (fill - 1);
            m.highest = fmax(m.highest, fill);
            m.over_bytes += capacity > 0 ? fmax(0, (double)bytes_at(i) - capacity) : 0;
        }
    }
    return m;
}

static bool is_better(const struct measures *now, const struct measures *before)
{
    if (now->undrained != before->undrained) {
        return now->undrained < before->undrained;
    }
    if (now->over_bytes != before->over_bytes) {
        return now->over_bytes < before->over_bytes;
    }
    return now->spread < before->spread && now->highest <= before->highest + TINY;
}

static bool wrong(const char *text, size_t n)
{
    (void)snprintf(why, sizeof why, "move %zu: %s", n, text);
    return false;
}

static void start(void)
{
    for (size_t i = 0; i < input.n_slots; i++) {
        at[i] = slots[i].moving_to == PLAN_NOWHERE ? slots[i].shard : slots[i].moving_to;
    }
    why[0] = '\0';
}

/* Carries out one move; false: it breaks a rule. */
static bool judge_move(const struct plan_move *move, size_t n, struct measures *now)
{
    const struct measures before = *now;
    const struct plan_slot *slot = &slots[move->slot];

    if (slot->is_pinned || slot->moving_to != PLAN_NOWHERE) {
        return wrong("this slot may not move", n);
    }
    if (at[move->slot] != slot->shard || move->giver != slot->shard) {
        return wrong("it is not there, or moves twice", n);
    }
    if (weight_of(move->taker) <= 0) {
        return wrong("the taker is drained", n);
    }
    if (shards[move->giver].is_closed || shards[move->taker].is_closed) {
        return wrong("a shard is paused", n);
    }
    if (weight_of(move->giver) > 0 && shards[move->giver].capacity_bytes == 0 &&
        value_of(move->slot) < input.floor) {
        return wrong("it cannot win the floor", n);
    }
    at[move->slot] = move->taker;
    if (shards[move->taker].capacity_bytes != 0 &&
        bytes_at(move->taker) > shards[move->taker].capacity_bytes) {
        return wrong("the taker is above its capacity", n);
    }
    *now = measure();
    if (!is_better(now, &before)) {
        return wrong("nothing is better", n);
    }
    if (fabs(now->highest - move->imbalance) > TINY ||
        fabs(move->value - value_of(move->slot)) > TINY) {
        return wrong("its figures are wrong", n);
    }
    return true;
}

static bool judge(const struct plan *plan)
{
    double bytes = 0;

    start();
    struct measures now = measure();
    if (fabs(now.highest - plan->imbalance_before) > TINY) {
        return wrong("the imbalance before", 0);
    }
    for (size_t i = 0; i < plan->n_moves; i++) {
        if (!judge_move(&plan->moves[i], i, &now)) {
            return false;
        }
        bytes += (double)slots[plan->moves[i].slot].bytes;
    }
    for (size_t i = 0; i < input.n_shards; i++) {
        if (bytes_at(i) != plan->after[i].bytes) {
            return wrong("what a shard has after the last one", plan->n_moves);
        }
    }
    if (bytes != plan->bytes_moved || now.undrained != plan->n_undrained ||
        fabs(now.highest - plan->imbalance_after) > TINY) {
        return wrong("the sums after the last one", plan->n_moves);
    }
    if (plan->verdict == PLAN_MOVES && !plan->is_floored && bytes < plan->bytes_min - 1) {
        return wrong("fewer bytes than the least", plan->n_moves);
    }
    return true;
}

static void make(struct plan *plan)
{
    assert_null(plan_make(plan, &input));
    if (!judge(plan)) {
        fail_msg("%s", why);
    }
}

/* ---- Small fleets ---- */

static void test_even_is_left_alone(void **state)
{
    (void)state;
    struct plan plan;

    fleet(3, PLAN_BYTES);
    for (size_t i = 0; i < 3; i++) {
        add_slots(i, 10, 100);
    }
    /* 1.05 times its fair share: above the goal, below the threshold */
    slots[0].bytes += 80;
    make(&plan);
    assert_int_equal(plan.verdict, PLAN_EVEN);
    assert_int_equal(plan.n_moves, 0);
    assert_true(plan.bytes_min == 0);
    plan_release(&plan);

    input.threshold = 0.04;
    make(&plan);
    assert_int_equal(plan.verdict, PLAN_STUCK); /* no slot is small enough to move */
    assert_int_equal(plan.n_moves, 0);
    plan_release(&plan);

    fleet(2, PLAN_BYTES); /* an empty fleet is even, too */
    make(&plan);
    assert_int_equal(plan.verdict, PLAN_EVEN);
    assert_true(plan.imbalance_before == 1);
    plan_release(&plan);
}

static void test_the_slot_that_fits(void **state)
{
    (void)state;
    struct plan plan;

    fleet(2, PLAN_BYTES); /* 260 and 100: one has 80 more than its share */
    (void)add_slot(0, 120);
    (void)add_slot(0, 79);
    (void)add_slot(0, 30);
    (void)add_slot(0, 31);
    (void)add_slot(1, 100);
    make(&plan);
    assert_int_equal(plan.verdict, PLAN_MOVES);
    assert_int_equal(plan.n_moves, 1);
    assert_int_equal(plan.moves[0].slot, 1);
    assert_int_equal(plan.moves[0].taker, 1);
    assert_int_equal(plan.before[0].n_slots, 4);
    assert_int_equal(plan.after[1].n_slots, 2);
    plan_release(&plan);
}

static void test_no_more_than_the_gap(void **state)
{
    (void)state;
    struct plan plan;

    fleet(3, PLAN_BYTES); /* 120, 140 and 40 bytes */
    add_slots(0, 3, 40);
    (void)add_slot(1, 50);
    /* slot 4: as large as the excess of 1, although 2 lacks more */
    (void)add_slot(1, 40);
    (void)add_slot(1, 50);
    (void)add_slot(2, 40);
    input.moves_max = 1;
    make(&plan);
    assert_int_equal(plan.moves[0].slot, 4);
    plan_release(&plan);

    fleet(2, PLAN_BYTES); /* 160 and 100: moving 59 bytes to gain 1 is not worth it */
    (void)add_slot(0, 59);
    (void)add_slot(0, 101);
    (void)add_slot(1, 100);
    make(&plan);
    assert_int_equal(plan.verdict, PLAN_STUCK);
    assert_int_equal(plan.n_moves, 0);
    plan_release(&plan);
    slots[0].bytes = 50; /* moving 50 bytes to gain 10 is, if there is nothing better */
    slots[1].bytes = 110;
    make(&plan);
    assert_int_equal(plan.n_moves, 1);
    plan_release(&plan);
}

static void test_load_for_few_bytes(void **state)
{
    (void)state;
    struct plan plan;

    fleet(2, PLAN_LOAD);
    add_slots(0, 4, 1000);
    add_slots(1, 2, 1000);
    slots[2].bytes = 10; /* the same load in fewer bytes */
    make(&plan);
    assert_int_equal(plan.n_moves, 1);
    assert_int_equal(plan.moves[0].slot, 2);
    assert_true(plan.bytes_moved == 10);
    plan_release(&plan);
}

static void test_a_new_shard_gets_its_share(void **state)
{
    (void)state;
    struct plan plan;

    /* nobody is 10 % above the mean, but the last shard has nothing */
    fleet(11, PLAN_BYTES);
    for (size_t i = 0; i < 10; i++) {
        add_slots(i, 22, 10);
    }
    make(&plan);
    assert_int_equal(plan.verdict, PLAN_MOVES);
    assert_in_range(plan.after[10].bytes, 190, 200);
    assert_true(plan.bytes_moved == plan.bytes_min);
    plan_release(&plan);
}

static void test_weights(void **state)
{
    (void)state;
    struct plan plan;

    fleet(2, PLAN_BYTES);
    shards[1].weight = 3;
    add_slots(0, 20, 10);
    add_slots(1, 20, 10);
    make(&plan);
    assert_int_equal(plan.verdict, PLAN_MOVES);
    assert_in_range(plan.after[0].bytes, 100, 100 * 1.05);
    plan_release(&plan);
}

static void test_drain_moves_every_slot(void **state)
{
    (void)state;
    struct plan plan;

    fleet(3, PLAN_LOAD);
    add_slots(0, 10, 10);
    add_slots(1, 10, 10);
    add_slots(2, 10, 10);
    slots[25].load = 0; /* it must leave as well, although that evens out nothing */
    slots[25].bytes = 0;
    shards[2].is_draining = true;
    make(&plan);
    assert_int_equal(plan.verdict, PLAN_MOVES);
    assert_int_equal(plan.n_moves, 10);
    assert_int_equal(plan.after[2].n_slots, 0);
    assert_int_equal(plan.n_undrained, 0);
    plan_release(&plan);

    slots[21].is_pinned = true;
    make(&plan);
    assert_int_equal(plan.verdict, PLAN_STUCK);
    assert_int_equal(plan.n_undrained, 1);
    plan_release(&plan);

    shards[0].weight = 0;
    shards[1].is_draining = true;
    assert_non_null(plan_make(&plan, &input));
    plan_release(&plan);
}

static void test_a_paused_shard_is_left_alone(void **state)
{
    (void)state;
    struct plan plan;

    fleet(3, PLAN_LOAD);
    add_slots(0, 10, 10);
    add_slots(1, 30, 10);
    shards[1].is_closed = true; /* it has more than its share, but nothing leaves it */
    shards[1].capacity_bytes = 1;
    make(&plan);
    assert_int_equal(plan.after[1].n_slots, 30);
    assert_true(plan.after[2].n_slots > 0);
    plan_release(&plan);

    fleet(3, PLAN_LOAD);
    add_slots(0, 10, 10);
    shards[0].is_draining = true;
    shards[1].is_closed = true;
    make(&plan);
    assert_int_equal(plan.after[1].n_slots, 0);
    assert_int_equal(plan.after[2].n_slots, 10);
    plan_release(&plan);
}

static void test_capacities(void **state)
{
    (void)state;
    struct plan plan;

    fleet(3, PLAN_BYTES);
    add_slots(0, 30, 10);
    shards[1].capacity_bytes = 45;
    make(&plan);
    assert_int_equal(plan.after[1].bytes, 40);
    assert_int_equal(plan.verdict, PLAN_STUCK);
    plan_release(&plan);

    /* a shard above its capacity gives up slots, although all are even */
    fleet(3, PLAN_BYTES);
    for (size_t i = 0; i < 3; i++) {
        add_slots(i, 10, 10);
    }
    shards[0].capacity_bytes = 95;
    make(&plan);
    assert_int_equal(plan.after[0].bytes, 90);
    plan_release(&plan);

    shards[1].capacity_bytes = shards[2].capacity_bytes = 100; /* no shard has room */
    make(&plan);
    assert_int_equal(plan.verdict, PLAN_STUCK);
    assert_int_equal(plan.n_moves, 0);
    plan_release(&plan);

    fleet(3, PLAN_ROWS); /* the large slot needs the room that small ones would take */
    (void)add_slot(0, 10);
    (void)add_slot(0, 10);
    add_slot(0, 60)->rows = 0;
    shards[0].is_draining = true;
    shards[1].capacity_bytes = 60;
    shards[2].capacity_bytes = 20;
    make(&plan);
    assert_int_equal(plan.n_undrained, 0);
    plan_release(&plan);
}

static void test_a_giant_is_left_alone(void **state)
{
    (void)state;
    struct plan plan;

    fleet(4, PLAN_LOAD);
    (void)add_slot(0, 1000);
    for (size_t i = 0; i < 4; i++) {
        add_slots(i, 10, 10);
    }
    make(&plan);
    assert_int_equal(plan.verdict, PLAN_MOVES);
    assert_int_equal(plan.after[0].n_slots, 1);
    assert_true(plan.bytes_moved == 100);
    for (size_t i = 1; i < 4; i++) {
        assert_in_range(plan.after[i].bytes, 130, 140);
    }
    plan_release(&plan);
}

static void test_moving_slots_count_at_the_taker(void **state)
{
    (void)state;
    struct plan plan;

    fleet(2, PLAN_BYTES);
    add_slots(0, 10, 10);
    for (size_t i = 0; i < 5; i++) {
        slots[i].moving_to = 1;
    }
    make(&plan);
    assert_int_equal(plan.verdict, PLAN_EVEN);
    assert_int_equal(plan.before[1].bytes, 50);
    plan_release(&plan);
}

static void test_no_more_than_asked_for(void **state)
{
    (void)state;
    struct plan whole;
    struct plan part;

    fleet(4, PLAN_BYTES);
    add_slots(0, 40, 10);
    make(&whole);
    assert_int_equal(whole.verdict, PLAN_MOVES);
    for (size_t n = 1; n < whole.n_moves; n++) {
        input.moves_max = n;
        make(&part);
        assert_int_equal(part.verdict, PLAN_CUT_SHORT);
        assert_int_equal(part.n_moves, n);
        assert_memory_equal(part.moves, whole.moves, n * sizeof *part.moves);
        plan_release(&part);
    }
    plan_release(&whole);
}

static void refuses(void)
{
    struct plan plan;

    assert_non_null(plan_make(&plan, &input));
    assert_int_equal(plan.n_moves, 0);
    plan_release(&plan);
}

static void test_bad_input(void **state)
{
    (void)state;
    struct plan plan;

    fleet(2, PLAN_BYTES);
    add_slots(0, 2, 10);
    input.threshold = 0;
    refuses();
    input.threshold = NAN;
    refuses();
    input.threshold = 0.1;
    input.floor = -1;
    refuses();
    input.floor = 0;
    input.goal = 0.2;
    refuses();
    input.goal = 0;
    slots[1].shard = 2;
    refuses();
    slots[1].shard = 1;
    slots[1].load = -1;
    refuses();
    slots[1].load = INFINITY;
    refuses();
    slots[1].load = 1;
    shards[0].weight = -1;
    refuses();
    shards[0].weight = NAN;
    refuses();
    shards[0].weight = shards[1].weight = 0;
    refuses();
    input.n_shards = 0;
    refuses();
    input.n_shards = 2;
    shards[0].weight = 1;
    assert_null(plan_make(&plan, &input));
    plan_release(&plan);
    assert_int_equal(plan_by_named("rows"), PLAN_ROWS);
    assert_int_equal(plan_by_named("row"), PLAN_BY__COUNT);
    assert_string_equal(plan_by_name(PLAN_LOAD), "load");
}

/* ---- The judge itself ---- */

/* A plan of one or two moves, as a wrong planner might make it. */
static bool judges(size_t slot, size_t taker, size_t slot2, size_t taker2)
{
    struct plan_move moves[] = {
        {.slot = slot, .giver = slots[slot].shard, .taker = taker},
        {.slot = slot2, .giver = slots[slot2].shard, .taker = taker2}};
    const size_t n = slot2 == PLAN_NOWHERE ? 1 : 2;
    struct plan_fill after[SHARDS_MAX] = {{0}};
    struct plan plan = {.moves = moves, .n_moves = n, .after = after};

    start();
    plan.imbalance_before = measure().highest;
    for (size_t i = 0; i < n; i++) {
        at[moves[i].slot] = moves[i].taker;
        moves[i].value = value_of(moves[i].slot);
        moves[i].imbalance = plan.imbalance_after = measure().highest;
        plan.bytes_moved += (double)slots[moves[i].slot].bytes;
    }
    plan.n_undrained = measure().undrained;
    for (size_t i = 0; i < input.n_shards; i++) {
        after[i].bytes = bytes_at(i);
    }
    return judge(&plan);
}

static void test_judge_finds_mistakes(void **state)
{
    (void)state;

    fleet(3, PLAN_BYTES);
    add_slots(0, 10, 10); /* slots 0 to 9 */
    (void)add_slot(0, 200);
    (void)add_slot(1, 40); /* slot 11 */
    (void)add_slot(2, 30);
    assert_true(judges(0, 1, 1, 2));
    assert_false(judges(11, 2, 0, 1)); /* between two of the emptier shards */
    assert_non_null(strstr(why, "move 0: nothing"));
    assert_false(judges(10, 1, 0, 1)); /* only makes another shard the full one */
    assert_false(judges(0, 1, 0, 1));
    assert_non_null(strstr(why, "twice"));
    slots[0].is_pinned = true;
    assert_false(judges(0, 1, 1, 2));
    assert_non_null(strstr(why, "may not"));
    shards[2].is_draining = true;
    assert_false(judges(1, 2, 2, 1));
    assert_non_null(strstr(why, "drained"));
    assert_true(judges(12, 1, 1, 1));
    shards[1].capacity_bytes = 75;
    assert_false(judges(12, 1, 1, 1));
    assert_non_null(strstr(why, "move 1: the taker is above"));
}

/* ---- Random fleets ---- */

static uint32_t seed;

static uint32_t next_random(uint32_t below)
{
    seed = seed * 1664525 + 1013904223;
    return (uint32_t)((uint64_t)(seed >> 4) * below >> 28);
}

static void random_slots(void)
{
    const size_t n = next_random(SLOTS_MAX);
    const uint32_t skew = next_random(3);

    for (size_t i = 0; i < n; i++) {
        struct plan_slot *slot = add_slot(next_random((uint32_t)input.n_shards), 0);
        slot->bytes = next_random(1000);
        if (skew > 0 && next_random(10) == 0) {
            slot->bytes *= 1 + next_random(skew == 1 ? 20 : 300);
        }
        slot->rows = slot->bytes / (1 + next_random(9));
        slot->load = next_random(4) == 0 ? 0 : (double)next_random(5000) / 7;
        slot->is_pinned = next_random(30) == 0;
        if (next_random(30) == 0) {
            slot->moving_to = next_random((uint32_t)input.n_shards);
        }
    }
}

static void random_fleet(uint32_t number)
{
    seed = number;
    fleet(1 + next_random(SHARDS_MAX), next_random(PLAN_BY__COUNT));
    random_slots();
    input.threshold = 0.02 + next_random(30) / 100.0;
    input.goal = next_random(2) * input.threshold / (1 + next_random(4));
    input.floor = next_random(4) == 0 ? next_random(1500) : 0;
    input.moves_max = next_random(4) == 0 ? 1 + next_random(30) : 0;
    for (size_t i = 0; i < input.n_shards; i++) {
        shards[i].weight = next_random(3) == 0 ? (1 + next_random(50)) / 10.0 : 1;
        shards[i].is_draining = i > 0 && next_random(6) == 0;
        shards[i].is_closed = i > 0 && next_random(8) == 0;
        if (next_random(4) == 0) {
            shards[i].capacity_bytes = 1 + next_random(60000);
        }
    }
}

static void test_random_fleets(void **state)
{
    (void)state;
    size_t verdicts[PLAN__COUNT] = {0};
    size_t n_moves = 0;

    for (uint32_t number = 1; number <= FLEETS; number++) {
        struct plan plan;
        struct plan again;
        random_fleet(number);
        assert_null(plan_make(&plan, &input));
        if (!judge(&plan)) {
            fail_msg("fleet of seed %u, %s", number, why);
        }
        assert_null(plan_make(&again, &input));
        assert_int_equal(again.n_moves, plan.n_moves);
        assert_memory_equal(again.moves, plan.moves, plan.n_moves * sizeof *plan.moves);
        verdicts[plan.verdict]++;
        n_moves += plan.n_moves;
        plan_release(&plan);
        plan_release(&again);
    }
    print_message(
        "# seeds 1..%u: %zu moves; even %zu, moves %zu, cut short %zu, stuck %zu\n",
        FLEETS, n_moves, verdicts[PLAN_EVEN], verdicts[PLAN_MOVES],
        verdicts[PLAN_CUT_SHORT], verdicts[PLAN_STUCK]);
    for (size_t i = 0; i < PLAN__COUNT; i++) {
        assert_true(verdicts[i] > 0);
    }
}

/* Many small slots and no obstacles: the goal is reached with hardly more than the
 * least possible number of bytes. */
static void test_easy_fleets_reach_the_goal(void **state)
{
    (void)state;
    double worst = 1;

    for (uint32_t number = 1; number <= 100; number++) {
        struct plan plan;
        seed = number;
        fleet(2 + next_random(8), next_random(PLAN_BY__COUNT));
        for (size_t i = 0; i < SLOTS_MAX; i++) {
            const size_t shard = next_random((uint32_t)input.n_shards);
            (void)add_slot(next_random(2) == 0 ? 0 : shard, 100 + next_random(200));
        }
        shards[1].is_draining = input.n_shards > 2 && next_random(2) == 0;
        make(&plan);
        if (plan.verdict != PLAN_MOVES) {
            fail_msg("seed %u: %d", number, (int)plan.verdict);
        }
        assert_true(plan.imbalance_after <= 1.05 + TINY);
        worst = fmax(worst, plan.bytes_moved / plan.bytes_min);
        if (plan.bytes_moved > 1.25 * plan.bytes_min) {
            fail_msg("seed %u: %.0f bytes move, %.0f could do", number, plan.bytes_moved,
                     plan.bytes_min);
        }
        plan_release(&plan);
    }
    print_message("# seeds 1..100: at most %.3f times the fewest bytes\n", worst);
}

/* ---- Which may start ---- */

static size_t n_started(const struct plan *plan, const enum plan_step *steps,
                        unsigned max, size_t *next)
{
    unsigned running[SHARDS_MAX] = {0};
    const size_t n = plan_next(&input, plan, steps, max, next);

    for (size_t i = 0; i < n; i++) {
        assert_int_equal(steps[next[i]], PLAN_WAITS);
        assert_true(i == 0 || next[i] > next[i - 1]);
    }
    for (size_t i = 0; i < plan->n_moves; i++) {
        bool runs = steps[i] == PLAN_RUNS;
        for (size_t k = 0; k < n; k++) {
            runs = runs || next[k] == i;
        }
        running[plan->moves[i].giver] += runs;
        running[plan->moves[i].taker] += runs;
    }
    for (size_t i = 0; i < input.n_shards; i++) {
        assert_true(running[i] <= max);
    }
    return n;
}

static void test_few_at_once(void **state)
{
    (void)state;
    struct plan plan;
    enum plan_step steps[SLOTS_MAX] = {PLAN_WAITS};
    size_t next[SLOTS_MAX];

    fleet(4, PLAN_BYTES);
    add_slots(0, 20, 10);
    add_slots(1, 20, 10);
    make(&plan);
    assert_int_equal(n_started(&plan, steps, 1, next),
                     2); /* 0 and 1 give, 2 and 3 take */
    assert_int_equal(n_started(&plan, steps, 2, next), 4);
    assert_int_equal(n_started(&plan, steps, 0, next), 0);
    shards[0].n_moving = 1; /* a move that somebody else started */
    assert_int_equal(n_started(&plan, steps, 1, next), 1);
    assert_int_equal(plan.moves[next[0]].giver, 1);
    plan_release(&plan);
}

static void test_no_room_yet(void **state)
{
    (void)state;
    struct plan plan;
    enum plan_step steps[SLOTS_MAX] = {PLAN_WAITS};
    size_t next[SLOTS_MAX];

    fleet(3, PLAN_BYTES);
    (void)add_slot(0, 50); /* 0 is drained to 1, whose 30 bytes must first go to 2 */
    (void)add_slot(1, 30);
    shards[0].is_draining = true;
    shards[1].capacity_bytes = 60;
    struct plan_move moves[] = {{.slot = 1, .giver = 1, .taker = 2},
                                {.slot = 0, .giver = 0, .taker = 1}};
    plan = (struct plan){.moves = moves, .n_moves = 2};
    assert_int_equal(n_started(&plan, steps, 9, next), 1);
    steps[0] = PLAN_RUNS;
    assert_int_equal(n_started(&plan, steps, 9, next), 0);
    steps[0] = PLAN_GIVEN_UP;
    assert_int_equal(n_started(&plan, steps, 9, next), 0);
    steps[0] = PLAN_DONE;
    assert_int_equal(n_started(&plan, steps, 9, next), 1);
    shards[1].capacity_bytes = 0; /* there is room, but 1 must give first */
    shards[2].n_moving = 9;
    steps[0] = PLAN_WAITS;
    assert_int_equal(n_started(&plan, steps, 9, next), 0);
}

/* In whatever order moves start and end: all of them get done, and nothing overflows. */
static void carry_out(const struct plan *plan, uint32_t number)
{
    enum plan_step steps[SLOTS_MAX] = {PLAN_WAITS};
    size_t next[SLOTS_MAX];
    size_t n_done = 0;
    size_t n_running = 0;

    start();
    while (n_done < plan->n_moves) {
        const size_t n = n_started(plan, steps, 2, next);
        for (size_t i = 0; i < n; i++) {
            steps[next[i]] = PLAN_RUNS;
        }
        n_running += n;
        if (n_running == 0) {
            fail_msg("seed %u: %zu of %zu are done, none may start", number, n_done,
                     plan->n_moves);
        }
        size_t ends = next_random((uint32_t)n_running);
        size_t i = 0;
        while (steps[i] != PLAN_RUNS || ends-- > 0) {
            i++;
        }
        steps[i] = PLAN_DONE;
        at[plan->moves[i].slot] = plan->moves[i].taker;
        n_running--;
        n_done++;
        const size_t taker = plan->moves[i].taker;
        assert_true(shards[taker].capacity_bytes == 0 ||
                    bytes_at(taker) <= shards[taker].capacity_bytes ||
                    shards[taker].capacity_bytes < plan->after[taker].bytes);
    }
}

static void test_all_is_carried_out(void **state)
{
    (void)state;

    for (uint32_t number = 1; number <= FLEETS / 4; number++) {
        struct plan plan;
        random_fleet(number);
        for (size_t i = 0; i < input.n_slots; i++) {
            /* moves like these never end in this test */
            slots[i].moving_to = PLAN_NOWHERE;
        }
        assert_null(plan_make(&plan, &input));
        carry_out(&plan, number);
        plan_release(&plan);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_even_is_left_alone),
        cmocka_unit_test(test_the_slot_that_fits),
        cmocka_unit_test(test_no_more_than_the_gap),
        cmocka_unit_test(test_load_for_few_bytes),
        cmocka_unit_test(test_a_new_shard_gets_its_share),
        cmocka_unit_test(test_weights),
        cmocka_unit_test(test_drain_moves_every_slot),
        cmocka_unit_test(test_a_paused_shard_is_left_alone),
        cmocka_unit_test(test_capacities),
        cmocka_unit_test(test_a_giant_is_left_alone),
        cmocka_unit_test(test_moving_slots_count_at_the_taker),
        cmocka_unit_test(test_no_more_than_asked_for),
        cmocka_unit_test(test_bad_input),
        cmocka_unit_test(test_judge_finds_mistakes),
        cmocka_unit_test(test_random_fleets),
        cmocka_unit_test(test_easy_fleets_reach_the_goal),
        cmocka_unit_test(test_few_at_once),
        cmocka_unit_test(test_no_room_yet),
        cmocka_unit_test(test_all_is_carried_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
