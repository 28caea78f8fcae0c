/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Counts of wrong passwords: a set-associative table under one lock. */
#include "server/auth/throttle.h"

#include <pthread.h>
#include <stdlib.h>

#include "server/auth/tag.h"

#define WAYS 8
#define SETS 32768 /* 262144 cells, 8 MiB when all are used */

#define HOUR_MS INT64_C(3600000)

/* The first wait. */
#define WAIT_MS 1000

/* The failures of an address at an account are forgotten this long after their wait. */
#define FORGET_MS HOUR_MS

/* That an address knew the password is forgotten this long after its last try. */
#define KNOWN_MS (720 * HOUR_MS)

/* What is counted; index of throttle_pass.tags. */
enum count { COUNT_PAIR, COUNT_ACCOUNT, COUNT_ADDRESS, COUNT__N };

struct cell {
    uint64_t tag;    /* 0: free */
    int64_t used_ms; /* when it changed last */
    /* COUNT_PAIR: no try before this time. Others: the count per hour is full again at
     * this time, if nothing more is taken from it. */
    int64_t until_ms;
    uint32_t failures; /* COUNT_PAIR: in a row, including tries under way */
    bool is_known;     /* COUNT_PAIR: the password was right once */
};

struct throttle {
    struct tagger tagger;
    struct {
        pthread_mutex_t mutex;
        struct cell *cells; /* owned; SETS * WAYS */
    } shared;
};

struct throttle *throttle_new(void)
{
    struct throttle *throttle = calloc(1, sizeof *throttle);

    if (throttle == NULL) {
        return NULL;
    }
    throttle->shared.cells = calloc((size_t)SETS * WAYS, sizeof(struct cell));
    CHECK(pthread_mutex_init(&throttle->shared.mutex, NULL) == 0);
    if (!tagger_init(&throttle->tagger) || throttle->shared.cells == NULL) {
        throttle_free(&throttle);
    }
    return throttle;
}

void throttle_free(struct throttle **throttle)
{
    if (*throttle != NULL) {
        tagger_release(&(*throttle)->tagger);
        pthread_mutex_destroy(&(*throttle)->shared.mutex);
        free((*throttle)->shared.cells);
        free(*throttle);
        *throttle = NULL;
    }
}

/* ---- Tags ---- */

/* The tag of what is counted; 0: out of memory. */
static uint64_t make_tag(const struct throttle *throttle, enum count count,
                         const struct throttle_try *attempt)
{
    struct address network = address_network(attempt->address);
    bool has_account = count != COUNT_ADDRESS;
    unsigned char head[2] = {(unsigned char)count,
                             has_account ? (unsigned char)attempt->kind : 0};
    const struct tag_part parts[] = {
        {head, sizeof head},
        {network.bytes, count != COUNT_ACCOUNT ? sizeof network.bytes : 0},
        {attempt->account, has_account ? attempt->account_len : 0},
    };

    return tag_make(&throttle->tagger, parts, ARRAY_LEN(parts));
}

/* ---- The table ---- */

static int64_t later(int64_t a_ms, int64_t b_ms)
{
    return a_ms > b_ms ? a_ms : b_ms;
}

/* When the failures of a cell are forgotten. */
static int64_t forget_ms(const struct cell *cell)
{
    return cell->failures > 0 ? later(cell->used_ms, cell->until_ms) + FORGET_MS
                              : cell->until_ms;
}

/* Does the cell hold nothing that still matters? */
static bool is_idle(const struct cell *cell, int64_t now_ms)
{
    return now_ms >= forget_ms(cell) &&
           !(cell->is_known && now_ms < cell->used_ms + KNOWN_MS);
}

/* The cell of TAG, or NULL. */
static struct cell *find_locked(struct throttle *throttle, uint64_t tag)
{
    struct cell *set = &throttle->shared.cells[tag % SETS * WAYS];

    for (size_t i = 0; i < WAYS; i++) {
        if (set[i].tag == tag) {
            return &set[i];
        }
    }
    return NULL;
}

/* The cell of TAG, made if there is none: in place of an idle one, else of the one that
 * changed longest ago. */
static struct cell *claim_locked(struct throttle *throttle, uint64_t tag, int64_t now_ms)
{
    struct cell *set = &throttle->shared.cells[tag % SETS * WAYS];
    struct cell *found = find_locked(throttle, tag);
    struct cell *oldest = set;

    for (size_t i = 0; i < WAYS && found == NULL; i++) {
        if (set[i].tag == 0 || is_idle(&set[i], now_ms)) {
            found = &set[i];
            found->tag = 0;
        } else if (set[i].used_ms < oldest->used_ms) {
            oldest = &set[i];
        }
    }
    found = found != NULL ? found : oldest;
    if (found->tag != tag) {
        *found = (struct cell){.tag = tag};
    }
    found->used_ms = now_ms;
    return found;
}

/* ---- The two kinds of limit ---- */

/* What one try takes from a count of MAX per hour: half of them may be used at once, the
 * other half comes back in the course of an hour, so that no hour has more than MAX. */
static int64_t step_ms(unsigned max)
{
    return max > 0 ? 2 * HOUR_MS / max : 0;
}

/* How long until one more fits into a count per hour. */
static int64_t hourly_wait_locked(struct throttle *throttle, uint64_t tag, unsigned max,
                                  int64_t now_ms)
{
    const struct cell *cell = max > 0 ? find_locked(throttle, tag) : NULL;
    int64_t ahead_ms = (int64_t)((max - 1) / 2) * step_ms(max);

    if (cell == NULL || cell->until_ms <= now_ms + ahead_ms) {
        return 0;
    }
    return cell->until_ms - now_ms - ahead_ms;
}

static void hourly_take_locked(struct throttle *throttle, uint64_t tag, int64_t step,
                               int64_t now_ms)
{
    struct cell *cell = claim_locked(throttle, tag, now_ms);

    cell->until_ms = later(cell->until_ms, now_ms) + step;
}

/* The wait after FAILURES in a row. */
static int64_t pair_wait_ms(const struct throttle_limits *limits, uint32_t failures)
{
    int64_t wait_ms = WAIT_MS;

    if (limits->tries == 0 || failures < limits->tries) {
        return 0;
    }
    for (uint32_t n = failures - limits->tries; n > 0 && wait_ms < limits->wait_max_ms;
         n--) {
        wait_ms *= 2;
    }
    return wait_ms < limits->wait_max_ms ? wait_ms : limits->wait_max_ms;
}

static void pair_take_locked(struct throttle *throttle,
                             const struct throttle_limits *limits,
                             struct throttle_pass *pass, int64_t now_ms)
{
    struct cell *cell = claim_locked(throttle, pass->tags[COUNT_PAIR], now_ms);

    cell->failures += cell->failures < UINT32_MAX;
    pass->old_until_ms = cell->until_ms;
    cell->until_ms = now_ms + pair_wait_ms(limits, cell->failures);
    pass->new_until_ms = cell->until_ms;
}

/* The cell of the address at the account, without what must be forgotten; NULL: there is
 * none. */
static struct cell *find_pair_locked(struct throttle *throttle, uint64_t tag,
                                     int64_t now_ms)
{
    struct cell *cell = find_locked(throttle, tag);

    if (cell != NULL && is_idle(cell, now_ms)) {
        cell->tag = 0;
        return NULL;
    }
    if (cell != NULL && now_ms >= forget_ms(cell)) {
        cell->failures = 0;
    }
    return cell;
}

/* ---- Enter, leave ---- */

/* How long until the hourly counts let a stranger try. */
static int64_t stranger_wait_locked(struct throttle *throttle,
                                    const struct throttle_limits *limits,
                                    const struct throttle_pass *pass, int64_t now_ms)
{
    return later(hourly_wait_locked(throttle, pass->tags[COUNT_ACCOUNT],
                                    limits->account_max, now_ms),
                 hourly_wait_locked(throttle, pass->tags[COUNT_ADDRESS],
                                    limits->address_max, now_ms));
}

static int64_t enter_locked(struct throttle *throttle,
                            const struct throttle_limits *limits, int64_t now_ms,
                            struct throttle_pass *pass)
{
    const struct cell *pair = find_pair_locked(throttle, pass->tags[COUNT_PAIR], now_ms);

    if (pair != NULL && limits->tries > 0 && pair->failures >= limits->tries &&
        pair->until_ms > now_ms) {
        return pair->until_ms - now_ms;
    }
    if (pair == NULL || !pair->is_known) {
        int64_t wait_ms = stranger_wait_locked(throttle, limits, pass, now_ms);
        if (wait_ms > 0) {
            return wait_ms;
        }
        pass->charged[COUNT_ACCOUNT] = limits->account_max > 0;
        pass->charged[COUNT_ADDRESS] = limits->address_max > 0;
    }
    pair_take_locked(throttle, limits, pass, now_ms);
    if (pass->charged[COUNT_ACCOUNT]) {
        hourly_take_locked(throttle, pass->tags[COUNT_ACCOUNT], pass->account_step_ms,
                           now_ms);
    }
    if (pass->charged[COUNT_ADDRESS]) {
        hourly_take_locked(throttle, pass->tags[COUNT_ADDRESS], pass->address_step_ms,
                           now_ms);
    }
    return 0;
}

int64_t throttle_enter(struct throttle *throttle, const struct throttle_limits *limits,
                       const struct throttle_try *attempt, int64_t now_ms,
                       struct throttle_pass *pass)
{
    *pass = (struct throttle_pass){.account_step_ms = step_ms(limits->account_max),
                                   .address_step_ms = step_ms(limits->address_max)};
    for (enum count count = 0; count < COUNT__N; count++) {
        pass->tags[count] = make_tag(throttle, count, attempt);
        if (pass->tags[count] == 0) {
            return WAIT_MS; /* out of memory: nobody is let in uncounted */
        }
    }
    pthread_mutex_lock(&throttle->shared.mutex);
    int64_t wait_ms = enter_locked(throttle, limits, now_ms, pass);
    pthread_mutex_unlock(&throttle->shared.mutex);
    return wait_ms;
}

bool throttle_is_stranger(const struct throttle_pass *pass)
{
    return pass->charged[COUNT_ACCOUNT] || pass->charged[COUNT_ADDRESS];
}

bool throttle_knows(struct throttle *throttle, const struct throttle_try *attempt,
                    int64_t now_ms)
{
    uint64_t tag = make_tag(throttle, COUNT_PAIR, attempt);

    if (tag == 0) {
        return false;
    }
    pthread_mutex_lock(&throttle->shared.mutex);
    const struct cell *pair = find_pair_locked(throttle, tag, now_ms);
    bool is_known = pair != NULL && pair->is_known;
    pthread_mutex_unlock(&throttle->shared.mutex);
    return is_known;
}

/* Give back what was taken from a count per hour. */
static void hourly_return_locked(struct throttle *throttle, uint64_t tag, int64_t step)
{
    struct cell *cell = find_locked(throttle, tag);

    if (cell != NULL) {
        cell->until_ms -= step;
    }
}

static void pair_return_locked(struct throttle *throttle,
                               const struct throttle_pass *pass)
{
    struct cell *cell = find_locked(throttle, pass->tags[COUNT_PAIR]);

    if (cell == NULL || cell->failures == 0) {
        return;
    }
    cell->failures--;
    if (cell->until_ms == pass->new_until_ms) { /* nobody has tried since */
        cell->until_ms = pass->old_until_ms;
    }
}

static void know_locked(struct throttle *throttle, uint64_t tag, int64_t now_ms)
{
    struct cell *pair = claim_locked(throttle, tag, now_ms);

    pair->failures = 0;
    pair->until_ms = 0;
    pair->is_known = true;
}

void throttle_know(struct throttle *throttle, const struct throttle_try *attempt,
                   int64_t now_ms)
{
    uint64_t tag = make_tag(throttle, COUNT_PAIR, attempt);

    if (tag != 0) {
        pthread_mutex_lock(&throttle->shared.mutex);
        know_locked(throttle, tag, now_ms);
        pthread_mutex_unlock(&throttle->shared.mutex);
    }
}

void throttle_leave(struct throttle *throttle, const struct throttle_pass *pass,
                    enum throttle_end end, int64_t now_ms)
{
    if (end == THROTTLE_WRONG) {
        return;
    }
    pthread_mutex_lock(&throttle->shared.mutex);
    if (end == THROTTLE_RIGHT) {
        know_locked(throttle, pass->tags[COUNT_PAIR], now_ms);
    } else {
        pair_return_locked(throttle, pass);
    }
    if (pass->charged[COUNT_ACCOUNT]) {
        hourly_return_locked(throttle, pass->tags[COUNT_ACCOUNT], pass->account_step_ms);
    }
    if (pass->charged[COUNT_ADDRESS]) {
        hourly_return_locked(throttle, pass->tags[COUNT_ADDRESS], pass->address_step_ms);
    }
    pthread_mutex_unlock(&throttle->shared.mutex);
}
