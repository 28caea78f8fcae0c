/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Listeners, connections, and shutting them down. */
#include "server/http/http.h"

#include <errno.h>
#include <microhttpd.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "shard/base/address.h"
#include "shard/base/clock.h"
#include "shard/base/log.h"

#include "server/base/app.h"
#include "server/base/metrics.h"
#include "server/config/config.h"
#include "server/http/exchange.h"
#include "server/http/reaper.h"
#include "server/request/request.h"

/* The increment by which a connection's buffer grows. */
#define READ_INCREMENT_BYTES  ((size_t)32 << 10)
#define ADMIN_CONNECTIONS_MAX 64u
#define LISTEN_BACKLOG        1024

/* Limit of connections that are being told "busy". */
#define REFUSED_MAX 1024u

#define N_LISTENERS 2

struct listener;

/* One daemon of the library: one thread. */
struct loop {
    struct listener *listener; /* (ref) */
    struct exchange_place place;
    struct MHD_Daemon *daemon;
};

struct listener {
    struct http *http; /* (ref) */
    enum route_listener kind;
    int fd; /* listening socket; ours to close */
    unsigned port;
    atomic_bool closing;  /* no connection is accepted or kept any more */
    atomic_uint n_active; /* requests begun and not finished */
    atomic_uint n_conns;  /* connections open */
    atomic_uint n_served; /* open connections that were not refused */
    unsigned served_max;
    /* All on one socket. Not one daemon with a thread pool, because quiescing that can
     * abort the process when one of its threads notices at the same time. */
    struct loop *loops;
    unsigned n_loops;
};

struct http {
    struct app *app;                  /* (ref) */
    const struct route_table *routes; /* (ref) */
    struct reaper *reaper;
    struct listener listeners[N_LISTENERS];
    struct {
        pthread_mutex_t mutex;
        pthread_cond_t quiet; /* the last connection of a closing listener ended */
    } shared;
};

/* ---- The library's callbacks ---- */

static struct exchange_conn *conn_of(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

    return info != NULL ? info->socket_context : NULL;
}

/* The request line is there. TARGET is decoded in place after this. */
static void *target_cb(void *cls, const char *target, struct MHD_Connection *connection)
{
    struct loop *loop = cls;
    struct exchange_conn *conn = conn_of(connection);
    struct exchange *ex = NULL;

    if (conn != NULL && !conn->refused) {
        ex = exchange_new(&loop->place, connection, conn, target != NULL ? target : "");
    }
    if (ex != NULL) {
        (void)atomic_fetch_add(&loop->listener->n_active, 1);
    }
    return ex;
}

// NOLINTNEXTLINE(readability-function-size): the library says what the parameters are
static enum MHD_Result request_cb(void *cls, struct MHD_Connection *connection,
                                  const char *url, const char *method,
                                  const char *version, const char *data, size_t *data_len,
                                  void **context)
{
    struct exchange *ex = *context;

    (void)cls;
    (void)connection;
    (void)url; /* cut at a NUL byte; framing_path() decodes the target itself */
    if (ex == NULL) {
        return MHD_NO; /* there was no memory when the request began */
    }
    return exchange_step(ex, method, version, data, data_len) ? MHD_YES : MHD_NO;
}

static void completed_cb(void *cls, struct MHD_Connection *connection, void **context,
                         enum MHD_RequestTerminationCode code)
{
    static const char *const ends[] = {
        [MHD_REQUEST_TERMINATED_COMPLETED_OK] = "done",
        [MHD_REQUEST_TERMINATED_WITH_ERROR] = "error",
        [MHD_REQUEST_TERMINATED_TIMEOUT_REACHED] = "timeout",
        [MHD_REQUEST_TERMINATED_DAEMON_SHUTDOWN] = "shutdown",
        [MHD_REQUEST_TERMINATED_READ_ERROR] = "left",
        [MHD_REQUEST_TERMINATED_CLIENT_ABORT] = "left",
    };
    struct listener *listener = ((struct loop *)cls)->listener;
    struct exchange *ex = *context;

    (void)connection;
    if (ex == NULL) {
        return;
    }
    *context = NULL;
    exchange_end(&ex, (size_t)code < ARRAY_LEN(ends) ? ends[code] : "unknown",
                 code == MHD_REQUEST_TERMINATED_WITH_ERROR);
    (void)atomic_fetch_sub(&listener->n_active, 1);
}

/* Answer a connection beyond the limit at once: "busy". The library would leave it
 * waiting in the listening socket's queue. */
static void refuse_newcomer(struct http *http, struct exchange_conn *conn)
{
    struct request req;

    conn->refused = true;
    metrics_add(http->app->metrics, METRIC_HTTP_CONNECTIONS_REFUSED, 1);
    request_init(&req, http->app, clock_mono_ms());
    reply_error(&req, ERROR_BUSY, NULL);
    reply_send_now(&req, conn->watch.fd);
    request_release(&req);
    if (!reaper_linger(http->reaper, conn->watch.fd)) {
        (void)shutdown(conn->watch.fd, SHUT_RDWR);
    }
}

static void begin_connection(struct listener *listener, struct exchange_conn *conn,
                             int fd)
{
    struct http *http = listener->http;

    reaper_add(http->reaper, &conn->watch, fd);
    conn->expects_more = true; /* of a request line that the library refuses */
    metrics_add(http->app->metrics, METRIC_HTTP_CONNECTIONS, 1);
    (void)atomic_fetch_add(&listener->n_conns, 1);
    if (atomic_fetch_add(&listener->n_served, 1) >= listener->served_max) {
        (void)atomic_fetch_sub(&listener->n_served, 1);
        refuse_newcomer(http, conn);
    }
}

/* May the client still be sending when we close? */
static bool must_linger(const struct exchange_conn *conn)
{
    char byte;
    ssize_t n;

    if (conn->watch.shut) {
        return false;
    }
    n = recv(conn->watch.fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return n > 0 ||
           (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK) && conn->expects_more);
}

static void connection_cb(void *cls, struct MHD_Connection *connection, void **context,
                          enum MHD_ConnectionNotificationCode code)
{
    struct listener *listener = ((struct loop *)cls)->listener;
    struct http *http = listener->http;
    struct exchange_conn *conn = *context;
    const union MHD_ConnectionInfo *info;

    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
        conn = info != NULL ? calloc(1, sizeof *conn) : NULL;
        *context = conn;
        if (conn != NULL) {
            begin_connection(listener, conn, info->connect_fd);
        }
        return;
    }
    if (conn == NULL) {
        return;
    }
    *context = NULL;
    reaper_remove(http->reaper, &conn->watch);
    if (!conn->refused) {
        (void)atomic_fetch_sub(&listener->n_served, 1);
        if (must_linger(conn)) {
            (void)reaper_linger(http->reaper, conn->watch.fd);
        }
    }
    free(conn);
    metrics_add(http->app->metrics, METRIC_HTTP_CONNECTIONS, -1);
    if (atomic_fetch_sub(&listener->n_conns, 1) == 1 && atomic_load(&listener->closing)) {
        (void)pthread_mutex_lock(&http->shared.mutex);
        (void)pthread_cond_signal(&http->shared.quiet);
        (void)pthread_mutex_unlock(&http->shared.mutex);
    }
}

__attribute__((format(printf, 2, 0))) static void library_log(void *cls, const char *fmt,
                                                              va_list args)
{
    struct loop *loop = cls;
    char text[256];

    if (strstr(fmt, "Content-Length") != NULL) {
        exchange_refuse_length(&loop->place);
    } else if (strstr(fmt, "Not enough memory in pool") != NULL) {
        exchange_refuse_header(&loop->place);
    }
    if (log_enabled(LOG_DEBUG)) {
        (void)vsnprintf(text, sizeof text, fmt, args);
        text[strcspn(text, "\n")] = '\0';
        log_write(LOG_DEBUG, "microhttpd", "text=\"%s\"", text);
    }
}

/* ---- Life cycle ---- */

/* Open the listening socket. False: the log says why. */
static bool open_socket(struct listener *listener, const char *host, int port)
{
    struct sockaddr_storage addr;
    socklen_t len = address_to_socket(host, (unsigned)port, &addr);
    int one = 1;
    int fd;

    if (len == 0) {
        log_write(LOG_ERROR, "listen_failed",
                  "host=\"%s\" error=\"not a numeric address\"", host);
        return false;
    }
    fd = socket(addr.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) != 0 ||
        bind(fd, (struct sockaddr *)&addr, len) != 0 || listen(fd, LISTEN_BACKLOG) != 0 ||
        getsockname(fd, (struct sockaddr *)&addr, &len) != 0) {
        log_write(LOG_ERROR, "listen_failed", "host=\"%s\" port=%d errno=%d", host, port,
                  errno);
        if (fd >= 0) {
            (void)close(fd);
        }
        return false;
    }
    listener->fd = fd;
    listener->port = address_port(&addr);
    log_write(LOG_INFO, "listening", "listener=%s host=\"%s\" port=%u",
              listener->kind == LISTENER_ADMIN ? "admin" : "public", host,
              listener->port);
    return true;
}

struct http *http_new(struct app *app, const struct route_table *routes)
{
    const struct config *config = app_config(app);
    struct http *http = calloc(1, sizeof *http);

    if (http == NULL) {
        return NULL;
    }
    http->app = app;
    http->routes = routes;
    (void)pthread_mutex_init(&http->shared.mutex, NULL);
    (void)pthread_cond_init(&http->shared.quiet, NULL);
    for (size_t i = 0; i < N_LISTENERS; i++) {
        http->listeners[i].http = http;
        http->listeners[i].kind = (enum route_listener)i;
        http->listeners[i].fd = -1;
    }
    http->reaper = reaper_new(app);
    if (http->reaper == NULL ||
        !open_socket(&http->listeners[LISTENER_PUBLIC], config->listen_host,
                     config->listen_port) ||
        !open_socket(&http->listeners[LISTENER_ADMIN], config->admin_host,
                     config->admin_port)) {
        http_free(&http);
    }
    return http;
}

unsigned http_port(const struct http *http, enum route_listener listener)
{
    return http->listeners[listener].port;
}

static bool start_loop(struct loop *loop, unsigned connections_max)
{
    loop->daemon = MHD_start_daemon(
        MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_TURBO | MHD_ALLOW_SUSPEND_RESUME |
            MHD_USE_ERROR_LOG,
        0, NULL, NULL, request_cb, loop,
        /* first, so that it logs errors of the other options */
        MHD_OPTION_EXTERNAL_LOGGER, library_log, loop, MHD_OPTION_LISTEN_SOCKET,
        loop->listener->fd, MHD_OPTION_CONNECTION_LIMIT, connections_max,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, HTTP_CONNECTION_BYTES,
        MHD_OPTION_CONNECTION_MEMORY_INCREMENT, READ_INCREMENT_BYTES,
        MHD_OPTION_CONNECTION_TIMEOUT, 0u, MHD_OPTION_URI_LOG_CALLBACK, target_cb, loop,
        MHD_OPTION_NOTIFY_COMPLETED, completed_cb, loop, MHD_OPTION_NOTIFY_CONNECTION,
        connection_cb, loop, MHD_OPTION_END);
    return loop->daemon != NULL;
}

static bool start_listener(struct listener *listener, unsigned n_threads,
                           unsigned connections_max)
{
    listener->served_max = connections_max;
    listener->loops = calloc(n_threads, sizeof(struct loop));
    while (listener->loops != NULL && listener->n_loops < n_threads) {
        struct loop *loop = &listener->loops[listener->n_loops];

        loop->listener = listener;
        loop->place.app = listener->http->app;
        loop->place.routes = listener->http->routes;
        loop->place.listener = listener->kind;
        loop->place.closing = &listener->closing;
        if (!start_loop(loop, connections_max + REFUSED_MAX)) {
            break;
        }
        listener->n_loops++;
    }
    if (listener->n_loops < n_threads) {
        log_write(LOG_ERROR, "http_start_failed", "port=%u threads=%u started=%u",
                  listener->port, n_threads, listener->n_loops);
    }
    return listener->n_loops == n_threads;
}

bool http_start(struct http *http)
{
    const struct config *config = app_config(http->app);

    return start_listener(&http->listeners[LISTENER_PUBLIC],
                          config_threads(config->http_threads),
                          (unsigned)config->connections_max) &&
           start_listener(&http->listeners[LISTENER_ADMIN], 1, ADMIN_CONNECTIONS_MAX);
}

static void quiesce_listener(struct listener *listener)
{
    for (unsigned i = 0; i < listener->n_loops; i++) {
        (void)MHD_quiesce_daemon(listener->loops[i].daemon);
    }
}

void http_quiesce(struct http *http)
{
    struct listener *listener = &http->listeners[LISTENER_PUBLIC];

    atomic_store(&listener->closing, true);
    quiesce_listener(listener);
    /* Refuse newcomers at once; those in the backlog would wait for ever. */
    (void)shutdown(listener->fd, SHUT_RDWR);
    reaper_drain(http->reaper);
}

unsigned http_drain(struct http *http, int64_t deadline_ms)
{
    struct timespec until = clock_timespec(deadline_ms);
    const struct listener *listener = &http->listeners[LISTENER_PUBLIC];
    int rc = 0;

    (void)pthread_mutex_lock(&http->shared.mutex);
    while (atomic_load(&listener->n_conns) > 0 && rc != ETIMEDOUT) {
        rc = pthread_cond_clockwait(&http->shared.quiet, &http->shared.mutex,
                                    CLOCK_MONOTONIC, &until);
    }
    (void)pthread_mutex_unlock(&http->shared.mutex);
    return atomic_load(&listener->n_active);
}

void http_free(struct http **http)
{
    struct http *self = *http;

    if (self == NULL) {
        return;
    }
    *http = NULL;
    for (size_t i = 0; i < N_LISTENERS; i++) {
        struct listener *listener = &self->listeners[i];

        /* Quiesced, so that the library does not close our socket. */
        if (!atomic_load(&listener->closing)) {
            quiesce_listener(listener);
        }
        for (unsigned j = 0; j < listener->n_loops; j++) {
            MHD_stop_daemon(listener->loops[j].daemon);
            reply_stock_release(&listener->loops[j].place.stock);
        }
        free(listener->loops);
        if (listener->fd >= 0) {
            (void)close(listener->fd);
        }
    }
    reaper_free(&self->reaper);
    (void)pthread_cond_destroy(&self->shared.quiet);
    (void)pthread_mutex_destroy(&self->shared.mutex);
    free(self);
}
