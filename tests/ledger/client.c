/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* A small HTTP/1.1 client: one kept connection, one request at a time. */
#include "tests/ledger/client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "shard/base/clock.h"

#define ANSWER_MAX_BYTES (1u << 20)

void ledger_client_init(struct ledger_client *client, uint16_t port)
{
    *client = (struct ledger_client){.port = port, .fd = -1};
    buf_init(&client->in, ANSWER_MAX_BYTES);
}

void ledger_client_release(struct ledger_client *client)
{
    if (client->fd >= 0) {
        close(client->fd);
    }
    client->fd = -1;
    buf_clear(&client->in);
}

static bool wait_for(int fd, short events, int64_t deadline_ms)
{
    struct pollfd p = {.fd = fd, .events = events};

    for (;;) {
        int64_t left_ms = deadline_ms - clock_mono_ms();
        if (left_ms <= 0) {
            return false;
        }
        int n = poll(&p, 1, (int)left_ms);
        if (n > 0) {
            return true;
        }
        if (n < 0 && errno != EINTR) {
            return false;
        }
    }
}

static bool connect_to(struct ledger_client *client, int64_t deadline_ms)
{
    const struct sockaddr_in address = {.sin_family = AF_INET,
                                        .sin_port = htons(client->port),
                                        .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int on = 1;
    int error = 0;
    socklen_t size = sizeof error;

    client->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (client->fd < 0) {
        return false;
    }
    (void)setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(client->fd, (const struct sockaddr *)&address, sizeof address) == 0) {
        return true;
    }
    return errno == EINPROGRESS && wait_for(client->fd, POLLOUT, deadline_ms) &&
           getsockopt(client->fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0 && error == 0;
}

static bool send_all(int fd, const char *data, size_t len, int64_t deadline_ms)
{
    while (len > 0) {
        ssize_t n = send(fd, data, len, MSG_NOSIGNAL);
        if (n > 0) {
            data += n;
            len -= (size_t)n;
        } else if (n < 0 && errno == EAGAIN) {
            if (!wait_for(fd, POLLOUT, deadline_ms)) {
                return false;
            }
        } else if (n == 0 || errno != EINTR) {
            return false;
        }
    }
    return true;
}

/* Appends what has arrived to client->in. */
static bool receive_more(struct ledger_client *client, int64_t deadline_ms)
{
    char data[16384];

    for (;;) {
        ssize_t n = recv(client->fd, data, sizeof data, 0);
        if (n > 0) {
            return buf_add(&client->in, data, (size_t)n);
        }
        if (n == 0 || (errno != EAGAIN && errno != EINTR) ||
            !wait_for(client->fd, POLLIN, deadline_ms)) {
            return false;
        }
    }
}

/* The length of the body according to the head, which ends before END; SIZE_MAX: not
 * given. */
static size_t body_length(const char *head, const char *end)
{
    static const char name[] = "content-length:";

    for (const char *line = head; line < end; line = strchr(line, '\n') + 1) {
        if (strncasecmp(line, name, sizeof name - 1) == 0) {
            return (size_t)strtoul(line + sizeof name - 1, NULL, 10);
        }
    }
    return SIZE_MAX;
}

static bool receive_answer(struct ledger_client *client, int64_t deadline_ms,
                           const char **body, int *http_status)
{
    const char *end = NULL;

    while (client->in.data == NULL ||
           (end = strstr(client->in.data, "\r\n\r\n")) == NULL) {
        if (!receive_more(client, deadline_ms)) {
            return false;
        }
    }
    size_t head = (size_t)(end - client->in.data) + 4;
    size_t length = body_length(client->in.data, end);
    if (strncmp(client->in.data, "HTTP/1.1 ", 9) != 0 || length > ANSWER_MAX_BYTES) {
        return false;
    }
    *http_status = (int)strtol(client->in.data + 9, NULL, 10);
    while (client->in.len < head + length) {
        if (!receive_more(client, deadline_ms)) {
            return false;
        }
    }
    *body = client->in.data + head;
    return client->in.len == head + length;
}

static void write_request(struct buf *out, const struct client_request *request,
                          uint16_t port)
{
    buf_addf(out, "%s %s HTTP/1.1\r\nHost: 127.0.0.1:%u\r\n", request->method,
             request->target, port);
    if (strcmp(request->method, "POST") == 0) {
        buf_addf(out, "Content-Length: 0\r\n");
    }
    if (request->key != NULL) {
        buf_addf(out, "Idempotency-Key: %s\r\n", request->key);
    }
    buf_addf(out, "\r\n");
    CHECK(!out->failed);
}

enum client_status ledger_client_ask(struct ledger_client *client,
                                     const struct client_request *request,
                                     int64_t deadline_ms, const char **body,
                                     int *http_status)
{
    struct buf out;
    bool answered = false;

    buf_clear(&client->in);
    if (client->fd < 0 && !connect_to(client, deadline_ms)) {
        ledger_client_release(client);
        return CLIENT_NOT_SENT;
    }
    buf_init(&out, 8192);
    write_request(&out, request, client->port);
    answered = send_all(client->fd, out.data, out.len, deadline_ms) &&
               receive_answer(client, deadline_ms, body, http_status);
    buf_clear(&out);
    if (answered) {
        return CLIENT_ANSWERED;
    }
    ledger_client_release(client);
    return CLIENT_SILENT;
}
