/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* A connection to a Redis node: TCP, plain or under TLS, that never blocks.
 *
 * rsock_open() only begins to connect; rsock_ready(), rsock_read() and rsock_write() go
 * on as far as they can, and sock->wants says what to wait for before the next try. The
 * process must ignore SIGPIPE. */
#ifndef DOUSHARD_RSOCK_H
#define DOUSHARD_RSOCK_H

#include <stdbool.h>
#include <stddef.h>

#include "shard/base/check.h"
#include "shard/base/errmsg.h"

struct sockaddr;
struct ssl_st;
struct ssl_ctx_st;

enum rsock_result {
    RSOCK_DONE,  /* at least in part */
    RSOCK_WAITS, /* for sock->wants */
    RSOCK_ENDED, /* sock->err says how; rsock_close() follows */
};

struct rsock {
    int fd;             /* owned; -1: closed */
    struct ssl_st *ssl; /* owned; NULL: no TLS */
    bool is_connected;  /* TCP is; TLS, if any, may not */
    bool is_ready;      /* both are: it can be read and written */
    short wants;        /* as of poll(2) */
    struct errmsg err;  /* why it has ended */
};

/* TLS with servers whose certificate is signed by one of CA_FILE (PEM). NULL, and ERR
 * says why. */
struct ssl_ctx_st *rsock_tls_new(const char *ca_file, struct errmsg *err) MUST_CHECK;

/* *TLS becomes NULL; NULL is allowed. Connections must be closed before. */
void rsock_tls_free(struct ssl_ctx_st **tls);

/* Begin to connect to ADDRESS. With TLS the certificate must be that of HOST, a name or
 * an address. False, and sock->err says why. */
bool rsock_open(struct rsock *sock, const struct sockaddr *address, size_t address_len,
                struct ssl_ctx_st *tls, const char *host) MUST_CHECK;

/* Go on with connecting. RSOCK_DONE: sock->is_ready. */
enum rsock_result rsock_ready(struct rsock *sock);

/* *N bytes, at least one with RSOCK_DONE. The other side's end of the connection is
 * RSOCK_ENDED. */
enum rsock_result rsock_read(struct rsock *sock, void *data, size_t size, size_t *n);
enum rsock_result rsock_write(struct rsock *sock, const void *data, size_t len,
                              size_t *n);

/* Without a farewell: who is in the middle of something on the other side learns of it by
 * the closed connection. Sock may be closed already. */
void rsock_close(struct rsock *sock);

#endif
