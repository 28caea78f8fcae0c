/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* One node of a Redis Cluster: its connection, and the queue of unanswered commands. */
#include "shard/rnode.h"

#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "shard/base/clock.h"
#include "shard/base/log.h"
#include "shard/base/rnd.h"
#include "shard/base/wait.h"

#include "shard/rsock.h"

/* Pause after the first failure. */
#define PAUSE_MIN_MS 20

/* How often to check whether a name is resolved, since glibc does not notify us. */
#define RESOLVE_LOOK_MS 5

#define READ_BYTES 65536

/* Questions in the order in which they were asked: a ring that grows. */
struct tags {
    void **tag; /* owned */
    size_t room, first, n;
};

struct rnode {
    char host[RNODE_HOST_MAX];
    char port[8];
    const struct rnode_options *options; /* (ref) */
    enum rnode_state state;
    struct errmsg err;  /* how the last connection ended; "": none did yet */
    int pause_ms;       /* the last one; 0: it was up since */
    int64_t due_ms;     /* DOWN: when to connect; else when it has been silent too long */
    struct gaicb query; /* RESOLVING */
    struct rsock sock;
    struct rreader *reader; /* owned; NULL: not connected */
    struct buf out;
    size_t n_sent; /* bytes of OUT that have been sent */
    struct tags tags;
};

/* The tag of commands sent by this file itself. */
static char auth_tag;

/* ---- The questions ---- */

static bool tags_push(struct tags *tags, void *tag)
{
    if (tags->n == tags->room) {
        size_t room = tags->room == 0 ? 64 : 2 * tags->room;
        void **more = malloc(room * sizeof(void *));
        if (more == NULL) {
            return false;
        }
        for (size_t i = 0; i < tags->n; i++) {
            more[i] = tags->tag[(tags->first + i) % tags->room];
        }
        free(tags->tag);
        *tags = (struct tags){.tag = more, .room = room, .n = tags->n};
    }
    tags->tag[(tags->first + tags->n++) % tags->room] = tag;
    return true;
}

static void *tags_pop(struct tags *tags)
{
    void *tag = tags->tag[tags->first];

    tags->first = (tags->first + 1) % tags->room;
    tags->n--;
    return tag;
}

/* ---- Life ---- */

struct rnode *rnode_new(const char *host, unsigned port,
                        const struct rnode_options *options)
{
    struct rnode *node = calloc(1, sizeof *node);

    if (node == NULL || strlen(host) >= sizeof node->host) {
        free(node);
        return NULL;
    }
    (void)snprintf(node->host, sizeof node->host, "%s", host);
    (void)snprintf(node->port, sizeof node->port, "%u", port);
    node->options = options;
    node->sock.fd = -1;
    buf_init(&node->out, RNODE_OUT_BYTES_MAX);
    return node;
}

/* Deliver the answer to the oldest command, or NULL. */
static void deliver(struct rnode *node, struct rreply *reply)
{
    void *tag = tags_pop(&node->tags);

    if (tag == &auth_tag || tag == NULL) {
        rreply_free(&reply);
    } else {
        node->options->on_reply(node->options->context, node, tag, reply);
    }
}

/* End the connection: unanswered commands are lost. */
static void end(struct rnode *node)
{
    rsock_close(&node->sock);
    rreader_free(&node->reader);
    buf_clear(&node->out);
    node->n_sent = 0;
    node->state = RNODE_DOWN;
    /* Callbacks may send again, which is refused, because the state is DOWN. */
    for (size_t n = node->tags.n; n > 0; n--) {
        deliver(node, NULL);
    }
}

static void cancel_query(struct rnode *node)
{
    struct gaicb *query = &node->query;

    if (node->state == RNODE_RESOLVING && gai_cancel(query) == EAI_NOTCANCELED) {
        while (gai_error(query) == EAI_INPROGRESS) {
            (void)gai_suspend((const struct gaicb *const *)&query, 1, NULL);
        }
    }
    if (query->ar_result != NULL) {
        freeaddrinfo(query->ar_result);
        query->ar_result = NULL;
    }
}

void rnode_free(struct rnode **node)
{
    if (*node == NULL) {
        return;
    }
    cancel_query(*node);
    end(*node);
    free((*node)->tags.tag);
    free(*node);
    *node = NULL;
}

const char *rnode_host(const struct rnode *node)
{
    return node->host;
}

unsigned rnode_port(const struct rnode *node)
{
    return (unsigned)strtoul(node->port, NULL, 10);
}

enum rnode_state rnode_state(const struct rnode *node)
{
    return node->state;
}

const char *rnode_why(const struct rnode *node)
{
    return node->err.text;
}

size_t rnode_n_waiting(const struct rnode *node)
{
    return node->tags.n;
}

/* ---- Trouble ---- */

/* The connection has failed: try again later, after twice the pause each time, with
 * jitter, so that many servers do not reconnect at once. */
static void fail(struct rnode *node, const char *reason)
{
    bool is_news = node->state == RNODE_UP || node->err.text[0] == '\0';
    int pause_ms = node->pause_ms == 0 ? PAUSE_MIN_MS : 2 * node->pause_ms;

    (void)errmsg_set(&node->err, "%s", reason);
    if (is_news) {
        log_write(LOG_WARN, "redis_down", "node=%s:%s waiting=%zu why=\"%s\"", node->host,
                  node->port, node->tags.n, node->err.text);
    }
    cancel_query(node);
    if (pause_ms > node->options->pause_max_ms) {
        pause_ms = node->options->pause_max_ms;
    }
    node->pause_ms = pause_ms;
    node->due_ms = clock_mono_ms() + pause_ms - rnd_below((uint32_t)pause_ms / 2 + 1);
    end(node);
}

/* ---- From DOWN to UP ---- */

static void rise(struct rnode *node)
{
    node->state = RNODE_UP;
    node->pause_ms = 0;
    if (node->err.text[0] != '\0') {
        log_write(LOG_INFO, "redis_up", "node=%s:%s", node->host, node->port);
    }
}

/* The first command on a connection. */
static bool ask_auth(struct rnode *node)
{
    const char *user = node->options->user;
    const char *password = node->options->password;
    const char *with_user[] = {"AUTH", user, password};
    const char *without[] = {"AUTH", password};
    bool has_user = user[0] != '\0';

    return password[0] == '\0' ||
           (rwire_command(&node->out, has_user ? 3 : 2, has_user ? with_user : without,
                          /* lens= */ NULL) &&
            tags_push(&node->tags, &auth_tag));
}

static void begin_connect(struct rnode *node)
{
    const struct addrinfo *found = node->query.ar_result;

    CHECK(found != NULL);
    node->state = RNODE_CONNECTING;
    node->due_ms = clock_mono_ms() + node->options->timeout_ms;
    node->reader = rreader_new();
    bool is_begun = rsock_open(&node->sock, found->ai_addr, found->ai_addrlen,
                               node->options->tls, node->host);
    cancel_query(node);
    if (!is_begun) {
        fail(node, node->sock.err.text);
    } else if (node->reader == NULL || !ask_auth(node)) {
        fail(node, "out of memory");
    }
}

static void resolve(struct rnode *node)
{
    static const struct addrinfo numeric = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV,
                                            .ai_socktype = SOCK_STREAM};
    static const struct addrinfo named = {.ai_flags = AI_NUMERICSERV,
                                          .ai_socktype = SOCK_STREAM};
    struct gaicb *query = &node->query;

    *query = (struct gaicb){.ar_name = node->host, .ar_service = node->port};
    if (getaddrinfo(node->host, node->port, &numeric, &query->ar_result) == 0) {
        begin_connect(node);
        return;
    }
    query->ar_request = &named;
    node->state = RNODE_RESOLVING;
    node->due_ms = clock_mono_ms() + node->options->timeout_ms;
    int rc = getaddrinfo_a(GAI_NOWAIT, &query, 1, NULL);
    if (rc != 0) {
        node->state = RNODE_DOWN; /* nothing to cancel */
        fail(node, gai_strerror(rc));
    }
}

static void look_resolved(struct rnode *node)
{
    int rc = gai_error(&node->query);

    if (rc == 0) {
        begin_connect(node);
    } else if (rc != EAI_INPROGRESS) {
        fail(node, gai_strerror(rc));
    } else if (clock_mono_ms() >= node->due_ms) {
        fail(node, "its name is not resolved in time");
    }
}

static void look_connected(struct rnode *node)
{
    switch (rsock_ready(&node->sock)) {
    case RSOCK_DONE:
        if (node->options->password[0] == '\0') {
            rise(node);
        }
        break;
    case RSOCK_WAITS:
        break;
    case RSOCK_ENDED:
        fail(node, node->sock.err.text);
        break;
    }
}

/* ---- UP ---- */

/* Commands may be queued while the first connection is made; after a failure they are
 * refused. */
static bool takes_commands(struct rnode *node)
{
    if (node->state == RNODE_DOWN && node->err.text[0] == '\0') {
        resolve(node);
    }
    return node->state == RNODE_UP ||
           (node->state == RNODE_CONNECTING && node->pause_ms == 0);
}

bool rnode_send(struct rnode *node, const char *bytes, size_t len, void *tag)
{
    if (!takes_commands(node) || len > RNODE_OUT_BYTES_MAX - node->out.len ||
        !tags_push(&node->tags, tag)) {
        return false;
    }
    if (!buf_add(&node->out, bytes, len)) {
        node->out.failed = false;
        node->tags.n--;
        return false;
    }
    if (node->tags.n == 1) {
        node->due_ms = clock_mono_ms() + node->options->timeout_ms;
    }
    return true;
}

/* Drop what was sent, so that the buffer has only unsent bytes. */
static void forget_sent(struct rnode *node)
{
    node->out.len -= node->n_sent;
    if (node->out.len > 0) {
        memmove(node->out.data, node->out.data + node->n_sent, node->out.len);
    }
    node->n_sent = 0;
}

static void send_more(struct rnode *node)
{
    enum rsock_result result = RSOCK_DONE;

    while (result == RSOCK_DONE && node->n_sent < node->out.len) {
        size_t n;
        result = rsock_write(&node->sock, node->out.data + node->n_sent,
                             node->out.len - node->n_sent, &n);
        node->n_sent += n;
    }
    if (result == RSOCK_ENDED) {
        fail(node, node->sock.err.text);
    } else if (node->n_sent >= node->out.len / 2) {
        forget_sent(node);
    }
}

/* Take one reply. False: the connection has ended because of it. */
static bool take(struct rnode *node, struct rreply *reply)
{
    struct errmsg err;

    if (node->tags.n == 0) {
        rreply_free(&reply);
        fail(node, "it answers what nobody has asked");
        return false;
    }
    if (node->tags.tag[node->tags.first] == &auth_tag) {
        if (!rreply_says(reply, "OK")) {
            (void)errmsg_set(&err, "AUTH: %s",
                             reply->kind == RREPLY_ERROR ? reply->text
                                                         : "no answer to it");
            rreply_free(&reply);
            fail(node, err.text);
            return false;
        }
        rise(node);
    }
    deliver(node, reply);
    return true;
}

/* Take all complete replies. False: the connection has ended. */
static bool take_all(struct rnode *node)
{
    struct rreply *reply;

    do {
        if (!rreader_next(node->reader, &reply)) {
            fail(node, "it does not speak the protocol of Redis");
            return false;
        }
    } while (reply != NULL && take(node, reply));
    return node->state != RNODE_DOWN;
}

static void read_more(struct rnode *node)
{
    char data[READ_BYTES];
    size_t n;
    enum rsock_result result;

    while ((result = rsock_read(&node->sock, data, sizeof data, &n)) == RSOCK_DONE) {
        node->due_ms = clock_mono_ms() + node->options->timeout_ms;
        if (!rreader_feed(node->reader, data, n)) {
            fail(node, "out of memory");
            return;
        }
        if (!take_all(node) || (n < sizeof data && node->sock.ssl == NULL)) {
            return;
        }
    }
    if (result == RSOCK_ENDED) {
        fail(node, node->sock.err.text);
    }
}

static bool is_silent(const struct rnode *node)
{
    return (node->tags.n > 0 || node->state == RNODE_CONNECTING) &&
           clock_mono_ms() >= node->due_ms;
}

void rnode_run(struct rnode *node, short happened)
{
    if (node->state == RNODE_DOWN && clock_mono_ms() >= node->due_ms) {
        resolve(node);
    } else if (node->state == RNODE_RESOLVING) {
        look_resolved(node);
    }
    if (node->state == RNODE_CONNECTING && !node->sock.is_ready) {
        look_connected(node);
    }
    if (happened != 0 && node->sock.is_ready) {
        read_more(node);
    }
    if (node->state >= RNODE_CONNECTING && node->sock.is_ready) {
        send_more(node);
    }
    if (node->state >= RNODE_CONNECTING && is_silent(node)) {
        fail(node, "it does not answer in time");
    }
}

int rnode_wants(const struct rnode *node, short *events, int64_t *due_ms)
{
    bool has_news =
        node->state < RNODE_CONNECTING || node->tags.n > 0 || !node->sock.is_ready;

    *due_ms = !has_news                        ? WAIT_FOR_EVER
              : node->state == RNODE_RESOLVING ? clock_mono_ms() + RESOLVE_LOOK_MS
                                               : node->due_ms;
    *events = 0;
    if (node->sock.fd < 0) {
        return -1;
    }
    *events = node->sock.is_ready ? POLLIN : node->sock.wants;
    if (node->sock.is_ready && node->out.len > node->n_sent) {
        *events |= POLLOUT;
    }
    return node->sock.fd;
}
