/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* From which address a request comes: that of the connection, or behind a proxy that the
 * options name, the one that the proxy has seen. Pure. */
#ifndef DOUSHARD_BASE_CLIENT_H
#define DOUSHARD_BASE_CLIENT_H

#include <stdbool.h>
#include <stddef.h>

#include "shard/base/check.h"

struct sockaddr;

#define CLIENT_ADDRESS_BYTES 16

/* Room for an address as text, with the NUL. */
#define CLIENT_TEXT_BYTES 46

/* An IPv6 address; an IPv4 one as ::ffff:a.b.c.d. All zero: unknown. */
struct client_address {
    unsigned char bytes[CLIENT_ADDRESS_BYTES];
};

/* The address of a socket; unknown when it is neither IPv4 nor IPv6. NULL is allowed. */
struct client_address client_from_socket(const struct sockaddr *socket_address);

/* Read a numeric address of LEN bytes, also as "[v6]", "[v6]:port" or "v4:port". False:
 * it is none, *ADDRESS is unknown. */
bool client_parse(const char *text, size_t len, struct client_address *address);

/* Is every word of the comma-separated LIST a numeric address? "" is a list of none. */
bool client_list_is_valid(const char *list) MUST_CHECK;

/* Who is behind PEER? FORWARDED is the header X-Forwarded-For (NULL: none), to which each
 * proxy appends whom it has seen. It is believed from right to left, as long as those who
 * say so are in the list PROXIES: what a client wrote itself is never reached. */
struct client_address client_behind(struct client_address peer, const char *forwarded,
                                    const char *proxies);

/* What one household has: the address of IPv4, the first 64 bits of IPv6; the rest is 0.
 */
struct client_address client_network(struct client_address address);

/* Write the address to TEXT (CLIENT_TEXT_BYTES), "-" for an unknown one. Returns TEXT. */
const char *client_text(struct client_address address, char *text);

#endif
