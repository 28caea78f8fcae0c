/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The load of the ledger test: clients in threads, each with its own history. */
#include "tests/ledger/load.h"

#include <inttypes.h>
#include <jansson.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "shard/base/clock.h"

#include "tests/ledger/client.h"

/* How many of its own comments a client remembers, to delete some. */
#define REMEMBERED_MAX 32

/* Pause of a client that reaches no server, or is told to come later. */
#define PAUSE_NS 20000000L

/* Of 1000 targets, this many never existed. */
#define GHOSTS_PER_MILLE 10

/* Of 1000 messages, this many belong to polled chats; of those, this many are sent to
 * the poller. */
#define POLLED_PERCENT   50
#define RECEIVED_PERCENT 75

#define CLIENT_STACK_BYTES (512u << 10)

struct remembered {
    uint64_t id;
    size_t author; /* indexes in the world */
    size_t video;
};

struct worker {
    const struct load_world *world;
    const struct load_options *options;
    uint32_t number;
    uint64_t random; /* state of the generator */
    int64_t end_ms;
    struct ledger_client clients[LOAD_SERVERS_MAX];
    uint32_t server; /* the server asked last */
    struct ledger_history history;
    size_t not_sent;
    struct remembered remembered[REMEMBERED_MAX];
    size_t n_remembered;
    pthread_t thread;
};

/* splitmix64 (Steele, Lea, Flood 2014): the seed determines everything. */
static uint64_t next_random(uint64_t *state)
{
    uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static size_t below(struct worker *w, size_t n)
{
    return (size_t)(next_random(&w->random) % n);
}

static bool chance(struct worker *w, unsigned percent)
{
    return below(w, 100) < percent;
}

/* One of N, and often one of the first HOT. */
static size_t pick(struct worker *w, size_t n, size_t hot)
{
    return hot > 0 && hot < n && chance(w, w->options->hot_percent) ? below(w, hot)
                                                                    : below(w, n);
}

static size_t pick_user(struct worker *w)
{
    return pick(w, w->world->n_users - w->world->n_ghost_users, w->options->hot_users);
}

/* A target, which may be a ghost. */
static size_t pick_target_user(struct worker *w, size_t actor)
{
    const struct load_world *world = w->world;
    size_t user;

    if (world->n_ghost_users > 0 && below(w, 1000) < GHOSTS_PER_MILLE) {
        return world->n_users - 1 - below(w, world->n_ghost_users);
    }
    do {
        user = pick_user(w);
    } while (user == actor);
    return user;
}

static size_t pick_video(struct worker *w)
{
    const struct load_world *world = w->world;

    if (world->n_ghost_videos > 0 && below(w, 1000) < GHOSTS_PER_MILLE) {
        return world->n_videos - 1 - below(w, world->n_ghost_videos);
    }
    return pick(w, world->n_videos - world->n_ghost_videos, w->options->hot_videos);
}

static enum ledger_kind pick_kind(struct worker *w)
{
    const struct load_mix *mix = &w->options->mix;
    unsigned sum = 0;

    for (size_t i = 0; i < LEDGER_KIND__COUNT; i++) {
        sum += mix->of[i];
    }
    size_t left = below(w, sum);
    enum ledger_kind kind = LEDGER_LIKE;
    while (left >= mix->of[kind]) {
        left -= mix->of[kind];
        kind++;
    }
    return kind;
}

/* ---- One request ---- */

/* A counter that is missing is as wrong as a negative one. */
static int64_t read_count(const json_t *object, const char *name)
{
    const json_t *count = json_object_get(object, name);

    return json_is_integer(count) ? json_integer_value(count) : -1;
}

static void read_counts(const json_t *answer, struct ledger_op *op)
{
    static const char *const names[COUNTER__COUNT] = {
        "follow_count", "follower_count", "favorite_count", "total_favorited"};
    const json_t *user = json_object_get(answer, "user");

    for (size_t i = 0; i < COUNTER__COUNT; i++) {
        op->counts[i] = read_count(user, names[i]);
    }
}

/* The counters of one video, from the list of its author. If it is not there, it was
 * deleted: nothing was read. */
static void read_video_counts(const json_t *answer, struct ledger_op *op)
{
    const json_t *list = json_object_get(answer, "video_list");
    size_t i = 0;

    while (i < json_array_size(list) &&
           (uint64_t)json_integer_value(json_object_get(json_array_get(list, i), "id")) !=
               op->target) {
        i++;
    }
    const json_t *video = json_array_get(list, i);
    if (video == NULL) {
        op->outcome = LEDGER_FAIL;
        return;
    }
    op->counts[VIDEO_COUNTER_FAVORITE] = read_count(video, "favorite_count");
    op->counts[VIDEO_COUNTER_COMMENT] = read_count(video, "comment_count");
}

static void read_answer(const char *body, int http_status, struct ledger_op *op)
{
    json_t *answer = json_loads(body, 0, NULL);
    const json_t *code = json_object_get(answer, "status_code");

    op->code = json_is_integer(code) ? (int)json_integer_value(code) : -1;
    op->outcome = http_status == 200 && op->code >= 0 ? ledger_outcome_of(op->code)
                                                      : LEDGER_UNKNOWN;
    if (op->outcome == LEDGER_OK && op->kind == LEDGER_COMMENT) {
        const json_t *comment = json_object_get(answer, "comment");
        op->item = (uint64_t)json_integer_value(json_object_get(comment, "id"));
    } else if (op->outcome == LEDGER_OK && op->kind == LEDGER_READ) {
        read_counts(answer, op);
    } else if (op->outcome == LEDGER_OK && op->kind == LEDGER_READ_VIDEO) {
        read_video_counts(answer, op);
    }
    json_decref(answer);
}

/* Asks a server for TARGET, and another one if that cannot be reached. False: none can
 * be reached. */
static bool ask_once(struct worker *w, const char *target, const char *key,
                     struct ledger_op *op)
{
    const struct load_options *options = w->options;
    const struct client_request request = {
        .method = op->kind >= LEDGER_READ ? "GET" : "POST", .target = target, .key = key};
    const struct timespec pause = {.tv_nsec = PAUSE_NS};
    const int64_t begun_us = clock_mono_us();
    const char *body = NULL;
    int http_status = 0;
    enum client_status status = CLIENT_NOT_SENT;

    for (size_t i = 0; i < options->n_servers && status == CLIENT_NOT_SENT; i++) {
        w->server = (uint32_t)((w->server + 1) % options->n_servers);
        op->server = w->server;
        status =
            ledger_client_ask(&w->clients[w->server], &request,
                              clock_mono_ms() + options->timeout_ms, &body, &http_status);
    }
    op->returned_us = clock_mono_us();
    op->outcome = LEDGER_UNKNOWN;
    op->code = -1;
    if (status == CLIENT_ANSWERED) {
        read_answer(body, http_status, op);
    }
    progress_note(options->progress, op->returned_us - begun_us,
                  op->outcome == LEDGER_OK);
    if (op->outcome == LEDGER_UNKNOWN) {
        nanosleep(&pause, NULL);
    }
    return status != CLIENT_NOT_SENT;
}

/* An operation that writes a text has one record, since the text names it. Others have
 * one per answer: an earlier request may still be done later, and then takes effect
 * again. */
static bool is_text(const struct ledger_op *op)
{
    return op->kind == LEDGER_COMMENT || op->kind == LEDGER_MESSAGE;
}

/* Asks until the answer is certain, or for as long as the options allow; records the
 * answers. A repetition may be told the result of the first attempt, so that all of
 * them count from the first one's start. False: no server can be reached. */
static bool ask(struct worker *w, const char *target, struct ledger_op *op)
{
    const int64_t end_us = clock_mono_us() + (int64_t)w->options->repeat_ms * 1000;
    bool has_key = w->options->repeat_ms > 0 && op->kind < LEDGER_READ;
    bool is_certain = false;
    char key[64];

    op->worker = w->number;
    op->n = (uint32_t)w->history.n;
    op->invoked_us = clock_mono_us();
    (void)snprintf(key, sizeof key, "%" PRIu32 "-%" PRIu32 "-%" PRId64, op->worker, op->n,
                   op->invoked_us);
    if (!ask_once(w, target, has_key ? key : NULL, op)) {
        w->not_sent++;
        return false;
    }
    is_certain = op->outcome != LEDGER_UNKNOWN;
    while (!is_certain && clock_mono_us() < end_us) {
        if (!is_text(op)) {
            ledger_history_add(&w->history, op);
            op->n = (uint32_t)w->history.n;
        }
        op->repeats++;
        (void)ask_once(w, target, has_key ? key : NULL, op);
        is_certain = op->outcome != LEDGER_UNKNOWN;
    }
    if (is_text(op) && op->repeats > 0 && op->outcome == LEDGER_FAIL) {
        /* it may have been done earlier, or may still be done */
        op->outcome = LEDGER_UNKNOWN;
    }
    ledger_history_add(&w->history, op);
    return true;
}

#define TARGET_BYTES 2048

static void do_edge(struct worker *w, enum ledger_kind kind)
{
    char target[TARGET_BYTES];
    const struct load_world *world = w->world;
    size_t actor = pick_user(w);
    struct ledger_op op = {.kind = kind, .actor = world->users[actor].id};
    bool is_like = kind == LEDGER_LIKE;

    op.target = is_like ? world->videos[pick_video(w)].id
                        : world->users[pick_target_user(w, actor)].id;
    op.on = chance(w, 55);
    (void)snprintf(target, sizeof target,
                   "/douyin/%s/action/?token=%s&%s=%" PRIu64 "&action_type=%d",
                   is_like ? "favorite" : "relation", world->users[actor].token,
                   is_like ? "video_id" : "to_user_id", op.target, op.on ? 1 : 2);
    (void)ask(w, target, &op);
}

static void do_comment(struct worker *w)
{
    char target[TARGET_BYTES];
    char text[32];
    const struct load_world *world = w->world;
    size_t actor = pick_user(w);
    size_t video = pick_video(w);
    struct ledger_op op = {.kind = LEDGER_COMMENT,
                           .actor = world->users[actor].id,
                           .target = world->videos[video].id};

    ledger_text(text, sizeof text, w->number, (uint32_t)w->history.n);
    text[strcspn(text, " ")] = '+'; /* a blank in a query */
    (void)snprintf(target, sizeof target,
                   "/douyin/comment/action/?token=%s&video_id=%" PRIu64
                   "&action_type=1&comment_text=%s",
                   world->users[actor].token, op.target, text);
    if (ask(w, target, &op) && op.outcome == LEDGER_OK &&
        w->n_remembered < REMEMBERED_MAX) {
        w->remembered[w->n_remembered++] =
            (struct remembered){.id = op.item, .author = actor, .video = video};
    }
}

/* Deletes a comment of this client: as its author, as the author of the video, or in
 * vain as somebody else. */
static void do_uncomment(struct worker *w)
{
    char target[TARGET_BYTES];
    const struct load_world *world = w->world;

    if (w->n_remembered == 0) {
        do_comment(w);
        return;
    }
    size_t i = below(w, w->n_remembered);
    const struct remembered comment = w->remembered[i];
    size_t author = (size_t)world->videos[comment.video].author;
    size_t actor = chance(w, 50) ? comment.author : author;
    if (chance(w, w->options->stranger_percent)) {
        actor = pick_user(w);
    }
    struct ledger_op op = {.kind = LEDGER_UNCOMMENT,
                           .actor = world->users[actor].id,
                           .target = world->videos[comment.video].id,
                           .item = comment.id};
    (void)snprintf(target, sizeof target,
                   "/douyin/comment/action/?token=%s&video_id=%" PRIu64
                   "&action_type=2&comment_id=%" PRIu64,
                   world->users[actor].token, op.target, op.item);
    if (ask(w, target, &op) && (actor == comment.author || actor == author)) {
        w->remembered[i] = w->remembered[--w->n_remembered];
    }
}

/* Chooses sender and receiver. */
static void pick_parties(struct worker *w, size_t *sender, size_t *receiver)
{
    if (w->options->pollers > 0 && chance(w, POLLED_PERCENT)) {
        const struct load_chat *chat = &w->world->chats[below(w, w->options->pollers)];
        bool is_received = chance(w, RECEIVED_PERCENT);
        *sender = is_received ? chat->peer : chat->owner;
        *receiver = is_received ? chat->owner : chat->peer;
    } else {
        *sender = pick_user(w);
        *receiver = pick_target_user(w, *sender);
    }
}

static void do_message(struct worker *w)
{
    char target[TARGET_BYTES];
    char text[32];
    const struct load_world *world = w->world;
    size_t actor = 0;
    size_t receiver = 0;

    pick_parties(w, &actor, &receiver);
    struct ledger_op op = {.kind = LEDGER_MESSAGE,
                           .actor = world->users[actor].id,
                           .target = world->users[receiver].id};
    ledger_text(text, sizeof text, w->number, (uint32_t)w->history.n);
    text[strcspn(text, " ")] = '+';
    (void)snprintf(target, sizeof target,
                   "/douyin/message/action/?token=%s&to_user_id=%" PRIu64
                   "&action_type=1&content=%s",
                   world->users[actor].token, op.target, text);
    (void)ask(w, target, &op);
}

static void do_unpublish(struct worker *w)
{
    char target[TARGET_BYTES];
    const struct load_world *world = w->world;
    /* The popular ones are kept. */
    size_t n = world->n_videos - world->n_ghost_videos;
    size_t hot = w->options->hot_videos < n ? w->options->hot_videos : 0;
    const struct load_video *video = &world->videos[hot + below(w, n - hot)];
    const struct load_user *author = &world->users[video->author];
    struct ledger_op op = {
        .kind = LEDGER_UNPUBLISH, .actor = author->id, .target = video->id};

    (void)snprintf(target, sizeof target,
                   "/douyin/publish/delete/?token=%s&video_id=%" PRIu64, author->token,
                   op.target);
    (void)ask(w, target, &op);
}

static void do_read(struct worker *w)
{
    char target[TARGET_BYTES];
    const struct load_user *user = &w->world->users[pick_user(w)];
    struct ledger_op op = {.kind = LEDGER_READ, .actor = user->id};

    (void)snprintf(target, sizeof target, "/douyin/user/?token=%s&user_id=%" PRIu64,
                   user->token, user->id);
    (void)ask(w, target, &op);
}

static void do_read_video(struct worker *w)
{
    char target[TARGET_BYTES];
    const struct load_world *world = w->world;
    size_t n = world->n_videos - world->n_ghost_videos;
    const struct load_video *video = &world->videos[pick(w, n, w->options->hot_videos)];
    const struct load_user *author = &world->users[video->author];
    struct ledger_op op = {
        .kind = LEDGER_READ_VIDEO, .actor = author->id, .target = video->id};

    (void)snprintf(target, sizeof target,
                   "/douyin/publish/list/?token=%s&user_id=%" PRIu64, author->token,
                   author->id);
    (void)ask(w, target, &op);
}

static void do_one(struct worker *w)
{
    enum ledger_kind kind = pick_kind(w);

    switch (kind) {
    case LEDGER_LIKE:
    case LEDGER_FOLLOW:
        do_edge(w, kind);
        break;
    case LEDGER_COMMENT:
        do_comment(w);
        break;
    case LEDGER_UNCOMMENT:
        do_uncomment(w);
        break;
    case LEDGER_MESSAGE:
        do_message(w);
        break;
    case LEDGER_UNPUBLISH:
        do_unpublish(w);
        break;
    case LEDGER_READ:
        do_read(w);
        break;
    case LEDGER_READ_VIDEO:
    case LEDGER_KIND__COUNT:
        do_read_video(w);
        break;
    }
}

static void *worker_run(void *argument)
{
    struct worker *w = argument;
    const struct timespec pause = {.tv_sec = w->options->pause_ms / 1000,
                                   .tv_nsec = w->options->pause_ms % 1000 * 1000000L};

    while (!*w->options->stop && clock_mono_ms() < w->end_ms) {
        do_one(w);
        if (w->options->pause_ms > 0) {
            nanosleep(&pause, NULL);
        }
    }
    return NULL;
}

static void worker_init(struct worker *w, const struct load_world *world,
                        const struct load_options *options, uint32_t number)
{
    w->world = world;
    w->options = options;
    w->number = number;
    w->random = options->seed + number * UINT64_C(0xd1342543de82ef95);
    w->end_ms = clock_mono_ms() + (int64_t)options->seconds * 1000;
    w->server = number; /* they start with different servers */
    for (size_t i = 0; i < options->n_servers; i++) {
        ledger_client_init(&w->clients[i], options->ports[i]);
    }
}

void load_run(const struct load_world *world, const struct load_options *options,
              struct ledger_history *history, size_t *not_sent)
{
    struct worker *workers = calloc(options->clients, sizeof *workers);
    pthread_attr_t attr;

    CHECK(workers != NULL);
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, CLIENT_STACK_BYTES);
    for (uint32_t i = 0; i < options->clients; i++) {
        worker_init(&workers[i], world, options, i);
        CHECK(pthread_create(&workers[i].thread, &attr, worker_run, &workers[i]) == 0);
    }
    pthread_attr_destroy(&attr);
    *not_sent = 0;
    for (size_t i = 0; i < options->clients; i++) {
        struct worker *w = &workers[i];
        pthread_join(w->thread, NULL);
        for (size_t k = 0; k < w->history.n; k++) {
            ledger_history_add(history, &w->history.ops[k]);
        }
        *not_sent += w->not_sent;
        ledger_history_release(&w->history);
        for (size_t k = 0; k < options->n_servers; k++) {
            ledger_client_release(&w->clients[k]);
        }
    }
    free(workers);
}
