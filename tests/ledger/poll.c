/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The polling clients of the ledger test. */
#include "tests/ledger/poll.h"

#include <inttypes.h>
#include <jansson.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "shard/base/clock.h"

#include "tests/ledger/client.h"

/* Small enough that a mailbox which could not be read for a while comes in several
 * pages. */
#define PAGE_MESSAGES 20

/* Pause of a client that has received everything, or got no answer. */
#define REST_NS    5000000L
#define FAILURE_NS 20000000L

/* A healthy service answers the last polls within this time. */
#define FINISH_MS 20000

#define TARGET_BYTES 2048

#define POLLER_STACK_BYTES (512u << 10)

struct poller {
    const struct load_world *world;
    const struct load_options *options;
    const struct load_chat *chat;
    struct ledger_mailbox mailbox;
    int64_t since_ms; /* create_time of the newest message it was given */
    struct ledger_client clients[LOAD_SERVERS_MAX];
    uint32_t server; /* the server asked last */
    const atomic_bool *stop;
    pthread_t thread;
};

struct pollers {
    struct poller *all; /* owned */
    size_t n;
    atomic_bool stop;
};

enum page { PAGE_FAILED, PAGE_LAST, PAGE_FULL };

static uint64_t number_of(const json_t *message, const char *name)
{
    /* A missing one is 0, which nobody has. */
    return (uint64_t)json_integer_value(json_object_get(message, name));
}

static void keep(struct poller *p, uint64_t viewer, const json_t *message)
{
    const char *text = json_string_value(json_object_get(message, "content"));
    struct ledger_given given = {.viewer = viewer,
                                 .since_ms = p->since_ms,
                                 .id = number_of(message, "id"),
                                 .sender = number_of(message, "from_user_id"),
                                 .receiver = number_of(message, "to_user_id"),
                                 .at = (int64_t)number_of(message, "create_time")};

    /* A longer text is not one of ours: it is cut, and still is not. */
    (void)snprintf(given.text, sizeof given.text, "%s", text != NULL ? text : "");
    ledger_mailbox_give(&p->mailbox, &given);
}

static enum page read_page(struct poller *p, uint64_t viewer, const char *body)
{
    json_t *answer = json_loads(body, 0, NULL);
    const json_t *code = json_object_get(answer, "status_code");
    const json_t *list = json_object_get(answer, "message_list");
    size_t n = json_array_size(list);
    enum page page = n < PAGE_MESSAGES ? PAGE_LAST : PAGE_FULL;

    if (!json_is_integer(code) || json_integer_value(code) != 0 || !json_is_array(list)) {
        page = PAGE_FAILED;
        n = 0;
    }
    for (size_t i = 0; i < n; i++) {
        keep(p, viewer, json_array_get(list, i));
    }
    json_decref(answer);
    return page;
}

/* Asks the next server what VIEWER may see of the chat with WITH. */
static enum page ask(struct poller *p, const struct load_user *viewer, uint64_t with)
{
    char target[TARGET_BYTES];
    const char *body = NULL;
    int http_status = 0;
    enum page page = PAGE_FAILED;

    /* The token says whose mailbox it is: user_id must have no effect. */
    (void)snprintf(target, sizeof target,
                   "/douyin/message/chat/?token=%s&to_user_id=%" PRIu64
                   "&pre_msg_time=%" PRId64 "&limit=%d&user_id=%" PRIu64,
                   viewer->token, with, p->since_ms, PAGE_MESSAGES, p->mailbox.owner);
    p->server = (uint32_t)((p->server + 1) % p->options->n_servers);
    const struct client_request request = {.method = "GET", .target = target};
    if (ledger_client_ask(&p->clients[p->server], &request,
                          clock_mono_ms() + p->options->timeout_ms, &body,
                          &http_status) == CLIENT_ANSWERED &&
        http_status == 200) {
        page = read_page(p, viewer->id, body);
    }
    if (page == PAGE_FAILED) {
        p->mailbox.failures++;
    } else {
        p->mailbox.polls++;
    }
    return page;
}

/* Continues after the newest message of those from FIRST on. */
static void go_on(struct poller *p, size_t first)
{
    for (size_t i = first; i < p->mailbox.n_given; i++) {
        if (p->mailbox.given[i].at > p->since_ms) {
            p->since_ms = p->mailbox.given[i].at;
        }
    }
}

static enum page poll_once(struct poller *p)
{
    size_t first = p->mailbox.n_given;
    enum page page =
        ask(p, &p->world->users[p->chat->owner], p->world->users[p->chat->peer].id);

    if (page == PAGE_FULL && p->since_ms == 0) {
        /* These are the newest, and older ones may be missing: begin with the first. */
        p->mailbox.n_given = first;
        p->since_ms = 1;
    } else {
        go_on(p, first);
    }
    return page;
}

static void rest(enum page page)
{
    const struct timespec pause = {.tv_nsec = page == PAGE_FAILED ? FAILURE_NS : REST_NS};

    if (page != PAGE_FULL) {
        nanosleep(&pause, NULL);
    }
}

static void *poller_run(void *argument)
{
    struct poller *p = argument;

    while (!atomic_load(p->stop)) {
        rest(poll_once(p));
    }
    return NULL;
}

static void poller_init(struct poller *p, const struct load_world *world,
                        const struct load_options *options, const struct load_chat *chat)
{
    *p = (struct poller){.world = world, .options = options, .chat = chat};
    p->mailbox.owner = world->users[chat->owner].id;
    p->mailbox.peer = world->users[chat->peer].id;
    for (size_t i = 0; i < options->n_servers; i++) {
        ledger_client_init(&p->clients[i], options->ports[i]);
    }
}

/* What it has received stays. */
static void poller_release(struct poller *p)
{
    for (size_t i = 0; i < p->options->n_servers; i++) {
        ledger_client_release(&p->clients[i]);
    }
}

struct pollers *pollers_start(const struct load_world *world,
                              const struct load_options *options)
{
    struct pollers *pollers = calloc(1, sizeof *pollers);
    pthread_attr_t attr;

    CHECK(pollers != NULL && options->pollers <= world->n_chats);
    pollers->n = options->pollers;
    pollers->all = calloc(pollers->n + 1, sizeof *pollers->all);
    CHECK(pollers->all != NULL);
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, POLLER_STACK_BYTES);
    for (size_t i = 0; i < pollers->n; i++) {
        struct poller *p = &pollers->all[i];
        poller_init(p, world, options, &world->chats[i]);
        p->server = (uint32_t)i;
        p->stop = &pollers->stop;
        CHECK(pthread_create(&p->thread, &attr, poller_run, p) == 0);
    }
    pthread_attr_destroy(&attr);
    return pollers;
}

void pollers_stop(struct pollers **pollers, struct ledger_mailboxes *mailboxes)
{
    atomic_store(&(*pollers)->stop, true);
    for (size_t i = 0; i < (*pollers)->n; i++) {
        struct poller *p = &(*pollers)->all[i];
        pthread_join(p->thread, NULL);
        poller_release(p);
        *ledger_mailboxes_add(mailboxes, 0, 0) = p->mailbox;
    }
    free((*pollers)->all);
    free(*pollers);
    *pollers = NULL;
}

/* ---- Afterwards ---- */

/* Somebody who is not a party of the chat. */
static const struct load_user *stranger_to(const struct load_world *world,
                                           const struct load_chat *chat)
{
    size_t i = 0;

    while (i == chat->owner || i == chat->peer) {
        i++;
    }
    return i < world->n_users - world->n_ghost_users ? &world->users[i] : NULL;
}

/* The stranger asks for the chat with each party, and for what that party has sent to
 * the stranger. */
static bool look(struct poller *p, const struct load_user *stranger)
{
    const uint64_t with[] = {p->mailbox.owner, p->mailbox.peer};

    for (size_t i = 0; i < ARRAY_LEN(with); i++) {
        for (p->since_ms = 0; p->since_ms <= 1; p->since_ms++) {
            if (ask(p, stranger, with[i]) == PAGE_FAILED) {
                return false;
            }
        }
    }
    p->mailbox.stranger = stranger->id;
    return true;
}

static bool finish(struct poller *p, const struct load_user *stranger)
{
    int64_t end_ms = clock_mono_ms() + FINISH_MS;
    enum page page = PAGE_FULL;

    go_on(p, 0);
    while (page != PAGE_LAST && clock_mono_ms() < end_ms) {
        page = poll_once(p);
        rest(page);
    }
    return page == PAGE_LAST && look(p, stranger);
}

bool pollers_finish(const struct load_world *world, const struct load_options *options,
                    struct ledger_mailboxes *mailboxes)
{
    bool good = mailboxes->n <= world->n_chats;

    for (size_t i = 0; good && i < mailboxes->n; i++) {
        struct ledger_mailbox *mailbox = &mailboxes->all[i];
        const struct load_user *stranger = stranger_to(world, &world->chats[i]);
        struct poller p;
        poller_init(&p, world, options, &world->chats[i]);
        good = stranger != NULL && mailbox->owner == p.mailbox.owner &&
               mailbox->peer == p.mailbox.peer;
        if (good) {
            p.mailbox = *mailbox;
            good = finish(&p, stranger);
            *mailbox = p.mailbox;
        }
        poller_release(&p);
    }
    return good;
}
