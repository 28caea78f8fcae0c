/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* What the nodes of a Redis Cluster say about the slots. */
#include "shard/rmap.h"

#include <stdlib.h>
#include <string.h>

#define PORT_MAX 65535

/* Set *ENDPOINT. An empty host is that of who was asked; "?" is none. False: that is no
 * place. (Redis Cluster specification, "MOVED Redirection" and CLUSTER SLOTS.) */
static bool set_endpoint(struct rendpoint *endpoint, const char *host, size_t len,
                         int64_t port, const char *asked_host)
{
    if (len == 0) {
        host = asked_host;
        len = strlen(asked_host);
    }
    if (len >= sizeof endpoint->host || memchr(host, '\0', len) != NULL || port < 1 ||
        port > PORT_MAX || (len == 1 && host[0] == '?')) {
        return false;
    }
    memcpy(endpoint->host, host, len);
    endpoint->host[len] = '\0';
    endpoint->port = (unsigned)port;
    return true;
}

static bool is_array(const struct rreply *reply, size_t n)
{
    return reply->kind == RREPLY_ARRAY && reply->len >= n;
}

static bool is_slot(const struct rreply *reply)
{
    return reply->kind == RREPLY_INTEGER && reply->integer >= 0 &&
           reply->integer < (int64_t)RSLOTS;
}

/* [first, last, [host, port, ..], replicas ..]. False: it is not. *HAS_PLACE: the master
 * says where it is. */
static bool read_range(const struct rreply *entry, const char *asked_host,
                       struct rrange *range, bool *has_place)
{
    if (!is_array(entry, 3) || !is_slot(entry->elements[0]) ||
        !is_slot(entry->elements[1]) || !is_array(entry->elements[2], 2) ||
        entry->elements[0]->integer > entry->elements[1]->integer) {
        return false;
    }
    const struct rreply *host = entry->elements[2]->elements[0];
    const struct rreply *port = entry->elements[2]->elements[1];
    if ((host->kind != RREPLY_TEXT && host->kind != RREPLY_NIL) ||
        port->kind != RREPLY_INTEGER) {
        return false;
    }
    range->first = (uint16_t)entry->elements[0]->integer;
    range->last = (uint16_t)entry->elements[1]->integer;
    *has_place = set_endpoint(&range->master, host->kind == RREPLY_NIL ? "" : host->text,
                              host->len, port->integer, asked_host);
    return true;
}

bool rmap_read(const struct rreply *reply, const char *asked_host, struct rrange **ranges,
               size_t *n, struct errmsg *err)
{
    *ranges = NULL;
    *n = 0;
    if (reply == NULL || reply->kind != RREPLY_ARRAY || reply->len == 0) {
        return errmsg_set(err, "%s",
                          reply != NULL && reply->kind == RREPLY_ERROR ? reply->text
                                                                       : "no slots");
    }
    struct rrange *list = calloc(reply->len, sizeof *list);
    if (list == NULL) {
        return errmsg_set(err, "out of memory");
    }
    for (size_t i = 0; i < reply->len; i++) {
        bool has_place;
        if (!read_range(reply->elements[i], asked_host, &list[*n], &has_place)) {
            free(list);
            return errmsg_set(err, "entry %zu of CLUSTER SLOTS cannot be read", i);
        }
        *n += has_place;
    }
    if (*n == 0) {
        free(list);
        return errmsg_set(err, "no master has an address");
    }
    *ranges = list;
    return true;
}

/* "3999 127.0.0.1:6381", "3999 :6381", "3999 ::1:6381" */
static bool read_redirect(const char *text, const char *asked_host, uint16_t *slot,
                          struct rendpoint *there)
{
    char *end;
    unsigned long number = strtoul(text, &end, 10);
    const char *colon = strrchr(text, ':');

    if (end == text || *end != ' ' || number >= RSLOTS || colon == NULL || colon < end) {
        return false;
    }
    *slot = (uint16_t)number;
    return set_endpoint(there, end + 1, (size_t)(colon - end - 1),
                        strtol(colon + 1, NULL, 10), asked_host);
}

enum rerror rmap_error(const struct rreply *error, const char *asked_host, uint16_t *slot,
                       struct rendpoint *there)
{
    static const struct {
        const char *word;
        enum rerror error;
    } words[] = {{"MOVED", RERROR_MOVED},       {"ASK", RERROR_ASK},
                 {"TRYAGAIN", RERROR_TRYAGAIN}, {"CLUSTERDOWN", RERROR_DOWN},
                 {"LOADING", RERROR_DOWN},      {"MASTERDOWN", RERROR_DOWN},
                 {"NOSCRIPT", RERROR_NOSCRIPT}};

    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        if (rreply_says(error, words[i].word)) {
            bool is_redirect =
                words[i].error == RERROR_MOVED || words[i].error == RERROR_ASK;
            const char *rest = error->text + strlen(words[i].word);
            if (is_redirect &&
                !read_redirect(*rest == ' ' ? rest + 1 : rest, asked_host, slot, there)) {
                return RERROR_DOWN;
            }
            return words[i].error;
        }
    }
    return RERROR_OTHER;
}
