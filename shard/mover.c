/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
#include "shard/mover.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shard/base/clock.h"
#include "shard/base/hex.h"
#include "shard/base/log.h"
#include "shard/base/rnd.h"

#include "shard/move_impl.h"

/* Moves that are kept for a rollback by this process. */
#define KEPT_MAX 4096

/* A kept move is looked at so often: what was written goes back. */
#define KEEP_EVERY_MS 1000

/* Whether somebody is to be promoted is asked so often. */
#define POLICY_EVERY_MS 15000

/* After an attempt that failed. */
#define RETRY_MS 500

#define THREADS_MAX 64

/* Of a claim: hex digits. */
#define TOKEN_SIZE 33

/* A claim of this process. */
struct task {
    struct move move;
    bool is_running;
    int64_t due_ms; /* monotonic; not before */
    struct task *next;
};

struct mover {
    const struct mover_options *options;
    const atomic_bool *stop;
    atomic_bool is_failed; /* no memory or threads: it ends as if told to */
    struct {
        pthread_mutex_t mutex;
        struct task *tasks; /* owned; those to be gone on with */
        unsigned n_active;  /* that are not just kept */
        unsigned n_tasks;
    } shared;
};

struct mover_options mover_defaults(void)
{
    return (struct mover_options){
        .threads = 2,
        .moves_max = 1,
        .poll_ms = 500,
        .limits = {.lease_ms = 10000, .imports_max = 1, .lock_ms = 50},
        .policy = {.per_hour = 2, .slots_max = 16}};
}

static bool is_ending(const struct mover *mover)
{
    return *mover->stop || mover->is_failed;
}

/* ---- Tasks ---- */

static bool is_kept(const struct task *task)
{
    return task->move.phase == PHASE_KEEPING;
}

/* The task that is due, marked as running; NULL: none. */
static struct task *take_task(struct mover *mover)
{
    struct task *found = NULL;
    int64_t now_ms = clock_mono_ms();

    pthread_mutex_lock(&mover->shared.mutex);
    for (struct task *t = mover->shared.tasks; t != NULL; t = t->next) {
        if (!t->is_running && t->due_ms <= now_ms &&
            (found == NULL || t->due_ms < found->due_ms)) {
            found = t;
        }
    }
    if (found != NULL) {
        found->is_running = true;
    }
    pthread_mutex_unlock(&mover->shared.mutex);
    return found;
}

static void drop_task(struct mover *mover, struct task *task)
{
    pthread_mutex_lock(&mover->shared.mutex);
    for (struct task **t = &mover->shared.tasks; *t != NULL; t = &(*t)->next) {
        if (*t == task) {
            *t = task->next;
            break;
        }
    }
    mover->shared.n_tasks--;
    pthread_mutex_unlock(&mover->shared.mutex);
    free(task);
}

static void keep_task(struct mover *mover, struct task *task)
{
    pthread_mutex_lock(&mover->shared.mutex);
    task->is_running = false;
    task->due_ms = clock_mono_ms() + KEEP_EVERY_MS;
    pthread_mutex_unlock(&mover->shared.mutex);
}

/* How many tasks need a thread of their own. */
static unsigned count_active(struct mover *mover)
{
    unsigned n = 0;

    pthread_mutex_lock(&mover->shared.mutex);
    for (const struct task *t = mover->shared.tasks; t != NULL; t = t->next) {
        n += t->is_running || !is_kept(t);
    }
    if (mover->shared.n_tasks >= KEPT_MAX) {
        n = UINT32_MAX;
    }
    pthread_mutex_unlock(&mover->shared.mutex);
    return n;
}

/* Connections of one thread, one per shard. NULL: no memory. */
static struct move_link *links_new(const struct mover_options *options)
{
    struct move_link *links = calloc(options->n_shards, sizeof *links);

    for (size_t i = 0; links != NULL && i < options->n_shards; i++) {
        const struct mover_shard *shard = &options->shards[i];
        link_init(&links[i], shard->name, &shard->target, shard->durability_exempt);
    }
    return links;
}

static void links_free(const struct mover_options *options, struct move_link *links)
{
    for (size_t i = 0; links != NULL && i < options->n_shards; i++) {
        link_close(&links[i]);
    }
    free(links);
}

static void *work(void *argument)
{
    struct mover *mover = argument;
    const struct mover_options *options = mover->options;
    struct move_link *links = links_new(options);

    if (links == NULL) {
        mover->is_failed = true;
    }
    while (!is_ending(mover)) {
        struct task *task = take_task(mover);
        if (task == NULL) {
            run_sleep_ms(20);
            continue;
        }
        enum move_end end = move_attempt(&task->move, links, options->n_shards,
                                         &options->limits, mover->stop);
        if (end == MOVE_KEEPS) {
            keep_task(mover, task);
        } else {
            if (end == MOVE_RETRY && !*mover->stop) {
                run_sleep_ms(RETRY_MS);
            }
            drop_task(mover, task);
        }
    }
    links_free(options, links);
    return NULL;
}

/* ---- Claiming ---- */

/* A move cannot be claimed: end the flips of movers that sleep. */
static void end_stuck(struct move_link *link)
{
    struct arena arena;
    struct dbresult *results;

    arena_init(&arena, (size_t)1 << 20);
    if (link_call(link, PROC_MOVE_STUCK, NULL, &arena, &results) == MOVE_OK) {
        for (size_t i = 0; i < results->n_rows; i++) {
            const struct dbvalue *token = dbresult_value(results, i, "token");
            bool is_gone =
                token != NULL && token->text != NULL && link_kill(link, token->text);
            log_write(LOG_WARN, "move_flip_ended", "shard=%s ended=%d", link->name,
                      (int)is_gone);
        }
    }
    arena_release(&arena);
}

static void draw_token(char token[TOKEN_SIZE])
{
    unsigned char bytes[(TOKEN_SIZE - 1) / 2];

    rnd_bytes(bytes, sizeof bytes);
    hex_encode(bytes, sizeof bytes, token);
}

/* The task that RESULTS of a claim with TOKEN on the shard of LINK are; NULL: none. */
static struct task *read_task(const struct move_link *link,
                              const struct dbresult *results, const char *token)
{
    struct task *task = NULL;

    if (results != NULL && results->n_rows > 0) {
        task = calloc(1, sizeof *task);
    }
    if (task != NULL && !move_read_claim(results, token, &task->move)) {
        log_write(LOG_ERROR, "move_claim_unreadable", "shard=%s", link->name);
        free(task);
        task = NULL;
    }
    return task;
}

static void add_task(struct mover *mover, struct task *task)
{
    log_write(LOG_INFO, "move_claimed", "slot=%u from=%s to=%s phase=%s", task->move.slot,
              task->move.giver, task->move.taker, move_phase_name(task->move.phase));
    pthread_mutex_lock(&mover->shared.mutex);
    task->next = mover->shared.tasks;
    mover->shared.tasks = task;
    mover->shared.n_tasks++;
    pthread_mutex_unlock(&mover->shared.mutex);
}

/* Claim a move on the shard of LINK, if there is one that nobody works on. TOKEN: "", or
 * that of a claim whose answer was lost, which is asked for again: nobody would work on
 * what that one took, until its lease is over. */
static bool claim(struct mover *mover, struct move_link *link, char token[TOKEN_SIZE])
{
    const struct mover_options *options = mover->options;
    struct task *task = NULL;
    struct arena arena;

    if (token[0] == '\0') {
        draw_token(token);
    }
    arena_init(&arena, (size_t)1 << 20);
    struct link_call call = {.link = link,
                             .proc = PROC_MOVE_CLAIM,
                             .args = {link_text(options->holder), link_text(token),
                                      dbarg_number((uint64_t)options->limits.lease_ms),
                                      dbarg_number(options->moves_max)},
                             .arena = &arena,
                             .limit_ms = options->limits.lock_ms * 4};
    enum move_status status = link_run(&call, 1);
    if (status == MOVE_OK) {
        task = read_task(link, call.results, token);
    }
    arena_release(&arena);
    if (status == MOVE_AGAIN) {
        end_stuck(link);
    }
    if (status != MOVE_AGAIN && status != MOVE_LOST) {
        token[0] = '\0';
    }
    if (task != NULL) {
        add_task(mover, task);
    }
    return task != NULL;
}

/* ---- Users who get a slot of their own by policy ---- */

/* What the policy found on one shard. */
struct hot_user {
    uint64_t id, move_id;
    uint32_t slot, share;
    const char *why;
};

static const struct dbfield hot_fields[] = {
    {.column = "user_id", .kind = DBFIELD_U64, .offset = offsetof(struct hot_user, id)},
    {.column = "move_id",
     .kind = DBFIELD_U64,
     .offset = offsetof(struct hot_user, move_id)},
    {.column = "slot", .kind = DBFIELD_U32, .offset = offsetof(struct hot_user, slot)},
    {.column = "share", .kind = DBFIELD_U32, .offset = offsetof(struct hot_user, share)},
    {.column = "why", .kind = DBFIELD_TEXT, .offset = offsetof(struct hot_user, why)},
};

/* Have the shard of LINK ask for a promotion if the policy says so. *HELD: the user of
 * whom the log says already that they have to wait. */
static void promote_hottest(const struct mover_options *options, struct move_link *link,
                            uint64_t *held)
{
    const struct mover_policy *policy = &options->policy;
    /* Writers of a slot wait while it is locked behind one of them. */
    struct link_call call = {.link = link,
                             .proc = PROC_PROMOTE_AUTO,
                             .args = {dbarg_number(policy->percent),
                                      dbarg_number(policy->per_hour),
                                      dbarg_number(policy->slots_max)},
                             .limit_ms = options->limits.lock_ms * 20};
    struct hot_user user;
    struct arena arena;

    arena_init(&arena, (size_t)1 << 20);
    call.arena = &arena;
    if (link_run(&call, 1) != MOVE_OK) {
        log_write(LOG_WARN, "promote_failed", "shard=%s error=\"%s\"", link->name,
                  link->why);
    } else if (dbresult_read(call.results, 0, hot_fields, ARRAY_LEN(hot_fields), &user) &&
               user.id != 0 && (user.move_id != 0 || user.id != *held)) {
        *held = user.id;
        log_write(LOG_INFO, user.move_id != 0 ? "promote_asked" : "promote_held",
                  "shard=%s user=%llu slot=%u share=%u%% above=%u%% move=%llu why=\"%s\"",
                  link->name, (unsigned long long)user.id, user.slot, user.share,
                  policy->percent, (unsigned long long)user.move_id, user.why);
    }
    arena_release(&arena);
}

struct hottest {
    int64_t due_ms; /* monotonic; not before */
    uint64_t *held; /* owned; one per shard */
};

/* The same on all shards, when it is time again. */
static void promote_all(const struct mover_options *options, struct move_link *links,
                        struct hottest *hottest)
{
    if (options->policy.percent == 0 || clock_mono_ms() < hottest->due_ms) {
        return;
    }
    for (size_t i = 0; i < options->n_shards; i++) {
        promote_hottest(options, &links[i], &hottest->held[i]);
    }
    hottest->due_ms = clock_mono_ms() + POLICY_EVERY_MS;
}

/* Look for requests on all shards until the mover ends. */
static void claim_all(struct mover *mover)
{
    const struct mover_options *options = mover->options;
    struct move_link *links = links_new(options);
    char(*tokens)[TOKEN_SIZE] = calloc(options->n_shards, sizeof *tokens);
    struct hottest hottest = {.held = calloc(options->n_shards, sizeof(uint64_t))};

    if (links == NULL || tokens == NULL || hottest.held == NULL) {
        mover->is_failed = true;
    }
    while (!is_ending(mover)) {
        bool found = false;
        promote_all(options, links, &hottest);
        for (size_t i = 0; i < options->n_shards && !is_ending(mover); i++) {
            if (count_active(mover) < options->threads) {
                found |= claim(mover, &links[i], tokens[i]);
            }
        }
        if (!found) {
            run_sleep_ms(options->poll_ms);
        }
    }
    free(hottest.held);
    free(tokens);
    links_free(options, links);
}

/* Give the claim of MOVE back: anybody may take it at once. A shard that does not answer
 * is asked once; its claims end by themselves. */
static void give_back(const struct move *move, struct move_link *links, size_t n)
{
    struct arena arena;
    struct dbresult *results;
    size_t i = 0;

    while (i < n && strcmp(links[i].name, move->giver) != 0) {
        i++;
    }
    arena_init(&arena, (size_t)1 << 20);
    const struct dbarg args[] = {dbarg_number(move->id), link_text(move->token),
                                 dbarg_number(0), link_text("{}")};
    bool is_asked = i < n && (links[i].conn != NULL || links[i].why[0] == '\0');
    if (!is_asked ||
        link_call(&links[i], PROC_MOVE_BEAT, args, &arena, &results) == MOVE_LOST) {
        log_write(LOG_WARN, "move_claim_kept", "slot=%u from=%s", move->slot,
                  move->giver);
    }
    arena_release(&arena);
}

/* Those that are kept, or that no thread has begun with. */
static void end_tasks(struct mover *mover)
{
    struct move_link *links = links_new(mover->options);

    while (mover->shared.tasks != NULL) {
        if (links != NULL) {
            give_back(&mover->shared.tasks->move, links, mover->options->n_shards);
        }
        drop_task(mover, mover->shared.tasks);
    }
    links_free(mover->options, links);
}

bool mover_run(const struct mover_options *options, const atomic_bool *stop)
{
    struct mover mover = {.options = options, .stop = stop};
    pthread_t threads[THREADS_MAX];
    unsigned n = 0;

    CHECK(options->threads > 0 && options->threads < THREADS_MAX);
    pthread_mutex_init(&mover.shared.mutex, NULL);
    /* One more than moves under way: kept ones must not wait for those. */
    while (n <= options->threads &&
           pthread_create(&threads[n], NULL, work, &mover) == 0) {
        n++;
    }
    if (n > options->threads) {
        claim_all(&mover);
    } else {
        mover.is_failed = true; /* those that there are end */
    }
    for (unsigned i = 0; i < n; i++) {
        pthread_join(threads[i], NULL);
    }
    end_tasks(&mover);
    pthread_mutex_destroy(&mover.shared.mutex);
    return !mover.is_failed;
}
