/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* A connection to a Redis node: TCP, plain or under TLS, that never blocks. */
#include "shard/rsock.h"

#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "shard/base/address.h"

/* What OpenSSL says of the last failure of this thread. */
static void explain_tls(struct errmsg *err, const char *what)
{
    unsigned long code = ERR_get_error();
    const char *reason = code != 0 ? ERR_reason_error_string(code) : NULL;

    (void)errmsg_set(err, "%s: %s", what,
                     reason != NULL ? reason : "the connection ended");
    ERR_clear_error();
}

struct ssl_ctx_st *rsock_tls_new(const char *ca_file, struct errmsg *err)
{
    SSL_CTX *tls = SSL_CTX_new(TLS_client_method());

    if (tls == NULL || SSL_CTX_set_min_proto_version(tls, TLS1_2_VERSION) != 1 ||
        SSL_CTX_load_verify_file(tls, ca_file) != 1) {
        explain_tls(err, ca_file);
        SSL_CTX_free(tls);
        return NULL;
    }
    SSL_CTX_set_verify(tls, SSL_VERIFY_PEER, NULL);
    /* A repeated write may have another address, because the buffer has grown. */
    SSL_CTX_set_mode(tls,
                     SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    return tls;
}

void rsock_tls_free(struct ssl_ctx_st **tls)
{
    SSL_CTX_free(*tls);
    *tls = NULL;
}

/* The certificate must be for HOST. */
static bool expect_host(SSL *ssl, const char *host)
{
    if (address_is_numeric(host)) {
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host) == 1;
    }
    return SSL_set1_host(ssl, host) == 1 && SSL_set_tlsext_host_name(ssl, host) == 1;
}

static bool begin_tls(struct rsock *sock, SSL_CTX *tls, const char *host)
{
    sock->ssl = SSL_new(tls);
    if (sock->ssl == NULL || SSL_set_fd(sock->ssl, sock->fd) != 1 ||
        !expect_host(sock->ssl, host)) {
        explain_tls(&sock->err, "TLS");
        return false;
    }
    SSL_set_connect_state(sock->ssl);
    return true;
}

static enum rsock_result ended(struct rsock *sock, const char *what)
{
    char text[80];

    (void)errmsg_set(&sock->err, "%s: %s", what,
                     errno == 0 ? "the other side has closed it"
                                : strerror_r(errno, text, sizeof text));
    return RSOCK_ENDED;
}

bool rsock_open(struct rsock *sock, const struct sockaddr *address, size_t address_len,
                struct ssl_ctx_st *tls, const char *host)
{
    int on = 1;

    *sock = (struct rsock){.wants = POLLOUT};
    sock->fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (sock->fd < 0) {
        (void)ended(sock, "socket");
        return false;
    }
    (void)setsockopt(sock->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(sock->fd, address, (socklen_t)address_len) != 0 && errno != EINPROGRESS) {
        (void)ended(sock, "connect");
        return false;
    }
    return tls == NULL || begin_tls(sock, tls, host);
}

/* What a call of OpenSSL that returned RC, at most 0, means. */
static enum rsock_result tls_result(struct rsock *sock, int rc, const char *what)
{
    switch (SSL_get_error(sock->ssl, rc)) {
    case SSL_ERROR_WANT_READ:
        sock->wants = POLLIN;
        return RSOCK_WAITS;
    case SSL_ERROR_WANT_WRITE:
        sock->wants = POLLOUT;
        return RSOCK_WAITS;
    case SSL_ERROR_SYSCALL:
    case SSL_ERROR_ZERO_RETURN:
        ERR_clear_error();
        return ended(sock, what);
    default:
        explain_tls(&sock->err, what);
        return RSOCK_ENDED;
    }
}

static enum rsock_result connected(struct rsock *sock)
{
    int error = 0;
    socklen_t len = sizeof error;
    struct pollfd is_open = {.fd = sock->fd, .events = POLLOUT};

    if (poll(&is_open, 1, 0) == 0) {
        return RSOCK_WAITS;
    }
    if (getsockopt(sock->fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0 || error != 0) {
        errno = error;
        return ended(sock, "connect");
    }
    sock->is_connected = true;
    return RSOCK_DONE;
}

enum rsock_result rsock_ready(struct rsock *sock)
{
    if (!sock->is_connected) {
        enum rsock_result result = connected(sock);
        if (result != RSOCK_DONE) {
            return result;
        }
    }
    if (sock->ssl != NULL) {
        errno = 0;
        ERR_clear_error();
        int rc = SSL_do_handshake(sock->ssl);
        if (rc != 1) {
            return tls_result(sock, rc, "TLS");
        }
    }
    sock->is_ready = true;
    return RSOCK_DONE;
}

/* What recv(2) or send(2) that returned RC means. */
static enum rsock_result plain_result(struct rsock *sock, ssize_t rc, short wants,
                                      const char *what)
{
    if (rc > 0) {
        return RSOCK_DONE;
    }
    if (rc < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) {
        sock->wants = wants;
        return RSOCK_WAITS;
    }
    return ended(sock, what);
}

enum rsock_result rsock_read(struct rsock *sock, void *data, size_t size, size_t *n)
{
    *n = 0;
    errno = 0;
    if (sock->ssl != NULL) {
        ERR_clear_error();
        int rc = SSL_read_ex(sock->ssl, data, size, n);
        return rc == 1 ? RSOCK_DONE : tls_result(sock, rc, "read");
    }
    ssize_t rc = recv(sock->fd, data, size, 0);
    *n = rc > 0 ? (size_t)rc : 0;
    return plain_result(sock, rc, POLLIN, "read");
}

enum rsock_result rsock_write(struct rsock *sock, const void *data, size_t len, size_t *n)
{
    *n = 0;
    errno = 0;
    if (sock->ssl != NULL) {
        ERR_clear_error();
        int rc = SSL_write_ex(sock->ssl, data, len, n);
        return rc == 1 ? RSOCK_DONE : tls_result(sock, rc, "write");
    }
    ssize_t rc = send(sock->fd, data, len, MSG_NOSIGNAL);
    *n = rc > 0 ? (size_t)rc : 0;
    return plain_result(sock, rc, POLLOUT, "write");
}

void rsock_close(struct rsock *sock)
{
    SSL_free(sock->ssl);
    sock->ssl = NULL;
    if (sock->fd >= 0) {
        (void)close(sock->fd);
        sock->fd = -1;
    }
}
