/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Addresses of clients, and whom a proxy may speak for. */
#include "server/base/client.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

/* An IPv4 address in an IPv6 one begins so. */
static const unsigned char mapped[12] = {[10] = 0xff, [11] = 0xff};

static void set_v4(struct client_address *address, const void *four)
{
    memcpy(address->bytes, mapped, sizeof mapped);
    memcpy(address->bytes + sizeof mapped, four, 4);
}

static bool is_v4(const struct client_address *address)
{
    return memcmp(address->bytes, mapped, sizeof mapped) == 0;
}

static bool is_known(const struct client_address *address)
{
    static const struct client_address unknown;

    return memcmp(address, &unknown, sizeof unknown) != 0;
}

struct client_address client_from_socket(const struct sockaddr *socket_address)
{
    struct client_address address = {{0}};

    if (socket_address != NULL && socket_address->sa_family == AF_INET) {
        struct sockaddr_in v4;
        memcpy(&v4, socket_address, sizeof v4);
        set_v4(&address, &v4.sin_addr);
    } else if (socket_address != NULL && socket_address->sa_family == AF_INET6) {
        struct sockaddr_in6 v6;
        memcpy(&v6, socket_address, sizeof v6);
        memcpy(address.bytes, &v6.sin6_addr, sizeof address.bytes);
    }
    return address;
}

/* The address in TEXT without brackets and port: from where, and how many bytes. */
static const char *strip(const char *text, size_t *len)
{
    const char *colon;
    const char *close;

    if (*len > 0 && text[0] == '[') {
        close = memchr(text, ']', *len);
        if (close == NULL) {
            *len = 0;
            return text;
        }
        *len = (size_t)(close - text) - 1;
        return text + 1;
    }
    colon = memchr(text, ':', *len);
    if (colon != NULL &&
        memchr(colon + 1, ':', *len - (size_t)(colon + 1 - text)) == NULL) {
        *len = (size_t)(colon - text);
    }
    return text;
}

bool client_parse(const char *text, size_t len, struct client_address *address)
{
    char copy[CLIENT_TEXT_BYTES];
    struct in_addr v4;

    *address = (struct client_address){{0}};
    text = strip(text, &len);
    if (len == 0 || len >= sizeof copy || memchr(text, '\0', len) != NULL) {
        return false;
    }
    memcpy(copy, text, len);
    copy[len] = '\0';
    if (inet_pton(AF_INET, copy, &v4) == 1) {
        set_v4(address, &v4);
        return true;
    }
    return inet_pton(AF_INET6, copy, address->bytes) == 1;
}

/* The last word before *END in the comma-separated LIST, without blanks; *END moves to
 * the comma before it, NULL when there is none. */
static const char *last_word(const char *list, const char **end, size_t *len)
{
    const char *begin = *end;
    const char *stop = *end;

    while (begin > list && begin[-1] != ',') {
        begin--;
    }
    *end = begin > list ? begin - 1 : NULL;
    begin += strspn(begin, " \t");
    while (stop > begin && (stop[-1] == ' ' || stop[-1] == '\t')) {
        stop--;
    }
    *len = stop > begin ? (size_t)(stop - begin) : 0;
    return begin;
}

bool client_list_is_valid(const char *list)
{
    const char *end = list + strlen(list);
    struct client_address address;
    size_t len;

    while (list[0] != '\0' && end != NULL) {
        const char *word = last_word(list, &end, &len);
        if (len == 0 || !client_parse(word, len, &address)) {
            return false;
        }
    }
    return true;
}

static bool list_has(const char *list, const struct client_address *wanted)
{
    const char *end = list + strlen(list);
    struct client_address address;
    size_t len;

    while (end != NULL) {
        const char *word = last_word(list, &end, &len);
        if (client_parse(word, len, &address) &&
            memcmp(&address, wanted, sizeof address) == 0) {
            return true;
        }
    }
    return false;
}

struct client_address client_behind(struct client_address peer, const char *forwarded,
                                    const char *proxies)
{
    const char *end = forwarded != NULL ? forwarded + strlen(forwarded) : NULL;
    struct client_address next;
    size_t len;

    while (end != NULL && is_known(&peer) && list_has(proxies, &peer)) {
        const char *word = last_word(forwarded, &end, &len);
        if (!client_parse(word, len, &next)) {
            break;
        }
        peer = next;
    }
    return peer;
}

struct client_address client_network(struct client_address address)
{
    if (!is_v4(&address)) {
        memset(address.bytes + CLIENT_ADDRESS_BYTES / 2, 0, CLIENT_ADDRESS_BYTES / 2);
    }
    return address;
}

const char *client_text(struct client_address address, char *text)
{
    bool v4 = is_v4(&address);

    if (!is_known(&address) ||
        inet_ntop(v4 ? AF_INET : AF_INET6, address.bytes + (v4 ? sizeof mapped : 0), text,
                  CLIENT_TEXT_BYTES) == NULL) {
        (void)snprintf(text, CLIENT_TEXT_BYTES, "-");
    }
    return text;
}
