/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The planner of plan.h: drained shards first, then those above their capacity, then from
 * full to empty. */
#include "shard/plan.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* How much of its size a slot larger than the gap must gain: at first, and when nothing
 * else is left. */
#define GAIN_CHEAP 0.5
#define GAIN_LEAST 0.1

/* The fixed cost of a move besides its bytes: this fraction of an average slot. */
#define MOVE_COST 0.25

/* Differences smaller than this fraction of a fair share are rounding errors. */
#define TINY 1e-9

static const char *const by_names[] = {"bytes", "rows", "load"};

/* A shard while the plan is made. */
struct post {
    double weight; /* 0: everything leaves */
    double fair;   /* what it should have */
    double span;   /* a fair share without giants, to which thresholds are relative */
    double floor;  /* a distance that is near enough in any case */
    double value;
    uint64_t bytes;
    size_t begin, n; /* its movable slots, in struct work's order[] */
    double least;    /* the smallest of their values */
};

struct rank {
    double fill;
    size_t shard;
};

struct work {
    const struct plan_input *input; /* (ref) */
    struct plan *plan;              /* (ref) */
    double goal;                    /* how far from its fair share a shard may be */
    double cost_bytes;              /* fixed cost of a move */
    double mean;                    /* the total divided by the sum of weights */
    double ordinary;                /* the same without giants and their shards */
    double *values;                 /* per slot */
    bool *fixed;                    /* per slot: it may not move, or has moved */
    bool *giants;                   /* per slot: larger than any fair share */
    size_t *order, *place;          /* slots by shard, and the place of each in it */
    struct post *posts;             /* per shard */
    struct rank *ranks;             /* scratch array of shards */
};

const char *plan_by_name(enum plan_by by)
{
    return by < PLAN_BY__COUNT ? by_names[by] : "";
}

enum plan_by plan_by_named(const char *name)
{
    enum plan_by by = PLAN_BYTES;

    while (by < PLAN_BY__COUNT && strcmp(by_names[by], name) != 0) {
        by++;
    }
    return by;
}

double plan_slot_value(const struct plan_slot *slot, enum plan_by by)
{
    switch (by) {
    case PLAN_ROWS:
        return (double)slot->rows;
    case PLAN_LOAD:
        return slot->load;
    default:
        return (double)slot->bytes;
    }
}

/* The shard where a slot counts. */
static size_t shard_of(const struct plan_slot *slot)
{
    return slot->moving_to == PLAN_NOWHERE ? slot->shard : slot->moving_to;
}

static double fill_of(const struct work *work, const struct post *post)
{
    return post->weight <= 0 || work->mean <= 0
               ? 0
               : post->value / (post->weight * work->mean);
}

/* Can POST take a slot of so many BYTES? */
static bool has_room(const struct work *work, size_t shard, uint64_t bytes)
{
    const uint64_t capacity = work->input->shards[shard].capacity_bytes;
    const uint64_t used = work->posts[shard].bytes;

    return !work->input->shards[shard].is_closed &&
           (capacity == 0 || (used <= capacity && bytes <= capacity - used));
}

static double imbalance(const struct work *work)
{
    double highest = work->mean <= 0 ? 1 : 0;

    for (size_t i = 0; i < work->input->n_shards; i++) {
        highest = fmax(highest, fill_of(work, &work->posts[i]));
    }
    return highest;
}

/* ---- The start ---- */

static const char *check_input(const struct plan_input *input)
{
    double weights = 0;

    if (input->n_shards == 0 || input->n_shards > PLAN_SHARDS_MAX ||
        input->n_slots > PLAN_SLOTS_MAX) {
        return "too many shards or slots, or none";
    }
    if (input->by >= PLAN_BY__COUNT || !(input->threshold > 0) ||
        !(input->goal >= 0 && input->goal <= input->threshold)) {
        return "the threshold must be above 0, and the goal not above it";
    }
    if (!(input->floor >= 0) || !isfinite(input->floor)) {
        return "the floor is below 0";
    }
    for (size_t i = 0; i < input->n_shards; i++) {
        const struct plan_shard *shard = &input->shards[i];
        if (!(shard->weight >= 0) || !isfinite(shard->weight)) {
            return "a weight is below 0";
        }
        weights += shard->is_draining ? 0 : shard->weight;
    }
    for (size_t i = 0; i < input->n_slots; i++) {
        const struct plan_slot *slot = &input->slots[i];
        if (slot->shard >= input->n_shards || shard_of(slot) >= input->n_shards ||
            !(slot->load >= 0) || !isfinite(slot->load)) {
            return "a slot is on no shard, or its load is not a number";
        }
    }
    return weights > 0 ? NULL : "every shard is drained: none is left to take anything";
}

static void free_work(struct work *work)
{
    free(work->values);
    free(work->fixed);
    free(work->giants);
    free(work->order);
    free(work->place);
    free(work->posts);
    free(work->ranks);
}

/* False: out of memory. */
static bool alloc_all(struct work *work, struct plan *plan)
{
    const size_t n_slots = work->input->n_slots + 1; /* never 0, so that calloc() does not
                                                      * return NULL */
    const size_t n_shards = work->input->n_shards;

    work->values = calloc(n_slots, sizeof *work->values);
    work->fixed = calloc(n_slots, sizeof *work->fixed);
    work->giants = calloc(n_slots, sizeof *work->giants);
    work->order = calloc(n_slots, sizeof *work->order);
    work->place = calloc(n_slots, sizeof *work->place);
    work->posts = calloc(n_shards, sizeof *work->posts);
    work->ranks = calloc(n_shards, sizeof *work->ranks);
    plan->moves = calloc(n_slots, sizeof *plan->moves);
    plan->before = calloc(n_shards, sizeof *plan->before);
    plan->after = calloc(n_shards, sizeof *plan->after);
    return work->values != NULL && work->fixed != NULL && work->giants != NULL &&
           work->order != NULL && work->place != NULL && work->posts != NULL &&
           work->ranks != NULL && plan->moves != NULL && plan->before != NULL &&
           plan->after != NULL;
}

/* Add up what every shard has and should have. */
static void count_all(struct work *work)
{
    const struct plan_input *input = work->input;
    double total = 0;
    double weights = 0;
    double bytes = 0;

    for (size_t i = 0; i < input->n_slots; i++) {
        const struct plan_slot *slot = &input->slots[i];
        struct post *post = &work->posts[shard_of(slot)];
        work->values[i] = plan_slot_value(slot, input->by);
        work->fixed[i] = slot->is_pinned || slot->moving_to != PLAN_NOWHERE ||
                         input->shards[slot->shard].is_closed;
        post->value += work->values[i];
        post->bytes += slot->bytes;
        total += work->values[i];
        bytes += (double)slot->bytes;
    }
    for (size_t i = 0; i < input->n_shards; i++) {
        work->posts[i].weight =
            input->shards[i].is_draining ? 0 : input->shards[i].weight;
        weights += work->posts[i].weight;
    }
    work->mean = work->ordinary = total / weights;
    work->cost_bytes = 1 + MOVE_COST * bytes / (double)(input->n_slots + 1);
}

/* ---- Giants ---- */

/* The weight of the shard that SLOT will be on, when it is a giant: its own if it cannot
 * leave, else that of the greatest. */
static double giant_weight(const struct work *work, size_t slot, double greatest)
{
    const double weight = work->posts[shard_of(&work->input->slots[slot])].weight;

    return work->fixed[slot] && weight > 0 ? weight : greatest;
}

/* Find the slots larger than any fair share, and the rest. Such a giant fills a shard by
 * itself, which cannot be helped; the other shards share the rest. */
static void find_giants(struct work *work)
{
    const size_t n_shards = work->input->n_shards;
    double greatest = 0;
    double weights = 0;
    bool found = true;

    for (size_t i = 0; i < n_shards; i++) {
        greatest = fmax(greatest, work->posts[i].weight);
        weights += work->posts[i].weight;
    }
    double total = work->mean * weights;
    while (found) {
        found = false;
        for (size_t i = 0; i < work->input->n_slots; i++) {
            const double weight = giant_weight(work, i, greatest);
            if (!work->giants[i] && weights - weight > TINY * greatest &&
                work->values[i] > (1 + work->goal) * work->ordinary * weight) {
                work->giants[i] = found = true;
                total -= work->values[i];
                weights -= weight;
                work->ordinary = fmax(0, total / weights);
            }
        }
    }
}

/* What shards should have: their share of the rest, or their giant. */
static void share_out(struct work *work)
{
    for (size_t i = 0; i < work->input->n_shards; i++) {
        work->posts[i].fair = work->posts[i].span =
            work->ordinary * work->posts[i].weight;
        work->posts[i].floor = work->input->floor;
    }
    for (size_t i = 0; i < work->input->n_slots; i++) {
        struct post *post = &work->posts[shard_of(&work->input->slots[i])];
        if (work->giants[i] && post->weight > 0) {
            post->fair = fmax(post->fair, work->values[i]);
        }
    }
}

static double upper_of(const struct post *post, double part)
{
    return post->fair + fmax(part * post->span, post->floor);
}

static double lower_of(const struct post *post, double part)
{
    return post->fair - fmax(part * post->span, post->floor);
}

static bool is_above(const struct post *post, double part)
{
    return post->value > upper_of(post, part) + TINY * post->span;
}

static bool is_below(const struct post *post, double part)
{
    return post->value < lower_of(post, part) - TINY * post->span;
}

/* A giant has moved from FROM, which may have another one. */
static void move_giant(struct work *work, size_t slot, struct post *to)
{
    struct post *from = &work->posts[work->input->slots[slot].shard];

    from->fair = from->span;
    for (size_t i = from->begin; i < from->begin + from->n; i++) {
        if (work->giants[work->order[i]]) {
            from->fair = fmax(from->fair, work->values[work->order[i]]);
        }
    }
    to->fair = fmax(to->fair, work->values[slot]);
}

/* ---- The slots of each shard ---- */

static void find_least(struct work *work, struct post *post)
{
    post->least = INFINITY;
    for (size_t i = post->begin; i < post->begin + post->n; i++) {
        post->least = fmin(post->least, work->values[work->order[i]]);
    }
}

/* Sort the movable slots by shard. */
static void sort_by_shard(struct work *work)
{
    const struct plan_input *input = work->input;
    size_t at = 0;

    for (size_t i = 0; i < input->n_slots; i++) {
        work->posts[input->slots[i].shard].n += !work->fixed[i] && work->values[i] > 0;
    }
    for (size_t i = 0; i < input->n_shards; i++) {
        work->posts[i].begin = at;
        at += work->posts[i].n;
        work->posts[i].n = 0;
    }
    for (size_t i = 0; i < input->n_slots; i++) {
        struct post *post = &work->posts[input->slots[i].shard];
        if (!work->fixed[i] && work->values[i] > 0) {
            work->place[i] = post->begin + post->n++;
            work->order[work->place[i]] = i;
        }
    }
    for (size_t i = 0; i < input->n_shards; i++) {
        find_least(work, &work->posts[i]);
    }
}

static void note_fills(const struct work *work, struct plan_fill *fills)
{
    for (size_t i = 0; i < work->input->n_shards; i++) {
        fills[i].value = work->posts[i].value;
        fills[i].bytes = work->posts[i].bytes;
        fills[i].fill = fill_of(work, &work->posts[i]);
    }
}

/* ---- One move ---- */

static bool is_full(const struct work *work)
{
    const size_t max = work->input->moves_max;

    return max != 0 && work->plan->n_moves >= max;
}

/* SLOT does not move again: take it off the list of its shard. */
static void fix(struct work *work, size_t slot)
{
    struct post *post = &work->posts[work->input->slots[slot].shard];

    work->fixed[slot] = true;
    if (work->values[slot] > 0) {
        size_t last = work->order[post->begin + --post->n];
        work->order[work->place[slot]] = last;
        work->place[last] = work->place[slot];
        find_least(work, post);
    }
}

static void move(struct work *work, size_t slot, size_t taker)
{
    const struct plan_slot *moved = &work->input->slots[slot];
    struct post *from = &work->posts[moved->shard];
    struct post *to = &work->posts[taker];
    struct plan *plan = work->plan;

    fix(work, slot);
    from->value -= work->values[slot];
    from->bytes -= moved->bytes;
    to->value += work->values[slot];
    to->bytes += moved->bytes;
    if (work->giants[slot]) {
        move_giant(work, slot, to);
    }
    plan->bytes_moved += (double)moved->bytes;
    plan->moves[plan->n_moves++] = (struct plan_move){.slot = slot,
                                                      .giver = moved->shard,
                                                      .taker = taker,
                                                      .value = work->values[slot],
                                                      .imbalance = imbalance(work)};
}

/* The shard that is the least full with SLOT, of those that have room. */
static size_t find_taker(const struct work *work, size_t slot)
{
    const struct plan_slot *moved = &work->input->slots[slot];
    size_t best = PLAN_NOWHERE;
    double best_fill = INFINITY;

    for (size_t i = 0; i < work->input->n_shards; i++) {
        const struct post *post = &work->posts[i];
        if (i == moved->shard || post->weight <= 0 || !has_room(work, i, moved->bytes)) {
            continue;
        }
        const double fill = (post->value + work->values[slot]) / post->weight;
        if (fill < best_fill) {
            best = i;
            best_fill = fill;
        }
    }
    return best;
}

/* ---- Shards that are drained ---- */

struct item {
    double key;
    unsigned number;
    size_t slot;
};

static int larger_first(const void *a_, const void *b_)
{
    const struct item *a = a_;
    const struct item *b = b_;

    if (a->key != b->key) {
        return a->key > b->key ? -1 : 1;
    }
    return (a->number > b->number) - (a->number < b->number);
}

/* List the slots that must leave, the largest first, because small ones are easier to
 * place at the end. Ordered by bytes if there are capacities. Returns how many, with NULL
 * *ITEMS when out of memory. */
static size_t list_drained(const struct work *work, struct item **items)
{
    const struct plan_input *input = work->input;
    bool is_tight = false;
    size_t n = 0;

    *items = calloc(input->n_slots + 1, sizeof **items);
    for (size_t i = 0; i < input->n_shards; i++) {
        is_tight = is_tight || input->shards[i].capacity_bytes != 0;
    }
    for (size_t i = 0; *items != NULL && i < input->n_slots; i++) {
        const struct plan_slot *slot = &input->slots[i];
        if (!work->fixed[i] && work->posts[slot->shard].weight <= 0) {
            (*items)[n++] =
                (struct item){.key = is_tight ? (double)slot->bytes : work->values[i],
                              .number = slot->number,
                              .slot = i};
        }
    }
    if (n > 0) {
        qsort(*items, n, sizeof **items, larger_first);
    }
    return n;
}

/* False: out of memory. */
static bool drain(struct work *work)
{
    struct item *items;
    const size_t n = list_drained(work, &items);

    for (size_t i = 0; i < n && !is_full(work); i++) {
        const size_t taker = find_taker(work, items[i].slot);
        if (taker != PLAN_NOWHERE) {
            move(work, items[i].slot, taker);
        }
    }
    free(items);
    return items != NULL;
}

/* ---- Shards above their capacity ---- */

/* Is A better than B for removing EXCESS bytes: the smallest that is enough, else the
 * largest? */
static bool relieves_better(const struct plan_slot *a, const struct plan_slot *b,
                            uint64_t excess)
{
    const bool enough = a->bytes >= excess;

    if (enough != (b->bytes >= excess)) {
        return enough;
    }
    if (a->bytes != b->bytes) {
        return (a->bytes < b->bytes) == enough;
    }
    return a->number < b->number;
}

static bool relieve_once(struct work *work, size_t shard, uint64_t excess)
{
    const struct plan_slot *slots = work->input->slots;
    size_t best = PLAN_NOWHERE;

    for (size_t i = 0; i < work->input->n_slots; i++) {
        if (!work->fixed[i] && slots[i].shard == shard && slots[i].bytes > 0 &&
            (best == PLAN_NOWHERE || relieves_better(&slots[i], &slots[best], excess)) &&
            find_taker(work, i) != PLAN_NOWHERE) {
            best = i;
        }
    }
    if (best != PLAN_NOWHERE) {
        move(work, best, find_taker(work, best));
    }
    return best != PLAN_NOWHERE;
}

static void relieve(struct work *work)
{
    bool going = true;

    for (size_t i = 0; i < work->input->n_shards; going = true, i++) {
        const uint64_t capacity = work->input->shards[i].capacity_bytes;
        while (going && capacity != 0 && work->posts[i].weight > 0 &&
               work->posts[i].bytes > capacity && !is_full(work)) {
            going = relieve_once(work, i, work->posts[i].bytes - capacity);
        }
    }
}

/* ---- From full to empty ---- */

/* A pair of shards, and what a move between them is for. */
struct pair {
    const struct post *from;
    const struct post *to;
    size_t taker;
    double gap;        /* how much should move */
    double gain_least; /* how much of its size a larger slot must gain */
};

/* The gain of moving X: what exceeds the gap must move back. 0: no improvement. A gap is
 * at most what makes both equal, so that moving less than twice as much lowers the
 * spread. */
static double gain(const struct pair *pair, double x, double mean)
{
    const struct post *from = pair->from;
    const struct post *to = pair->to;
    const double distance = from->value / from->weight - to->value / to->weight;
    const double won = x <= pair->gap ? x : 2 * pair->gap - x;
    const bool is_lower = x / to->weight < distance;

    return is_lower && won > TINY * mean && won >= pair->gain_least * x ? won : 0;
}

/* The slot with the most gain per byte; PLAN_NOWHERE: none has any. */
static size_t best_slot(const struct work *work, const struct pair *pair)
{
    const struct plan_slot *slots = work->input->slots;
    const struct post *from = pair->from;
    size_t best = PLAN_NOWHERE;
    double best_score = 0;
    double best_gain = 0;

    if (from->n == 0 || gain(pair, from->least, work->mean) <= 0) {
        return PLAN_NOWHERE;
    }
    for (size_t i = from->begin; i < from->begin + from->n; i++) {
        const size_t slot = work->order[i];
        const double won = gain(pair, work->values[slot], work->mean);
        const double score = won / ((double)slots[slot].bytes + work->cost_bytes);
        if (won <= 0 || won < from->floor || score < best_score ||
            !has_room(work, pair->taker, slots[slot].bytes)) {
            continue;
        }
        if (score > best_score || won > best_gain ||
            (won == best_gain && slots[slot].number < slots[best].number)) {
            best = slot;
            best_score = score;
            best_gain = won;
        }
    }
    return best;
}

static int by_fill(const void *a_, const void *b_)
{
    const struct rank *a = a_;
    const struct rank *b = b_;

    if (a->fill != b->fill) {
        return a->fill < b->fill ? -1 : 1;
    }
    return (a->shard > b->shard) - (a->shard < b->shard);
}

/* The shards that take part, the emptiest first; how many. */
static size_t rank_shards(const struct work *work)
{
    size_t n = 0;

    for (size_t i = 0; i < work->input->n_shards; i++) {
        if (work->posts[i].weight > 0) {
            work->ranks[n++] = (struct rank){fill_of(work, &work->posts[i]), i};
        }
    }
    qsort(work->ranks, n, sizeof *work->ranks, by_fill);
    return n;
}

/* The pair for a move. CHEAP: the gap is what one has too much and the other too little;
 * else what makes them equal. */
static struct pair pair_of(const struct work *work, size_t giver, size_t taker,
                           bool cheap)
{
    const struct post *from = &work->posts[giver];
    const struct post *to = &work->posts[taker];
    const double distance = from->value / from->weight - to->value / to->weight;
    const double even = distance / (1 / from->weight + 1 / to->weight);

    return (struct pair){
        .from = from,
        .to = to,
        .taker = taker,
        .gap = cheap ? fmin(from->value - from->fair, to->fair - to->value) : even,
        .gain_least = cheap ? GAIN_CHEAP : GAIN_LEAST};
}

/* The slot to move between the fullest and the emptiest shards that have such a slot, at
 * least one of them not within the goal. PLAN_NOWHERE: there is none. */
static size_t find_move(const struct work *work, size_t n, bool cheap, size_t *taker)
{
    const struct rank *ranks = work->ranks;

    for (size_t full = n; full-- > 1;) {
        for (size_t empty = 0; empty < full; empty++) {
            if (!is_above(&work->posts[ranks[full].shard], work->goal) &&
                !is_below(&work->posts[ranks[empty].shard], work->goal)) {
                break;
            }
            const struct pair pair =
                pair_of(work, ranks[full].shard, ranks[empty].shard, cheap);
            const size_t slot = best_slot(work, &pair);
            if (slot != PLAN_NOWHERE) {
                *taker = pair.taker;
                return slot;
            }
        }
    }
    return PLAN_NOWHERE;
}

/* Cheap moves first. */
static size_t next_move(struct work *work, size_t *taker)
{
    const size_t n = rank_shards(work);
    const size_t slot = find_move(work, n, true, taker);

    return slot != PLAN_NOWHERE ? slot : find_move(work, n, false, taker);
}

/* Is every shard's value within PART of what it should be? */
static bool is_within(const struct work *work, double part)
{
    for (size_t i = 0; i < work->input->n_shards; i++) {
        const struct post *post = &work->posts[i];
        if (post->weight > 0 && (is_above(post, part) || is_below(post, part))) {
            return false;
        }
    }
    return true;
}

static void even_out(struct work *work)
{
    bool going = true;

    while (going && !is_full(work) && !is_within(work, work->goal)) {
        size_t taker = PLAN_NOWHERE;
        const size_t slot = next_move(work, &taker);
        going = slot != PLAN_NOWHERE;
        if (going) {
            move(work, slot, taker);
        }
    }
}

/* Would there be more moves, for shards not within PART, without the floor? Removes the
 * floor. */
static bool lift_floor(struct work *work, double part)
{
    size_t taker;

    if (work->input->floor <= 0) {
        return false;
    }
    for (size_t i = 0; i < work->input->n_shards; i++) {
        work->posts[i].floor = 0;
    }
    return !is_within(work, part) && next_move(work, &taker) != PLAN_NOWHERE;
}

/* ---- The fewest bytes ---- */

/* The fewest bytes that slots with a total of VALUE can have, of the N in ITEMS,
 * fractions of slots allowed; reorders ITEMS. */
static double least_bytes(const struct work *work, struct item *items, size_t n,
                          double value)
{
    double bytes = 0;

    if (n > 0) {
        qsort(items, n, sizeof *items, larger_first);
    }
    for (size_t i = 0; i < n && value > 0; i++) {
        const double has = work->values[items[i].slot];
        const double part = fmin(1, value / has);
        bytes += part * (double)work->input->slots[items[i].slot].bytes;
        value -= has;
    }
    return bytes;
}

/* The slots that may leave shard ONLY, or (PLAN_NOWHERE) one that is not too empty. */
static size_t list_givers(const struct work *work, size_t only, struct item *items)
{
    size_t n = 0;

    for (size_t i = 0; i < work->input->n_slots; i++) {
        const struct plan_slot *slot = &work->input->slots[i];
        const struct post *post = &work->posts[slot->shard];
        const bool gives =
            only == PLAN_NOWHERE ? !is_below(post, work->goal) : slot->shard == only;
        if (gives && !work->fixed[i] && work->values[i] > 0) {
            items[n++] = (struct item){.key = work->values[i] / ((double)slot->bytes + 1),
                                       .number = slot->number,
                                       .slot = i};
        }
    }
    return n;
}

/* Before the first move: the least that shards must give up, or that others must get,
 * whichever is more. False: out of memory. */
static bool find_bytes_min(const struct work *work, double *bytes_min)
{
    struct item *items = calloc(work->input->n_slots + 1, sizeof *items);
    double given = 0;
    double wanted = 0;

    for (size_t i = 0; items != NULL && i < work->input->n_shards; i++) {
        const struct post *post = &work->posts[i];
        if (post->weight <= 0) {
            for (size_t slot = 0; slot < work->input->n_slots; slot++) {
                given += work->input->slots[slot].shard == i && !work->fixed[slot]
                             ? (double)work->input->slots[slot].bytes
                             : 0;
            }
        } else if (is_above(post, work->goal)) {
            given += least_bytes(work, items, list_givers(work, i, items),
                                 post->value - upper_of(post, work->goal));
        }
        wanted += fmax(0, lower_of(post, work->goal) - post->value);
    }
    if (items != NULL) {
        *bytes_min =
            fmax(given, least_bytes(work, items, list_givers(work, PLAN_NOWHERE, items),
                                    wanted));
    }
    free(items);
    return items != NULL;
}

/* ---- All together ---- */

static size_t count_undrained(const struct work *work)
{
    const struct plan_slot *slots = work->input->slots;
    size_t n = 0;

    for (size_t i = 0; i < work->input->n_slots; i++) {
        n += work->posts[shard_of(&slots[i])].weight <= 0;
    }
    for (size_t i = 0; i < work->plan->n_moves; i++) {
        n -= work->posts[work->plan->moves[i].giver].weight <= 0;
    }
    return n;
}

/* Is a shard above its capacity? */
static bool is_over(const struct work *work)
{
    for (size_t i = 0; i < work->input->n_shards; i++) {
        if (work->posts[i].weight > 0 && !work->input->shards[i].is_closed &&
            !has_room(work, i, 0)) {
            return true;
        }
    }
    return false;
}

static enum plan_verdict make_moves(struct work *work)
{
    struct plan *plan = work->plan;

    if (plan->n_moves == 0 && count_undrained(work) == 0 && !is_over(work) &&
        is_within(work, work->input->threshold)) {
        plan->is_floored = lift_floor(work, work->input->threshold);
        return PLAN_EVEN;
    }
    relieve(work);
    even_out(work);
    if (is_full(work)) {
        return count_undrained(work) == 0 && !is_over(work) && is_within(work, work->goal)
                   ? PLAN_MOVES
                   : PLAN_CUT_SHORT;
    }
    const bool is_good = is_within(work, work->goal);
    plan->is_floored = lift_floor(work, work->goal);
    if (count_undrained(work) > 0 || is_over(work) || !(is_good || plan->is_floored)) {
        return PLAN_STUCK;
    }
    return plan->n_moves > 0 ? PLAN_MOVES : PLAN_EVEN;
}

/* How many slots every shard has before and after. */
static void count_slots(const struct work *work)
{
    struct plan *plan = work->plan;

    for (size_t i = 0; i < work->input->n_slots; i++) {
        plan->before[shard_of(&work->input->slots[i])].n_slots++;
    }
    for (size_t i = 0; i < work->input->n_shards; i++) {
        plan->after[i].n_slots = plan->before[i].n_slots;
    }
    for (size_t i = 0; i < plan->n_moves; i++) {
        plan->after[plan->moves[i].giver].n_slots--;
        plan->after[plan->moves[i].taker].n_slots++;
    }
}

static const char *make(struct work *work)
{
    struct plan *plan = work->plan;
    if (!alloc_all(work, plan)) {
        return "memory is short";
    }
    count_all(work);
    sort_by_shard(work);
    find_giants(work);
    share_out(work);
    note_fills(work, plan->before);
    plan->imbalance_before = imbalance(work);
    if (!find_bytes_min(work, &plan->bytes_min) || !drain(work)) {
        return "memory is short";
    }
    plan->verdict = make_moves(work);
    plan->bytes_min = plan->verdict == PLAN_EVEN ? 0 : plan->bytes_min;
    plan->n_undrained = count_undrained(work);
    plan->imbalance_after = imbalance(work);
    note_fills(work, plan->after);
    count_slots(work);
    return NULL;
}

const char *plan_make(struct plan *plan, const struct plan_input *input)
{
    const double goal = input->goal > 0 ? input->goal : input->threshold / 2;
    struct work work = {.input = input, .plan = plan, .goal = goal};
    const char *problem = check_input(input);

    *plan = (struct plan){.verdict = PLAN_EVEN};
    if (problem == NULL) {
        problem = make(&work);
    }
    free_work(&work);
    return problem;
}

void plan_release(struct plan *plan)
{
    free(plan->moves);
    free(plan->before);
    free(plan->after);
    *plan = (struct plan){.verdict = PLAN_EVEN};
}
