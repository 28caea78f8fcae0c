/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* From which address a request comes: that of the connection, or, behind a proxy that the
 * options name, the one that the proxy reports. Pure. */
#ifndef DOUSHARD_BASE_CLIENT_H
#define DOUSHARD_BASE_CLIENT_H

#include <stdbool.h>

#include "shard/base/address.h"
#include "shard/base/check.h"
#include "shard/base/errmsg.h"

/* Is every word of the comma-separated LIST a numeric address, or a range of them that
 * begins at its first? "" is a list of none. False: ERR says which word is not, and what
 * to write. */
bool client_list_check(const char *list, struct errmsg *err) MUST_CHECK;

/* Who is behind PEER? FORWARDED is the header X-Forwarded-For (NULL: none), to which each
 * proxy appends whom it has seen. It is believed from right to left as long as the
 * reporting addresses are in PROXIES, a checked list; so what a client wrote itself is
 * never believed. */
struct address client_behind(struct address peer, const char *forwarded,
                             const char *proxies);

#endif
