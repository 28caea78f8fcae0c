/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* A background thread that does the jobs stored on the shards, and between them purges
 * rows, step by step. It may die at any point and start again: a job stays until it is
 * reported done, and a shard remembers how far it is purged. */
#include "server/media/janitor.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "shard/base/arena.h"
#include "shard/base/clock.h"
#include "shard/base/log.h"

#include "shard/call.h"
#include "shard/erase.h"
#include "shard/purge.h"
#include "shard/repair.h"
#include "shard/router.h"

#include "server/config/config.h"
#include "server/media/storage.h"

/* How long others leave a claimed job alone. Jobs are claimed one by one, so that no
 * claim runs out while another job is done. */
#define JOB_LEASE_MS 60000

/* Time limit of one attempt at user_erase; well within the claim, and other jobs wait for
 * it.
 */
#define ERASE_MS 10000

/* The same for chat_repair. */
#define REPAIR_MS 10000

/* A job that failed is tried again after 1, 2, 4 .. seconds, at most an hour. */
#define JOB_RETRY_MS     1000
#define JOB_RETRY_MAX_MS 3600000

/* How many steps of purging a shard gets in its turn, which comes again after
 * job_poll_ms: some 4,000 rows per second. How long to wait before asking again when
 * nothing was due, and after a step that failed. */
#define PURGE_STEPS    8
#define PURGE_LOOK_MS  60000
#define PURGE_AGAIN_MS 10000

/* Time limit of one question to a shard. */
#define CALL_TIMEOUT_MS 3000
#define CALL_BYTES      ((size_t)256 << 10)

struct janitor {
    struct storage *storage; /* (ref) */
    struct janitor_shards shards;
    pthread_t thread;
    int64_t *purge_at_ms; /* the thread's own: per shard, monotonic; owned */
    struct {
        pthread_mutex_t mutex;
        pthread_cond_t changed; /* stop, poked or the options */
        struct janitor_options options;
        struct janitor_state counts;
        bool stop;
        bool poked;
    } shared;
};

struct janitor_options janitor_options(const struct config *config)
{
    return (struct janitor_options){.job_poll_ms = config->job_poll_ms};
}

struct janitor_shards janitor_shards(struct router *router, struct delivery *delivery)
{
    return (struct janitor_shards){
        .router = router,
        .delivery = delivery,
        .n_shards = router_n_shards,
        .has_shard = router_has_shard,
        .claim = job_claim,
        .finish = job_finish,
        .erase = erase_user,
        .purge = purge_step,
        .repair = repair_chat,
    };
}

/* One step of a job. */
static void step_begin(struct own_call *own)
{
    own_call_begin(own, CALL_BYTES, CALL_TIMEOUT_MS);
}

/* ---- Waiting and counting ---- */

static bool stopping(struct janitor *janitor)
{
    (void)pthread_mutex_lock(&janitor->shared.mutex);
    bool stop = janitor->shared.stop;
    (void)pthread_mutex_unlock(&janitor->shared.mutex);
    return stop;
}

static struct janitor_options options_now(struct janitor *janitor)
{
    (void)pthread_mutex_lock(&janitor->shared.mutex);
    struct janitor_options options = janitor->shared.options;
    (void)pthread_mutex_unlock(&janitor->shared.mutex);
    return options;
}

/* Wait PAUSE_MS, or less when the janitor stops or (FOR_POKE) is poked. True:
 * go on. */
static bool rest(struct janitor *janitor, int64_t pause_ms, bool for_poke)
{
    struct timespec until = clock_timespec(clock_mono_ms() + pause_ms);
    int rc = 0;
    (void)pthread_mutex_lock(&janitor->shared.mutex);
    while (rc == 0 && !janitor->shared.stop && !(for_poke && janitor->shared.poked)) {
        rc = pthread_cond_clockwait(&janitor->shared.changed, &janitor->shared.mutex,
                                    CLOCK_MONOTONIC, &until);
    }
    if (for_poke) {
        janitor->shared.poked = false;
    }
    bool go_on = !janitor->shared.stop;
    (void)pthread_mutex_unlock(&janitor->shared.mutex);
    return go_on;
}

static void count(struct janitor *janitor, uint64_t *counter, uint64_t n)
{
    (void)pthread_mutex_lock(&janitor->shared.mutex);
    *counter += n;
    (void)pthread_mutex_unlock(&janitor->shared.mutex);
}

/* ---- Jobs ---- */

/* Remove the files of a video. NULL: done; else why not. */
static const char *delete_media(struct janitor *janitor, const struct job *job)
{
    if (!storage_name_parse(job->payload, strlen(job->payload), NULL)) {
        return "the payload is not a base name";
    }
    return storage_delete(janitor->storage, job->payload) ? NULL : "the disk refused";
}

/* Undo what an erased user did, as long as the claim allows. NULL: nothing is left. */
static const char *erase(struct janitor *janitor, const struct job *job,
                         struct erase_progress *progress)
{
    int64_t until_ms = clock_mono_ms() + ERASE_MS;
    enum outcome outcome = OUTCOME_BUSY;

    while (outcome == OUTCOME_BUSY && clock_mono_ms() < until_ms && !stopping(janitor)) {
        struct own_call own;
        step_begin(&own);
        outcome = janitor->shards.erase(janitor->shards.delivery, &own.call,
                                        job->owner_id, progress);
        own_call_end(&own);
    }
    if (outcome == OUTCOME_NOTFOUND) {
        return "the user is not erased";
    }
    return outcome == OUTCOME_OK ? NULL : "something is left";
}

/* Make the two mailboxes of a chat agree. NULL: they do. */
static const char *repair(struct janitor *janitor, const struct job *job)
{
    struct own_call own;

    own_call_begin(&own, CALL_BYTES, REPAIR_MS);
    enum outcome outcome = janitor->shards.repair(janitor->shards.router, &own.call,
                                                  job->owner_id, job->target_id);
    log_write(LOG_INFO, "chat_repair", "actor=%llu target=%llu outcome=%s detail=\"%s\"",
              (unsigned long long)job->owner_id, (unsigned long long)job->target_id,
              outcome_name(outcome), own.call.detail);
    own_call_end(&own);
    return outcome == OUTCOME_OK ? NULL : "the mailboxes do not fit yet";
}

/* Do one job. NULL: done; else why not, and *PROGRESS says whether anything was done. */
static const char *do_job(struct janitor *janitor, const struct job *job, bool *progress)
{
    struct erase_progress erased = {.n_undone = 0};
    const char *error = NULL;

    *progress = false;
    if (strcmp(job->kind, "media_delete") == 0) {
        return delete_media(janitor, job);
    }
    if (strcmp(job->kind, "user_erase") == 0) {
        error = erase(janitor, job, &erased);
        *progress = erased.n_undone > 0;
        return error;
    }
    if (strcmp(job->kind, "chat_repair") == 0) {
        return repair(janitor, job);
    }
    return "unknown kind of job";
}

static int64_t retry_ms(unsigned attempts)
{
    int64_t pause_ms = JOB_RETRY_MS;
    while (attempts-- > 1 && pause_ms < JOB_RETRY_MAX_MS) {
        pause_ms *= 2;
    }
    return pause_ms < JOB_RETRY_MAX_MS ? pause_ms : JOB_RETRY_MAX_MS;
}

/* Do and report one claimed job. A report that fails does no harm: the claim runs out and
 * the job is done again. True: it is done. */
static bool run_job(struct janitor *janitor, const struct job *job)
{
    struct own_call own;
    struct job_report report = {.retry_ms = retry_ms(job->attempts)};
    const char *error = do_job(janitor, job, &report.progress);
    report.done = error == NULL;
    report.error = error == NULL ? "" : error;
    step_begin(&own);
    enum outcome outcome =
        janitor->shards.finish(janitor->shards.router, &own.call, job, &report);
    count(janitor,
          error == NULL ? &janitor->shared.counts.jobs_done
                        : &janitor->shared.counts.jobs_failed,
          1);
    log_write(error == NULL || report.progress ? LOG_DEBUG : LOG_WARN, "job",
              "kind=\"%s\" owner=%llu target=%llu attempt=%u report=%s error=\"%s\"",
              job->kind, (unsigned long long)job->owner_id,
              (unsigned long long)job->target_id, job->attempts, outcome_name(outcome),
              error == NULL ? "" : error);
    own_call_end(&own);
    return error == NULL;
}

/* Claim and do a job of one shard. True: there may be more. An unfinished job ends the
 * shard's turn, so that it does not keep jobs of other shards waiting. */
static bool run_jobs(struct janitor *janitor, size_t shard)
{
    struct own_call own;
    struct job_list list = {.n = 0};
    step_begin(&own);
    enum outcome outcome = janitor->shards.claim(janitor->shards.router, &own.call, shard,
                                                 1, JOB_LEASE_MS, &list);
    if (outcome != OUTCOME_OK) {
        list.n = 0;
        log_write(LOG_DEBUG, "job_claim_failed", "shard=%zu outcome=%s detail=\"%s\"",
                  shard, outcome_name(outcome), own.call.detail);
    }
    bool done = list.n > 0 && !stopping(janitor) && run_job(janitor, &list.jobs[0]);
    own_call_end(&own);
    return done;
}

/* ---- Purging ---- */

/* One step on one shard. Returns how long nothing will be due there. */
static int64_t purge_once(struct janitor *janitor, size_t shard)
{
    struct own_call own;
    struct purge_report report = {.wait_ms = PURGE_AGAIN_MS};
    step_begin(&own);
    enum outcome outcome = janitor->shards.purge(janitor->shards.router, &own.call, shard,
                                                 PURGE_ROWS_MAX, &report);
    if (outcome != OUTCOME_OK) {
        log_write(LOG_DEBUG, "purge_failed", "shard=%zu outcome=%s detail=\"%s\"", shard,
                  outcome_name(outcome), own.call.detail);
    } else if (report.removed > 0) {
        count(janitor, &janitor->shared.counts.rows_purged, report.removed);
        log_write(LOG_DEBUG, "purged", "shard=%zu kind=%s rows=%llu", shard, report.kind,
                  (unsigned long long)report.removed);
    }
    own_call_end(&own);
    return report.wait_ms;
}

/* Purge a few steps of what is due on one shard. */
static void purge(struct janitor *janitor, size_t shard)
{
    int64_t wait_ms = 0;
    if (clock_mono_ms() < janitor->purge_at_ms[shard]) {
        return;
    }
    for (int i = 0; i < PURGE_STEPS && wait_ms == 0 && !stopping(janitor); i++) {
        wait_ms = purge_once(janitor, shard);
    }
    janitor->purge_at_ms[shard] =
        clock_mono_ms() + (wait_ms < PURGE_LOOK_MS ? wait_ms : PURGE_LOOK_MS);
}

static void *jobs_main(void *context)
{
    struct janitor *janitor = context;
    do {
        const struct router *router = janitor->shards.router;
        for (size_t shard = 0; shard < janitor->shards.n_shards(router); shard++) {
            if (!janitor->shards.has_shard(router, shard)) {
                continue;
            }
            while (!stopping(janitor) && run_jobs(janitor, shard)) {
            }
            purge(janitor, shard);
        }
    } while (rest(janitor, options_now(janitor).job_poll_ms, /* for_poke= */ true));
    return NULL;
}

/* ---- Life ---- */

/* Let the thread see that something changed. */
static void wake_locked(struct janitor *janitor)
{
    (void)pthread_cond_broadcast(&janitor->shared.changed);
}

static void release(struct janitor *janitor)
{
    (void)pthread_cond_destroy(&janitor->shared.changed);
    (void)pthread_mutex_destroy(&janitor->shared.mutex);
    free(janitor->purge_at_ms);
    free(janitor);
}

struct janitor *janitor_new(struct storage *storage, const struct janitor_shards *shards,
                            const struct janitor_options *options)
{
    struct janitor *janitor = calloc(1, sizeof *janitor);
    if (janitor == NULL) {
        return NULL;
    }
    janitor->purge_at_ms = calloc(ROUTER_SHARDS_MAX, sizeof *janitor->purge_at_ms);
    if (janitor->purge_at_ms == NULL) {
        free(janitor);
        return NULL;
    }
    janitor->storage = storage;
    janitor->shards = *shards;
    janitor->shared.options = *options;
    (void)pthread_mutex_init(&janitor->shared.mutex, NULL);
    (void)pthread_cond_init(&janitor->shared.changed, NULL);
    if (pthread_create(&janitor->thread, NULL, jobs_main, janitor) != 0) {
        release(janitor);
        return NULL;
    }
    return janitor;
}

void janitor_configure(struct janitor *janitor, const struct janitor_options *options)
{
    (void)pthread_mutex_lock(&janitor->shared.mutex);
    janitor->shared.options = *options;
    (void)pthread_mutex_unlock(&janitor->shared.mutex);
}

void janitor_poke(struct janitor *janitor)
{
    if (janitor == NULL) {
        return;
    }
    (void)pthread_mutex_lock(&janitor->shared.mutex);
    janitor->shared.poked = true;
    wake_locked(janitor);
    (void)pthread_mutex_unlock(&janitor->shared.mutex);
}

void janitor_state(struct janitor *janitor, struct janitor_state *state)
{
    (void)pthread_mutex_lock(&janitor->shared.mutex);
    *state = janitor->shared.counts;
    (void)pthread_mutex_unlock(&janitor->shared.mutex);
}

void janitor_free(struct janitor **janitor)
{
    struct janitor *old = *janitor;
    if (old == NULL) {
        return;
    }
    (void)pthread_mutex_lock(&old->shared.mutex);
    old->shared.stop = true;
    wake_locked(old);
    (void)pthread_mutex_unlock(&old->shared.mutex);
    (void)pthread_join(old->thread, NULL);
    release(old);
    *janitor = NULL;
}
