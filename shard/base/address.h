/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Numeric addresses, of IPv4 and IPv6 alike. Pure: no name is ever looked up. */
#ifndef DOUSHARD_BASE_ADDRESS_H
#define DOUSHARD_BASE_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

#include "shard/base/check.h"

#define ADDRESS_BYTES 16

/* Room for an address as text, with the NUL. */
#define ADDRESS_TEXT_BYTES 46

/* The same for "ADDRESS/BITS". */
#define ADDRESS_RANGE_BYTES (ADDRESS_TEXT_BYTES + 4)

/* An IPv6 address; an IPv4 one as ::ffff:a.b.c.d. All zero: unknown. */
struct address {
    unsigned char bytes[ADDRESS_BYTES];
};

bool address_is_known(const struct address *address);

/* The address of a socket; unknown when it is neither IPv4 nor IPv6. NULL is allowed. */
struct address address_from_socket(const struct sockaddr *socket_address);

/* Read a numeric address of LEN bytes, also as "[v6]", "[v6]:port" or "v4:port". False:
 * it is not one, and *ADDRESS is unknown. */
bool address_parse(const char *text, size_t len, struct address *address);

/* What one household has: an IPv4 address, or the first 64 bits of an IPv6 address with
 * the rest 0.
 */
struct address address_network(struct address address);

/* All addresses that begin with the same bits. */
struct address_range {
    struct address address; /* one of them */
    unsigned bits;          /* of 128; an IPv4 range has its own 96 first */
};

/* Read a range of LEN bytes, "10.0.0.0/8" or "2001:db8::/32"; an address without /BITS is
 * a range of one. False: it is not a range. */
bool address_range_parse(const char *text, size_t len,
                         struct address_range *range) MUST_CHECK;

/* The first address of RANGE. */
struct address address_range_first(const struct address_range *range);

/* Write RANGE to TEXT (ADDRESS_RANGE_BYTES), its first address before the slash. Returns
 * TEXT. */
const char *address_range_text(const struct address_range *range, char *text);

/* Is ADDRESS in RANGE? An IPv4 address is in no IPv6 range, not even in "::/0". */
bool address_range_has(const struct address_range *range, const struct address *address);

/* Write the address to TEXT (ADDRESS_TEXT_BYTES), "-" for an unknown one. Returns TEXT.
 */
const char *address_text(struct address address, char *text);

/* Is HOST a numeric address, and nothing else? */
bool address_is_numeric(const char *host);

/* Convert HOST, a numeric address, and PORT to a socket address; returns the length of
 * *SOCKET_ADDRESS. 0: HOST is not an address. */
socklen_t address_to_socket(const char *host, unsigned port,
                            struct sockaddr_storage *socket_address) MUST_CHECK;

/* The port of an address of IPv4 or IPv6. */
unsigned address_port(const struct sockaddr_storage *socket_address);

#endif
