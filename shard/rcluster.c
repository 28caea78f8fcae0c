/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* A client of a Redis Cluster: one thread, its inbox, and what it does with replies. */
#include "shard/rcluster.h"

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "shard/base/clock.h"
#include "shard/base/errmsg.h"
#include "shard/base/log.h"
#include "shard/base/wait.h"

#include "shard/rbatch.h"
#include "shard/rmap.h"
#include "shard/rnode.h"
#include "shard/rslot.h"
#include "shard/rsock.h"

/* How often a command is redirected or repeated. */
#define SENT_ON_MAX 5

/* The pause before repeating a command whose keys are moving. */
#define TRYAGAIN_PAUSE_MS 5

/* The pause between two requests for the table of slots, and its largest age. */
#define REFRESH_PAUSE_MS 100
#define REFRESH_EVERY_MS 60000

/* The same while some slots have no master: a replica may have taken them over. */
#define REFRESH_SICK_MS 1000

#define PAUSE_MAX_MS 1000

#define NOBODY UINT8_MAX
_Static_assert(RNODES_MAX < NOBODY, "a node's place fits in the table of slots");

struct rcluster {
    struct rnode_options node_options;
    struct seed {
        char *host; /* owned */
        unsigned port;
    } * seeds; /* owned */
    size_t n_seeds;
    char *user, *password;  /* owned */
    struct ssl_ctx_st *tls; /* owned; NULL: none */
    pthread_t thread;
    bool has_thread;
    int event_fd;
    atomic_size_t n_commands; /* under way */
    struct {
        pthread_mutex_t mutex;
        struct rbatch *first, **end;
        bool is_asleep; /* or about to sleep: a thread that puts something in wakes it */
        bool is_stopping;
    } inbox;

    /* Of the thread. */
    struct rnode *nodes[RNODES_MAX]; /* owned; NULL: free */
    uint8_t slots[RSLOTS];           /* the place of a master in NODES, or NOBODY */
    unsigned n_slots[NOBODY + 1];    /* of each of them */
    bool has_table;
    bool is_crowded;                       /* there may be nodes without slots */
    struct rcommand *paused, **paused_end; /* until due_ms, in the order of arrival */
    struct {
        bool is_wanted;
        bool is_asked;         /* a node has been asked and has not answered yet */
        size_t last;           /* place of the node asked last */
        int64_t not_before_ms; /* the budget */
        int64_t due_ms;        /* when the table is old */
    } refresh;

    struct {
        atomic_uint n_nodes, n_up, slots_served;
        atomic_uint_fast64_t commands, moved, asked, tryagain, unavailable, lost;
        atomic_uint_fast64_t refreshes, refreshes_failed;
    } count;
};

/* The tag of CLUSTER SLOTS. */
static char refresh_tag;

/* ---- How commands end ---- */

static void finish_batch(struct rbatch *batch)
{
    enum rbatch_phase phase = RBATCH_WAITED;

    if (atomic_compare_exchange_strong(&batch->phase, &phase, RBATCH_DONE)) {
        parker_post(&batch->parker);
    }
    rbatch_unref(batch);
}

static void finish(struct rcluster *cluster, struct rcommand *command,
                   enum rstatus status, struct rreply *reply)
{
    struct rbatch *batch = command->batch;

    if (status == RSTATUS_UNAVAILABLE) {
        atomic_fetch_add(&cluster->count.unavailable, 1);
    } else if (status == RSTATUS_LOST) {
        atomic_fetch_add(&cluster->count.lost, 1);
    }
    atomic_fetch_sub(&cluster->n_commands, 1);
    command->reply = reply;
    atomic_store(&command->status, status);
    if (--batch->n_left == 0) {
        finish_batch(batch);
    }
}

/* ---- Nodes ---- */

static size_t place_of(const struct rcluster *cluster, const char *host, unsigned port)
{
    for (size_t i = 0; i < RNODES_MAX; i++) {
        const struct rnode *node = cluster->nodes[i];
        if (node != NULL && rnode_port(node) == port &&
            strcmp(rnode_host(node), host) == 0) {
            return i;
        }
    }
    return NOBODY;
}

/* The place of the node, added if it is new; NOBODY: there is no room. */
static size_t meet(struct rcluster *cluster, const char *host, unsigned port)
{
    size_t place = place_of(cluster, host, port);

    for (size_t i = 0; place == NOBODY && i < RNODES_MAX; i++) {
        if (cluster->nodes[i] == NULL) {
            cluster->nodes[i] = rnode_new(host, port, &cluster->node_options);
            if (cluster->nodes[i] == NULL) {
                return NOBODY;
            }
            place = i;
        }
    }
    return place;
}

static bool is_seed(const struct rcluster *cluster, const struct rnode *node)
{
    for (size_t i = 0; i < cluster->n_seeds; i++) {
        if (cluster->seeds[i].port == rnode_port(node) &&
            strcmp(cluster->seeds[i].host, rnode_host(node)) == 0) {
            return true;
        }
    }
    return false;
}

/* Forget nodes without slots; not called while one of them is running. */
static void forget_nodes(struct rcluster *cluster)
{
    for (size_t i = 0; i < RNODES_MAX && cluster->is_crowded; i++) {
        struct rnode *node = cluster->nodes[i];
        if (node != NULL && cluster->n_slots[i] == 0 && !is_seed(cluster, node) &&
            rnode_n_waiting(node) == 0) {
            rnode_free(&cluster->nodes[i]);
        }
    }
    cluster->is_crowded = false;
}

static void set_slot(struct rcluster *cluster, size_t slot, size_t place)
{
    cluster->n_slots[cluster->slots[slot]]--;
    cluster->n_slots[place]++;
    cluster->slots[slot] = (uint8_t)place;
}

/* ---- Where commands go ---- */

static bool send_to(struct rnode *node, struct rcommand *command)
{
    return rnode_send(node, command->batch->wire.data + command->begin, command->len,
                      command);
}

static void pause_command(struct rcluster *cluster, struct rcommand *command,
                          int64_t due_ms)
{
    command->due_ms = due_ms;
    command->next = NULL;
    *cluster->paused_end = command;
    cluster->paused_end = &command->next;
}

/* May a node still answer which slots it has? Not when all have failed. */
static bool has_hope(const struct rcluster *cluster)
{
    bool has = cluster->has_table;

    for (size_t i = 0; i < RNODES_MAX && !has; i++) {
        const struct rnode *node = cluster->nodes[i];
        has =
            node != NULL && (rnode_state(node) == RNODE_UP || rnode_why(node)[0] == '\0');
    }
    return has;
}

/* Send it to the master of its slot. */
static void dispatch(struct rcluster *cluster, struct rcommand *command)
{
    uint8_t place = cluster->slots[command->slot];

    if (!cluster->has_table && has_hope(cluster) &&
        clock_mono_ms() < command->batch->deadline_ms) {
        pause_command(cluster, command, command->batch->deadline_ms);
        return;
    }
    if (place == NOBODY || !send_to(cluster->nodes[place], command)) {
        cluster->refresh.is_wanted = true;
        finish(cluster, command, RSTATUS_UNAVAILABLE, NULL);
    }
}

/* Resume paused commands that are due; all of them when the table is new, or will not
 * come. */
static void resume_commands(struct rcluster *cluster, bool all)
{
    int64_t now_ms = clock_mono_ms();
    struct rcommand *next = cluster->paused;

    cluster->paused = NULL;
    cluster->paused_end = &cluster->paused;
    while (next != NULL) {
        struct rcommand *command = next;
        next = command->next;
        if (all || command->due_ms <= now_ms) {
            dispatch(cluster, command);
        } else {
            pause_command(cluster, command, command->due_ms);
        }
    }
}

static bool send_plain(struct rnode *node, int argc, const char **argv, void *tag)
{
    struct buf buf;

    buf_init(&buf, RNODE_OUT_BYTES_MAX);
    bool is_sent = rwire_command(&buf, argc, argv, /* lens= */ NULL) &&
                   rnode_send(node, buf.data, buf.len, tag);
    buf_clear(&buf);
    return is_sent;
}

/* Send it to NODE, against the table, with FIRST before it. */
static void send_after(struct rcluster *cluster, struct rnode *node,
                       struct rcommand *command, int argc, const char **first)
{
    if (!send_plain(node, argc, first, NULL) || !send_to(node, command)) {
        finish(cluster, command, RSTATUS_UNAVAILABLE, NULL);
    }
}

/* The node says that SLOT is elsewhere. */
static void send_on(struct rcluster *cluster, struct rcommand *command, enum rerror error,
                    uint16_t slot, const struct rendpoint *there)
{
    size_t place = meet(cluster, there->host, there->port);

    if (place == NOBODY) {
        finish(cluster, command, RSTATUS_UNAVAILABLE, NULL);
    } else if (error == RERROR_ASK) {
        atomic_fetch_add(&cluster->count.asked, 1);
        send_after(cluster, cluster->nodes[place], command, 1,
                   (const char *[]){"ASKING"});
    } else {
        atomic_fetch_add(&cluster->count.moved, 1);
        set_slot(cluster, slot, place);
        cluster->refresh.is_wanted = true;
        dispatch(cluster, command);
    }
}

/* NODE refuses COMMAND by REPLY. */
static void take_error(struct rcluster *cluster, struct rnode *node,
                       struct rcommand *command, struct rreply *reply)
{
    struct rendpoint there;
    uint16_t slot;
    enum rerror error = rmap_error(reply, rnode_host(node), &slot, &there);
    bool may_go_on = error != RERROR_OTHER && error != RERROR_DOWN &&
                     ++command->n_sent_on <= SENT_ON_MAX &&
                     clock_mono_ms() < command->batch->deadline_ms;

    if (error == RERROR_OTHER || (error == RERROR_NOSCRIPT && command->script == NULL)) {
        finish(cluster, command, RSTATUS_REFUSED, reply);
        return;
    }
    rreply_free(&reply);
    if (!may_go_on) {
        cluster->refresh.is_wanted = true;
        finish(cluster, command, RSTATUS_UNAVAILABLE, NULL);
    } else if (error == RERROR_TRYAGAIN) {
        atomic_fetch_add(&cluster->count.tryagain, 1);
        pause_command(cluster, command, clock_mono_ms() + TRYAGAIN_PAUSE_MS);
    } else if (error == RERROR_NOSCRIPT) {
        send_after(cluster, node, command, 3,
                   (const char *[]){"SCRIPT", "LOAD", command->script->text});
    } else {
        send_on(cluster, command, error, slot, &there);
    }
}

/* ---- The table of slots ---- */

static void apply(struct rcluster *cluster, const struct rrange *ranges, size_t n)
{
    for (size_t slot = 0; slot < RSLOTS; slot++) {
        set_slot(cluster, slot, NOBODY);
    }
    for (size_t i = 0; i < n; i++) {
        size_t place = meet(cluster, ranges[i].master.host, ranges[i].master.port);
        for (size_t slot = ranges[i].first; slot <= ranges[i].last; slot++) {
            set_slot(cluster, slot, place);
        }
    }
    cluster->has_table = true;
    cluster->is_crowded = true;
    resume_commands(cluster, true);
}

static void take_table(struct rcluster *cluster, struct rnode *node, struct rreply *reply)
{
    struct rrange *ranges = NULL;
    size_t n = 0;
    struct errmsg err;
    int64_t now_ms = clock_mono_ms();

    cluster->refresh.is_asked = false;
    cluster->refresh.not_before_ms = now_ms + REFRESH_PAUSE_MS;
    if (reply != NULL && rmap_read(reply, rnode_host(node), &ranges, &n, &err)) {
        atomic_fetch_add(&cluster->count.refreshes, 1);
        cluster->refresh.due_ms = now_ms + REFRESH_EVERY_MS;
        apply(cluster, ranges, n);
    } else {
        atomic_fetch_add(&cluster->count.refreshes_failed, 1);
        cluster->refresh.is_wanted = true;
        if (reply != NULL) {
            log_write(LOG_WARN, "redis_table", "node=%s:%u why=\"%s\"", rnode_host(node),
                      rnode_port(node), err.text);
        }
    }
    free(ranges);
    rreply_free(&reply);
}

/* Ask the next node that is up; if there is none, try again after a pause. */
static void ask_table(struct rcluster *cluster)
{
    for (size_t i = 1; i <= RNODES_MAX; i++) {
        size_t place = (cluster->refresh.last + i) % RNODES_MAX;
        struct rnode *node = cluster->nodes[place];
        if (node != NULL && rnode_state(node) == RNODE_UP &&
            send_plain(node, 2, (const char *[]){"CLUSTER", "SLOTS"}, &refresh_tag)) {
            cluster->refresh.last = place;
            cluster->refresh.is_asked = true;
            cluster->refresh.is_wanted = false;
            return;
        }
    }
    cluster->refresh.is_wanted = true;
    cluster->refresh.not_before_ms = clock_mono_ms() + REFRESH_PAUSE_MS;
    atomic_fetch_add(&cluster->count.refreshes_failed, 1);
}

/* When to ask for the table. */
static int64_t refresh_due_ms(const struct rcluster *cluster)
{
    if (cluster->refresh.is_wanted) {
        return cluster->refresh.not_before_ms;
    }
    return atomic_load(&cluster->count.slots_served) == RSLOTS
               ? cluster->refresh.due_ms
               : clock_earlier(cluster->refresh.due_ms,
                               cluster->refresh.not_before_ms + REFRESH_SICK_MS);
}

static void look_at_table(struct rcluster *cluster)
{
    if (!cluster->refresh.is_asked && clock_mono_ms() >= refresh_due_ms(cluster)) {
        ask_table(cluster);
    }
}

static void on_reply(void *context, struct rnode *node, void *tag, struct rreply *reply)
{
    struct rcluster *cluster = context;

    if (tag == &refresh_tag) {
        take_table(cluster, node, reply);
    } else if (reply == NULL) {
        cluster->refresh.is_wanted = true;
        finish(cluster, tag, RSTATUS_LOST, NULL);
    } else if (reply->kind == RREPLY_ERROR) {
        take_error(cluster, node, tag, reply);
    } else {
        finish(cluster, tag, RSTATUS_OK, reply);
    }
}

/* ---- The thread ---- */

/* Take what has come in. False: it is time to stop. */
static bool take_inbox(struct rcluster *cluster)
{
    (void)pthread_mutex_lock(&cluster->inbox.mutex);
    struct rbatch *next = cluster->inbox.first;
    bool goes_on = !cluster->inbox.is_stopping;
    cluster->inbox.first = NULL;
    cluster->inbox.end = &cluster->inbox.first;
    cluster->inbox.is_asleep = false;
    (void)pthread_mutex_unlock(&cluster->inbox.mutex);

    while (next != NULL) {
        struct rbatch *batch = next;
        size_t n = batch->n;
        next = batch->next;
        for (size_t i = 0; i < n; i++) { /* the last one may free it */
            dispatch(cluster, &batch->commands[i]);
        }
    }
    return goes_on;
}

/* Is there nothing to do but wait? A thread that puts something in from now on wakes
 * it. */
static bool fall_asleep(struct rcluster *cluster)
{
    (void)pthread_mutex_lock(&cluster->inbox.mutex);
    bool is_asleep = cluster->inbox.first == NULL && !cluster->inbox.is_stopping;
    cluster->inbox.is_asleep = is_asleep;
    (void)pthread_mutex_unlock(&cluster->inbox.mutex);
    return is_asleep;
}

/* When something is due that does not belong to a node. */
static int64_t next_due_ms(const struct rcluster *cluster)
{
    int64_t due_ms = cluster->refresh.is_asked ? WAIT_FOR_EVER : refresh_due_ms(cluster);

    for (const struct rcommand *c = cluster->paused; c != NULL; c = c->next) {
        due_ms = clock_earlier(due_ms, c->due_ms);
    }
    return due_ms;
}

/* Wait for events of the nodes and of the inbox; sets HAPPENED for each node. */
static void wait_for_news(struct rcluster *cluster, short happened[RNODES_MAX])
{
    struct wait_fd fds[RNODES_MAX + 1];
    size_t place[RNODES_MAX + 1];
    size_t n = 1;
    int64_t deadline_ms = next_due_ms(cluster);

    memset(happened, 0, RNODES_MAX * sizeof *happened);
    fds[0] = (struct wait_fd){.fd = cluster->event_fd, .events = POLLIN};
    for (size_t i = 0; i < RNODES_MAX; i++) {
        int64_t due_ms;
        short events;
        if (cluster->nodes[i] != NULL) {
            int fd = rnode_wants(cluster->nodes[i], &events, &due_ms);
            deadline_ms = clock_earlier(deadline_ms, due_ms);
            if (fd >= 0) {
                fds[n] = (struct wait_fd){.fd = fd, .events = events};
                fds[n - 1].next = &fds[n];
                place[n++] = i;
            }
        }
    }
    if (!fall_asleep(cluster)) {
        deadline_ms = 0;
    }
    if (wait_fds(fds, deadline_ms)) {
        for (size_t i = 1; i < n; i++) {
            happened[place[i]] = fds[i].revents;
        }
    }
    if (fds[0].revents != 0) {
        eventfd_t ignored;
        (void)eventfd_read(cluster->event_fd, &ignored);
    }
}

static void show_state(struct rcluster *cluster)
{
    unsigned n_nodes = 0;
    unsigned n_up = 0;
    unsigned served = 0;

    for (size_t i = 0; i < RNODES_MAX; i++) {
        const struct rnode *node = cluster->nodes[i];
        bool is_up = node != NULL && rnode_state(node) == RNODE_UP;
        n_nodes += node != NULL;
        n_up += is_up;
        served += is_up ? cluster->n_slots[i] : 0;
    }
    atomic_store(&cluster->count.n_nodes, n_nodes);
    atomic_store(&cluster->count.n_up, n_up);
    atomic_store(&cluster->count.slots_served, served);
}

static void *run(void *argument)
{
    struct rcluster *cluster = argument;
    short happened[RNODES_MAX] = {0};

    while (take_inbox(cluster)) {
        resume_commands(cluster, !has_hope(cluster));
        look_at_table(cluster);
        for (size_t i = 0; i < RNODES_MAX; i++) {
            if (cluster->nodes[i] != NULL) {
                rnode_run(cluster->nodes[i], happened[i]);
            }
        }
        forget_nodes(cluster);
        show_state(cluster);
        wait_for_news(cluster, happened);
    }
    return NULL;
}

/* ---- Callers ---- */

static void put_in(struct rcluster *cluster, struct rbatch *batch)
{
    batch->next = NULL;
    (void)pthread_mutex_lock(&cluster->inbox.mutex);
    *cluster->inbox.end = batch;
    cluster->inbox.end = &batch->next;
    bool is_asleep = cluster->inbox.is_asleep;
    cluster->inbox.is_asleep = false;
    (void)pthread_mutex_unlock(&cluster->inbox.mutex);
    if (is_asleep) {
        (void)eventfd_write(cluster->event_fd, 1);
    }
}

/* May N more commands be under way? */
static bool admit(struct rcluster *cluster, size_t n)
{
    if (atomic_fetch_add(&cluster->n_commands, n) + n <= RCOMMANDS_MAX) {
        atomic_fetch_add(&cluster->count.commands, n);
        return true;
    }
    atomic_fetch_sub(&cluster->n_commands, n);
    atomic_fetch_add(&cluster->count.unavailable, n);
    return false;
}

void rcluster_run(struct rcluster *cluster, struct rbatch *batch, int64_t deadline_ms)
{
    enum rbatch_phase phase = RBATCH_WAITED;

    if (batch->n == 0 || !admit(cluster, batch->n)) {
        for (size_t i = 0; i < batch->n; i++) {
            atomic_store(&batch->commands[i].status, RSTATUS_UNAVAILABLE);
        }
        return;
    }
    batch->deadline_ms = deadline_ms;
    batch->n_left = batch->n;
    parker_init(&batch->parker);
    atomic_fetch_add(&batch->refs, 1);
    put_in(cluster, batch);
    if (!parker_wait(&batch->parker, deadline_ms) &&
        !atomic_compare_exchange_strong(&batch->phase, &phase, RBATCH_LEFT)) {
        CHECK(parker_wait(&batch->parker, WAIT_FOR_EVER)); /* it will be posted soon */
    }
    parker_release(&batch->parker);
}

void rcluster_state(struct rcluster *cluster, struct rcluster_state *state)
{
    *state = (struct rcluster_state){
        .n_nodes = atomic_load(&cluster->count.n_nodes),
        .n_up = atomic_load(&cluster->count.n_up),
        .slots_served = atomic_load(&cluster->count.slots_served),
        .commands_total = atomic_load(&cluster->count.commands),
        .moved_total = atomic_load(&cluster->count.moved),
        .asked_total = atomic_load(&cluster->count.asked),
        .tryagain_total = atomic_load(&cluster->count.tryagain),
        .unavailable_total = atomic_load(&cluster->count.unavailable),
        .lost_total = atomic_load(&cluster->count.lost),
        .refreshes_total = atomic_load(&cluster->count.refreshes),
        .refreshes_failed_total = atomic_load(&cluster->count.refreshes_failed),
    };
}

/* ---- Life ---- */

static bool copy_seeds(struct rcluster *cluster, const struct rcluster_options *options)
{
    cluster->seeds = calloc(options->n_nodes, sizeof *cluster->seeds);
    for (size_t i = 0; cluster->seeds != NULL && i < options->n_nodes; i++) {
        cluster->seeds[i].port = options->nodes[i].port;
        cluster->seeds[i].host = strdup(options->nodes[i].host);
        cluster->n_seeds++;
        if (cluster->seeds[i].host == NULL ||
            meet(cluster, options->nodes[i].host, options->nodes[i].port) == NOBODY) {
            return false;
        }
    }
    return cluster->seeds != NULL;
}

static bool copy_options(struct rcluster *cluster, const struct rcluster_options *options)
{
    cluster->user = strdup(options->user);
    cluster->password = strdup(options->password);
    cluster->node_options = (struct rnode_options){.user = cluster->user,
                                                   .password = cluster->password,
                                                   .tls = cluster->tls,
                                                   .timeout_ms = options->timeout_ms,
                                                   .pause_max_ms = PAUSE_MAX_MS,
                                                   .on_reply = on_reply,
                                                   .context = cluster};
    return cluster->user != NULL && cluster->password != NULL &&
           copy_seeds(cluster, options);
}

static bool begin(struct rcluster *cluster, const struct rcluster_options *options,
                  struct errmsg *err)
{
    (void)pthread_mutex_init(&cluster->inbox.mutex, NULL);
    cluster->inbox.end = &cluster->inbox.first;
    cluster->paused_end = &cluster->paused;
    memset(cluster->slots, NOBODY, sizeof cluster->slots);
    cluster->n_slots[NOBODY] = RSLOTS;
    cluster->refresh.is_wanted = true;
    cluster->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (options->tls_ca[0] != '\0') {
        cluster->tls = rsock_tls_new(options->tls_ca, err);
        if (cluster->tls == NULL) {
            return false;
        }
    }
    (void)errmsg_set(err, "memory, threads or file descriptors are short");
    if (cluster->event_fd < 0 || !copy_options(cluster, options)) {
        return false;
    }
    cluster->has_thread = pthread_create(&cluster->thread, NULL, run, cluster) == 0;
    return cluster->has_thread;
}

struct rcluster *rcluster_new(const struct rcluster_options *options, struct errmsg *err)
{
    CHECK(options->n_nodes > 0 && options->n_nodes <= RNODES_MAX / 2);
    struct rcluster *cluster = calloc(1, sizeof *cluster);

    if (cluster == NULL) {
        (void)errmsg_set(err, "out of memory");
    } else if (!begin(cluster, options, err)) {
        rcluster_free(&cluster);
    }
    return cluster;
}

static void stop(struct rcluster *cluster)
{
    (void)pthread_mutex_lock(&cluster->inbox.mutex);
    cluster->inbox.is_stopping = true;
    (void)pthread_mutex_unlock(&cluster->inbox.mutex);
    (void)eventfd_write(cluster->event_fd, 1);
    (void)pthread_join(cluster->thread, NULL);
}

/* End the batches that callers have left behind. */
static void finish_all(struct rcluster *cluster)
{
    cluster->has_table = true; /* nothing waits for it any more */
    for (size_t slot = 0; slot < RSLOTS; slot++) {
        set_slot(cluster, slot, NOBODY);
    }
    (void)take_inbox(cluster);
    resume_commands(cluster, true);
    for (size_t i = 0; i < RNODES_MAX; i++) {
        rnode_free(&cluster->nodes[i]);
    }
}

void rcluster_free(struct rcluster **cluster)
{
    struct rcluster *c = *cluster;

    *cluster = NULL;
    if (c == NULL) {
        return;
    }
    if (c->has_thread) {
        stop(c);
    }
    finish_all(c);
    for (size_t i = 0; i < c->n_seeds; i++) {
        free(c->seeds[i].host);
    }
    free(c->seeds);
    free(c->user);
    free(c->password);
    rsock_tls_free(&c->tls);
    if (c->event_fd >= 0) {
        (void)close(c->event_fd);
    }
    (void)pthread_mutex_destroy(&c->inbox.mutex);
    free(c);
}
