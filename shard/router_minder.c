/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The thread that minds one shard: is it up, may it serve, what does it know.
 *
 * It has a connection of its own. Every few seconds, and as soon as the pool goes down,
 * it asks for the shard's slot map, adopts what is newer there and tells the shard what
 * is newer here (so the news of a moved slot spreads even if its mover died). It also
 * raises the shard's counter, and spreads that, so that old data is noticed. Only this
 * thread ever declares a shard usable. */
#include <stdio.h>
#include <string.h>

#include "shard/base/clock.h"
#include "shard/base/log.h"
#include "shard/base/rnd.h"

#include "shard/router_beat.h"
#include "shard/router_impl.h"
#include "shard/router_map.h"
#include "shard/routines.h"

/* How often a healthy shard is checked. */
#define LOOK_EVERY_MS 5000

/* How often at most waiting requests may have a shard checked. */
#define HURRY_EVERY_MS 100

/* How often a shard is checked whose disk is nearly full, which can go fast. */
#define LOOK_LOW_MS 500

/* How many connections may be ended during a check before the shard counts as down. */
#define LOOKS_MAX 5

/* A slot map of SLOTS_MAX rows fits. */
#define LOOK_ARENA_BYTES (64u << 20)

#define MINDER_STACK_BYTES (512u << 10)

/* What a failed check says about the shard. */
enum finding {
    FINDING_UNFIT,   /* it is down, or may not serve */
    FINDING_CROWDED, /* there is no room for one more connection, there or here */
    FINDING_CUT,     /* nothing: the connection was ended */
    FINDING_SICK,    /* it answers, but cannot do what was asked: its disk is full */
};

struct look {
    struct shard *shard;
    struct dbconn *conn; /* owned; NULL = not connected */
    struct errmsg err;   /* what went wrong last */
    enum finding finding;
    bool is_serving;     /* the last check found everything well */
    int64_t load_due_ms; /* monotonic; when to report the load of slots */
};

/* May the shard be used according to its report, if its data is not old? */
static bool is_fit(const struct shard *shard, const struct dbconn_hello *hello,
                   struct errmsg *err)
{
    if (strcmp(hello->server, shard->name) != 0) {
        return errmsg_set(err, "the server there calls itself \"%s\"", hello->server);
    }
    if (!proc_is_served("schema", hello->schema, SCHEMA_VERSION, err)) {
        return false;
    }
    if (!hello->is_durable && !atomic_load(&shard->durability_exempt)) {
        return errmsg_set(
            err,
            "it may lose acknowledged writes: needs innodb_flush_log_at_trx_commit=1, "
            "innodb_doublewrite=ON, sync_binlog=1 with log_bin");
    }
    return true;
}

bool minder_admit(void *context, const struct dbconn_hello *hello, struct errmsg *err)
{
    struct shard *shard = context;

    return is_fit(shard, hello, err) &&
           beat_admit(shard, hello->beat, hello->is_refused, err);
}

/* CALL a procedure on the minder's connection. False, with look->err: no answer. */
static bool ask(struct look *look, enum proc_id proc, const struct dbarg *args,
                struct arena *arena, struct dbresult **results)
{
    struct dbexec exec = {.conn = look->conn, .proc = proc, .args = args, .arena = arena};

    *results = NULL;
    if (look->conn == NULL) { /* an earlier CALL has lost it; look->err says how */
        return false;
    }
    dbexec_run(&exec, 1, clock_mono_ms() + look->shard->router->call_timeout_ms);
    *results = exec.results;
    if (exec.status == DB_OK) {
        return true;
    }
    look->finding = exec.status == DB_SICK ? FINDING_SICK
                    : exec.is_cut          ? FINDING_CUT
                                           : FINDING_UNFIT;
    (void)errmsg_set(&look->err, "%s", exec.detail);
    if (!dbconn_is_clean(look->conn)) {
        dbconn_close(&look->conn);
    }
    return false;
}

/* Does the shard have every routine that this program calls? A shard with an interrupted
 * migration is not taken into service, but one in service goes on while migrate runs. */
static bool check_routines(struct look *look, struct arena *arena)
{
    struct dbresult *list = NULL;

    return ask(look, PROC_ROUTINE_LIST, NULL, arena, &list) &&
           routines_serve(list, !look->is_serving, &look->err);
}

/* Connect, or ask the shard for its report. Done at every check, because durability
 * settings can be changed while it is in use. */
static bool connect_shard(struct look *look)
{
    struct shard *shard = look->shard;
    const struct dbconn_target *target = &atomic_load(&shard->address)->target;
    int64_t limit_ms = clock_mono_ms() + shard->router->connect_timeout_ms;
    struct dbconn_hello hello = {.error = 0};

    if (look->conn != NULL && dbconn_target(look->conn) != target) {
        dbconn_close(&look->conn);
    }
    if (look->conn == NULL) {
        look->conn = dbconn_open(target, limit_ms, &hello, &look->err);
    } else if (!dbconn_greet(look->conn, limit_ms, &hello, &look->err)) {
        dbconn_close(&look->conn);
    }
    if (look->conn == NULL) {
        look->finding = dbconn_was_cut(&hello)      ? FINDING_CUT
                        : dbconn_is_crowded(&hello) ? FINDING_CROWDED
                                                    : FINDING_UNFIT;
    } else if (!is_fit(shard, &hello, &look->err)) {
        dbconn_close(&look->conn);
    }
    return look->conn != NULL;
}

/* The shard gave slots away, and their arrival is not known: keep what is needed to
 * finish these flips, and check soon whether they stopped halfway. First a commit of ours
 * flushes the shard's log, because others see a COMMIT before it is durable: if a "moved"
 * were lost in a crash, the slot would have two owners. */
static void keep_flips(struct look *look, const struct flip_list *given,
                       struct arena *arena)
{
    struct router *router = look->shard->router;
    struct dbresult *rows = NULL;

    if (given->n == 0 || !ask(look, PROC_SHARD_PROBE, NULL, arena, &rows)) {
        return;
    }
    for (unsigned i = 0; i < given->n; i++) {
        struct slot_place place = slotmap_get(router->map, given->flips[i].slot);
        flips_add(router->flips, &given->flips[i]);
        if (shard_is_there(router, place.server)) {
            minder_wake(shard_at(router, place.server));
        }
    }
}

/* Make the last step of FLIP, unless it was made. */
static bool finish_flip(struct look *look, const struct flip *flip, struct arena *arena)
{
    const struct dbarg args[] = {dbarg_number(flip->slot), dbarg_number(flip->epoch),
                                 dbarg_text(flip->token, FLIP_TOKEN_LEN)};
    struct dbresult *rows = NULL;

    if (!ask(look, PROC_SLOT_TAKEOVER, args, arena, &rows)) {
        log_write(LOG_WARN, "slot_takeover_failed", "shard=%s slot=%u why=\"%s\"",
                  look->shard->name, flip->slot, look->err.text);
        return false;
    }
    const struct dbvalue *code = dbresult_value(rows, 0, "code");
    bool is_taken = code != NULL && !code->is_null && strcmp(code->text, "ok") == 0;
    if (is_taken) {
        log_write(LOG_WARN, "slot_taken_over", "shard=%s slot=%u epoch=%llu",
                  look->shard->name, flip->slot, (unsigned long long)flip->epoch);
    }
    return is_taken;
}

/* Slots wait here for the last step of their flips: make it, and check the result
 * soon. */
static void finish_flips(struct look *look, const struct flip_list *taken,
                         struct arena *arena)
{
    unsigned n_taken = 0;

    for (unsigned i = 0; i < taken->n && look->conn != NULL; i++) {
        n_taken += finish_flip(look, &taken->flips[i], arena);
    }
    if (n_taken > 0) {
        minder_wake(look->shard);
    }
}

/* Tell the shard the LESSON. */
static void teach_shard(struct look *look, struct lesson *lesson, struct arena *arena)
{
    struct dbresult *answer = NULL;

    if (!buf_add(&lesson->json, "]", 1)) {
        return;
    }
    const struct dbarg arg = dbarg_text(lesson->json.data, lesson->json.len);
    if (!ask(look, PROC_SLOT_LEARN, &arg, arena, &answer)) {
        log_write(LOG_WARN, "slot_learn_failed", "shard=%s why=\"%s\"", look->shard->name,
                  look->err.text);
        return;
    }
    const struct dbvalue *refused = dbresult_value(answer, 0, "refused");
    if (refused != NULL && refused->number > 0) {
        log_write(LOG_WARN, "slot_learn_refused",
                  "shard=%s slots=%llu why=\"too far above what it knows\"",
                  look->shard->name, (unsigned long long)refused->number);
    }
}

/* Adopt MAP, and find what to tell the shard. */
static bool read_map(struct look *look, const struct dbresult *map, struct map_news *news)
{
    struct shard *shard = look->shard;

    if (map_compare(shard, map, news) &&
        coverage_learn(shard->router->coverage, shard->index, map)) {
        return true;
    }
    return errmsg_set(&look->err, "slot_map answered what cannot be read");
}

struct status {
    uint64_t paused_at;
    const char *by;
    const char *why;
};

/* Make text that people typed fit one line: control bytes become spaces. */
static void make_line(char *text)
{
    for (; *text != '\0'; text++) {
        if ((unsigned char)*text < ' ' || *text == 0x7f) {
            *text = ' ';
        }
    }
}

/* Remember, and log when it changes, whether the shard is paused. */
static void note_status(struct shard *shard, const struct status *status)
{
    char now[sizeof shard->shared.paused] = "";

    if (status->paused_at != 0) {
        (void)snprintf(now, sizeof now, "%s: %s", status->by, status->why);
        make_line(now);
    }
    pthread_mutex_lock(&shard->shared.mutex);
    bool is_news = strcmp(now, shard->shared.paused) != 0;
    memcpy(shard->shared.paused, now, sizeof now);
    pthread_mutex_unlock(&shard->shared.mutex);
    if (is_news) {
        log_write(LOG_WARN, now[0] != '\0' ? "shard_paused" : "shard_resumed",
                  "shard=%s by=\"%s\"", shard->name, now);
    }
}

/* Learn whether an operator has paused the shard. */
static bool read_status(struct look *look, struct arena *arena)
{
    const struct dbfield fields[] = {{.column = "paused_at",
                                      .kind = DBFIELD_U64,
                                      .offset = offsetof(struct status, paused_at)},
                                     {.column = "paused_by",
                                      .kind = DBFIELD_TEXT,
                                      .offset = offsetof(struct status, by)},
                                     {.column = "paused_why",
                                      .kind = DBFIELD_TEXT,
                                      .offset = offsetof(struct status, why)}};
    struct dbresult *row = NULL;
    struct status status;

    if (!ask(look, PROC_SHARD_STATUS, NULL, arena, &row)) {
        return false;
    }
    if (row == NULL || !dbresult_read(row, 0, fields, ARRAY_LEN(fields), &status)) {
        return errmsg_set(&look->err, "shard_status answered what cannot be read");
    }
    note_status(look->shard, &status);
    return true;
}

/* Tell the shard the counters of others and its own as remembered: if its data is old, it
 * then refuses itself. True: it is refused. */
static bool teach_beats(struct look *look, struct beats *beats, struct arena *arena)
{
    struct dbresult *answer = NULL;

    if (!buf_add(&beats->json, "]", 1)) {
        return false;
    }
    const struct dbarg arg = dbarg_text(beats->json.data, beats->json.len);
    if (!ask(look, PROC_SHARD_LEARN, &arg, arena, &answer)) {
        log_write(LOG_WARN, "shard_learn_failed", "shard=%s why=\"%s\"",
                  look->shard->name, look->err.text);
        return false;
    }
    const struct dbvalue *refused = dbresult_value(answer, 0, "refused");
    return refused != NULL && refused->number == 1;
}

/* Exchange counters with what this shard remembers. False: its data is old, and it does
 * not know that. */
static bool hear(struct look *look, struct arena *arena)
{
    struct shard *shard = look->shard;
    struct dbresult *rows = NULL;
    struct beats beats;

    if (!shard->router->has_beats) {
        return true;
    }
    if (!ask(look, PROC_SHARD_HEARD, NULL, arena, &rows)) {
        return false;
    }
    if (rows == NULL || !beats_read(&beats, shard, rows)) {
        return errmsg_set(&look->err, "shard_heard answered what cannot be read");
    }
    beats_await(shard);
    if (!beats_settle(&beats, shard, &look->err)) {
        return false;
    }
    beats_compare(&beats, shard, rows);
    if (beats.n > 0 && breaker_due_ms(&shard->writes) == INT64_MAX) {
        beats.is_refused = teach_beats(look, &beats, arena) || beats.is_refused;
    }
    buf_clear(&beats.json);
    return beats.is_new || beat_admit(shard, beats.own, beats.is_refused, &look->err);
}

/* Raise the shard's counter. The number that it answers is on its disk. */
static void tick(struct look *look, struct arena *arena)
{
    struct dbresult *answer = NULL;

    if (!look->shard->router->has_beats ||
        breaker_due_ms(&look->shard->writes) != INT64_MAX ||
        !ask(look, PROC_SHARD_TICK, NULL, arena, &answer)) {
        return;
    }
    const struct dbvalue *beat = dbresult_value(answer, 0, "beat");
    const struct dbvalue *raised = dbresult_value(answer, 0, "raised");
    if (beat != NULL && raised != NULL && raised->number == 1) {
        beat_remember(look->shard, beat->number);
    }
}

/* Ask how much disk space is left; without an answer the last value stays. */
static void measure_room(struct look *look, struct arena *arena)
{
    struct dbresult *rows = NULL;

    if (ask(look, PROC_SHARD_FREE, NULL, arena, &rows)) {
        const struct dbvalue *free_bytes = dbresult_value(rows, 0, "free_bytes");
        atomic_store(&look->shard->free_bytes, free_bytes == NULL || free_bytes->is_null
                                                   ? -1
                                                   : (int64_t)free_bytes->number);
    }
}

/* Is the free space less than TIMES / 8 of what must be left free? */
static bool is_room_below(const struct shard *shard, unsigned times)
{
    int64_t free_bytes = atomic_load(&shard->free_bytes);

    return free_bytes >= 0 &&
           (uint64_t)free_bytes / times < shard->router->min_free_bytes / 8;
}

/* Stop writes before the disk is full (mariadbd exits on a full disk), and allow them
 * again when there is space, or when a write of our own works. */
static void tend_writes(struct look *look, struct arena *arena)
{
    struct shard *shard = look->shard;
    int64_t due_ms = breaker_due_ms(&shard->writes);
    struct dbresult *rows = NULL;
    struct errmsg err;

    if (is_room_below(shard, due_ms == INT64_MAX ? 8 : 9)) {
        (void)errmsg_set(&err,
                         "%lld bytes are free for its files, %llu must be (db_min_free)",
                         (long long)atomic_load(&shard->free_bytes),
                         (unsigned long long)shard->router->min_free_bytes);
        shard_stop_writes(shard, err.text);
    } else if (clock_mono_ms() >= due_ms && look->conn != NULL) {
        if (ask(look, PROC_SHARD_PROBE, NULL, arena, &rows)) {
            breaker_close(&shard->writes);
            log_write(LOG_INFO, "shard_writable", "shard=%s", shard->name);
        } else {
            shard_stop_writes(shard, look->err.text);
        }
    }
}

/* When to check a shard again that is in service. */
static int64_t next_look_ms(const struct look *look)
{
    struct shard *shard = look->shard;
    int64_t pause_ms = is_room_below(shard, 32) ? LOOK_LOW_MS : LOOK_EVERY_MS;
    int64_t due_ms = clock_earlier(breaker_due_ms(&shard->writes), look->load_due_ms);
    int64_t left_ms = due_ms - clock_mono_ms();

    return left_ms < 1 ? 1 : left_ms < pause_ms ? left_ms : pause_ms;
}

/* Report the load of its slots, when it is time and the shard takes writes. A failure
 * only means that the connection is gone. */
static void tend_load(struct look *look)
{
    const struct shard *shard = look->shard;
    const int report_ms = shard->router->load_report_ms;
    const int64_t now_ms = clock_mono_ms();

    if (shard->router->load == NULL) {
        look->load_due_ms = INT64_MAX;
        return;
    }
    if (look->load_due_ms == 0) { /* not all servers at once */
        look->load_due_ms = now_ms + 1 + (int64_t)rnd_below((uint32_t)report_ms);
    }
    if (now_ms < look->load_due_ms) {
        return;
    }
    look->load_due_ms = now_ms + report_ms;
    if (look->conn != NULL && breaker_due_ms(&look->shard->writes) == INT64_MAX &&
        !load_report(look->shard, look->conn, &look->err)) {
        log_write(LOG_WARN, "load_report_failed", "shard=%s why=\"%s\"", shard->name,
                  look->err.text);
        if (!dbconn_is_clean(look->conn)) {
            dbconn_close(&look->conn);
        }
    }
}

/* One check: true when the shard is up, may serve, and its map was read. Routines are
 * checked every time, because they may be replaced while this process runs. */
static bool look_once(struct look *look)
{
    struct arena arena;
    struct map_news news;
    struct dbresult *map = NULL;
    bool good = false;

    arena_init(&arena, LOOK_ARENA_BYTES);
    lesson_init(&news.lesson);
    look->finding = FINDING_UNFIT;
    if (connect_shard(look) && check_routines(look, &arena) && hear(look, &arena)) {
        good = ask(look, PROC_SLOT_MAP, NULL, &arena, &map) && map != NULL &&
               read_map(look, map, &news) && read_status(look, &arena);
    }
    if (good) {
        measure_room(look, &arena);
        tend_writes(look, &arena);
        tick(look, &arena);
    }
    if (good && !look->shard->router->is_onlooker &&
        breaker_due_ms(&look->shard->writes) == INT64_MAX) {
        keep_flips(look, &news.given, &arena);
        finish_flips(look, &news.taken, &arena);
        if (news.lesson.n > 0) {
            teach_shard(look, &news.lesson, &arena);
        }
    }
    buf_clear(&news.lesson.json);
    arena_release(&arena);
    return good;
}

/* Check, and again if the connection ended meanwhile: a restarted server accepts a new
 * one, and a dead one refuses it. */
static bool look_again(struct look *look)
{
    for (unsigned i = 0; i < LOOKS_MAX; i++) {
        bool was_connected = look->conn != NULL;
        if (look_once(look)) {
            return true;
        }
        if (look->finding != FINDING_CUT && (!was_connected || look->conn != NULL)) {
            break;
        }
    }
    return false;
}

/* Wait for MS, or until the minder is woken. False: stop. */
static bool pause_minder(struct shard *shard, int64_t ms, bool may_wake)
{
    const struct timespec until = clock_timespec(clock_mono_ms() + ms);
    int late = 0;

    pthread_mutex_lock(&shard->shared.mutex);
    shard->shared.looked = true;
    shard->shared.heard = true;
    pthread_cond_broadcast(&shard->shared.cond);
    while (!shard->shared.stop && !(may_wake && shard->shared.wake) && late == 0) {
        late = pthread_cond_clockwait(&shard->shared.cond, &shard->shared.mutex,
                                      CLOCK_MONOTONIC, &until);
    }
    shard->shared.wake = false;
    bool go_on = !shard->shared.stop;
    pthread_mutex_unlock(&shard->shared.mutex);
    return go_on;
}

static void report(const struct look *look, bool was_up, bool is_up)
{
    if (is_up && !was_up) {
        log_write(LOG_INFO, "shard_up", "shard=%s slots=%u", look->shard->name,
                  slotmap_count(look->shard->router->map, look->shard->index));
    } else if (!is_up && was_up) {
        log_write(LOG_ERROR, "shard_down", "shard=%s why=\"%s\"", look->shard->name,
                  look->err.text);
    }
}

/* Wait for minder_go(). False: stop. */
static bool await_go(struct shard *shard)
{
    pthread_mutex_lock(&shard->shared.mutex);
    while (!shard->shared.go && !shard->shared.stop) {
        pthread_cond_wait(&shard->shared.cond, &shard->shared.mutex);
    }
    bool go_on = !shard->shared.stop;
    pthread_mutex_unlock(&shard->shared.mutex);
    return go_on;
}

static void *minder_run(void *argument)
{
    struct shard *shard = argument;
    struct look look = {.shard = shard};
    bool was_up = true; /* so that a shard that is missing at start is reported */
    bool go_on = await_go(shard);
    bool is_first = true;

    while (go_on) {
        struct dbpool_state state;
        bool is_up = look_again(&look);
        if (is_up) {
            dbpool_set_up(shard->pool);
            dbpool_reap(shard->pool);
            tend_load(&look);
        } else if (was_up &&
                   (look.finding == FINDING_CROWDED || look.finding == FINDING_SICK)) {
            is_up = true; /* the open connections go on working for reads */
            if (look.finding == FINDING_SICK) {
                shard_stop_writes(shard, look.err.text);
            }
        } else {
            dbpool_set_down(shard->pool, look.err.text);
        }
        report(&look, was_up && !(is_first && is_up), is_up);
        was_up = is_up;
        look.is_serving = is_up;
        is_first = false;
        go_on = pause_minder(
            shard, is_up ? next_look_ms(&look) : shard->router->hold_down_ms, is_up);
        dbpool_state(shard->pool, &state);
        if (go_on && is_up && !state.is_up) {
            /* The pool went down meanwhile: wait a little before trying the shard. */
            look.err = state.reason;
            report(&look, true, false);
            was_up = false;
            look.is_serving = false;
            go_on = pause_minder(shard, shard->router->hold_down_ms, false);
        }
    }
    dbconn_close(&look.conn);
    return NULL;
}

bool minder_start(struct shard *shard)
{
    pthread_attr_t attr;

    pthread_mutex_lock(&shard->shared.mutex);
    shard->shared.go = shard->shared.stop = shard->shared.looked = false;
    pthread_mutex_unlock(&shard->shared.mutex);
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, MINDER_STACK_BYTES);
    shard->has_minder = pthread_create(&shard->minder, &attr, minder_run, shard) == 0;
    pthread_attr_destroy(&attr);
    return shard->has_minder;
}

void minder_go(struct shard *shard)
{
    pthread_mutex_lock(&shard->shared.mutex);
    shard->shared.go = true;
    pthread_cond_broadcast(&shard->shared.cond);
    pthread_mutex_unlock(&shard->shared.mutex);
}

void minder_stop(struct shard *shard)
{
    if (!shard->has_minder) {
        return;
    }
    pthread_mutex_lock(&shard->shared.mutex);
    shard->shared.stop = true;
    pthread_cond_broadcast(&shard->shared.cond);
    pthread_mutex_unlock(&shard->shared.mutex);
    pthread_join(shard->minder, NULL);
    shard->has_minder = false;
}

void minder_wake(void *context)
{
    struct shard *shard = context;

    pthread_mutex_lock(&shard->shared.mutex);
    shard->shared.wake = true;
    pthread_cond_broadcast(&shard->shared.cond);
    pthread_mutex_unlock(&shard->shared.mutex);
}

void minder_hurry(struct shard *shard)
{
    int64_t now_ms = clock_mono_ms();
    int_fast64_t last_ms = atomic_load(&shard->hurried_ms);

    if (now_ms - last_ms >= HURRY_EVERY_MS &&
        atomic_compare_exchange_strong(&shard->hurried_ms, &last_ms, now_ms)) {
        minder_wake(shard);
    }
}
