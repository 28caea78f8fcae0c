/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Which moves of a plan may start now: a few per shard, and only those that fit. */
#include <stdlib.h>

#include "shard/plan.h"

/* A shard as it is now. */
struct yard {
    uint64_t bytes;     /* including slots that are moving, at both ends */
    unsigned n_running; /* moves that give or take here */
    bool waits_to_give; /* an earlier move of the list */
    bool waits_to_take;
};

static void count_slots(const struct plan_input *input, struct yard *yards)
{
    for (size_t i = 0; i < input->n_shards; i++) {
        yards[i].n_running = input->shards[i].n_moving;
    }
    for (size_t i = 0; i < input->n_slots; i++) {
        const struct plan_slot *slot = &input->slots[i];
        yards[slot->shard].bytes += slot->bytes;
        if (slot->moving_to != PLAN_NOWHERE && slot->moving_to != slot->shard) {
            yards[slot->moving_to].bytes += slot->bytes;
        }
    }
}

static void start(struct yard *yards, const struct plan_move *move, uint64_t bytes)
{
    yards[move->taker].bytes += bytes;
    yards[move->taker].n_running++;
    yards[move->giver].n_running++;
}

static void count_moves(const struct plan_input *input, const struct plan *plan,
                        const enum plan_step *steps, struct yard *yards)
{
    for (size_t i = 0; i < plan->n_moves; i++) {
        const struct plan_move *move = &plan->moves[i];
        const uint64_t bytes = input->slots[move->slot].bytes;
        if (steps[i] == PLAN_RUNS) {
            start(yards, move, bytes);
        } else if (steps[i] == PLAN_DONE) {
            yards[move->giver].bytes -= bytes;
            yards[move->taker].bytes += bytes;
        }
    }
}

static bool may_start(const struct plan_input *input, const struct yard *yards,
                      const struct plan_move *move, unsigned per_shard_max)
{
    const struct yard *giver = &yards[move->giver];
    const struct yard *taker = &yards[move->taker];
    const uint64_t capacity = input->shards[move->taker].capacity_bytes;

    return giver->n_running < per_shard_max && taker->n_running < per_shard_max &&
           !giver->waits_to_take && !taker->waits_to_give &&
           (capacity == 0 || taker->bytes + input->slots[move->slot].bytes <= capacity);
}

size_t plan_next(const struct plan_input *input, const struct plan *plan,
                 const enum plan_step *steps, unsigned per_shard_max, size_t *next)
{
    struct yard *yards = calloc(input->n_shards, sizeof *yards);
    size_t n = 0;

    if (yards == NULL) {
        return 0; /* nothing starts for now */
    }
    count_slots(input, yards);
    count_moves(input, plan, steps, yards);
    for (size_t i = 0; i < plan->n_moves; i++) {
        const struct plan_move *move = &plan->moves[i];
        if (steps[i] != PLAN_WAITS) {
            continue;
        }
        if (may_start(input, yards, move, per_shard_max)) {
            start(yards, move, input->slots[move->slot].bytes);
            next[n++] = i;
        } else {
            yards[move->giver].waits_to_give = true;
            yards[move->taker].waits_to_take = true;
        }
    }
    free(yards);
    return n;
}
