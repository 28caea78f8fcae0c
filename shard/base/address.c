/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Numeric addresses, of IPv4 and IPv6 alike. */
#include "shard/base/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* The beginning of an IPv4 address mapped into IPv6. */
static const unsigned char mapped[12] = {[10] = 0xff, [11] = 0xff};

static void set_v4(struct address *address, const void *four)
{
    memcpy(address->bytes, mapped, sizeof mapped);
    memcpy(address->bytes + sizeof mapped, four, 4);
}

static bool is_v4(const struct address *address)
{
    return memcmp(address->bytes, mapped, sizeof mapped) == 0;
}

bool address_is_known(const struct address *address)
{
    static const struct address unknown;

    return memcmp(address, &unknown, sizeof unknown) != 0;
}

struct address address_from_socket(const struct sockaddr *socket_address)
{
    struct address address = {{0}};

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

/* The address in TEXT without brackets and port: where it begins, and its length. */
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

/* An address and nothing else. */
static bool parse_bare(const char *text, size_t len, struct address *address)
{
    char copy[ADDRESS_TEXT_BYTES];
    struct in_addr v4;

    *address = (struct address){{0}};
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

bool address_parse(const char *text, size_t len, struct address *address)
{
    text = strip(text, &len);
    return parse_bare(text, len, address);
}

/* The number of LEN digits at TEXT, up to MAX. */
static bool parse_bits(const char *text, size_t len, unsigned max, unsigned *bits)
{
    *bits = 0;
    for (size_t i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9' || *bits > max) {
            return false;
        }
        *bits = 10 * *bits + (unsigned)(text[i] - '0');
    }
    return len > 0 && *bits <= max && (len == 1 || text[0] != '0');
}

bool address_range_parse(const char *text, size_t len, struct address_range *range)
{
    const char *slash = memchr(text, '/', len);
    const size_t address_len = slash == NULL ? len : (size_t)(slash - text);

    range->bits = 8 * ADDRESS_BYTES;
    if (!parse_bare(text, address_len, &range->address)) {
        return false;
    }
    if (slash == NULL) {
        return true;
    }
    /* By its written form, not the stored one: "::ffff:10.0.0.0/104" is 10.0.0.0/8. */
    const unsigned own = memchr(text, ':', address_len) == NULL ? 8 * sizeof mapped : 0;
    if (!parse_bits(slash + 1, len - address_len - 1, range->bits - own, &range->bits)) {
        return false;
    }
    range->bits += own;
    return true;
}

struct address address_range_first(const struct address_range *range)
{
    struct address first = range->address;

    for (unsigned i = 0; i < ADDRESS_BYTES; i++) {
        const unsigned bits = range->bits < 8 * i ? 0 : range->bits - 8 * i;
        if (bits < 8) {
            first.bytes[i] &= (unsigned char)(0xff << (8 - bits));
        }
    }
    return first;
}

bool address_range_has(const struct address_range *range, const struct address *address)
{
    const struct address_range other = {.address = *address, .bits = range->bits};
    const struct address first = address_range_first(range);
    const struct address other_first = address_range_first(&other);

    return is_v4(&first) == is_v4(address) &&
           memcmp(&first, &other_first, sizeof first) == 0;
}

struct address address_network(struct address address)
{
    const struct address_range household = {.address = address, .bits = 64};

    return is_v4(&address) ? address : address_range_first(&household);
}

static bool print(const struct address *address, char *text)
{
    const bool v4 = is_v4(address);

    return inet_ntop(v4 ? AF_INET : AF_INET6, address->bytes + (v4 ? sizeof mapped : 0),
                     text, ADDRESS_TEXT_BYTES) != NULL;
}

const char *address_text(struct address address, char *text)
{
    if (!address_is_known(&address) || !print(&address, text)) {
        (void)snprintf(text, ADDRESS_TEXT_BYTES, "-");
    }
    return text;
}

const char *address_range_text(const struct address_range *range, char *text)
{
    const struct address first = address_range_first(range);
    const unsigned own = is_v4(&first) ? 8 * sizeof mapped : 0;
    char address[ADDRESS_TEXT_BYTES] = "";

    CHECK(print(&first, address));
    (void)snprintf(text, ADDRESS_RANGE_BYTES, "%s/%u", address, range->bits - own);
    return text;
}

socklen_t address_to_socket(const char *host, unsigned port,
                            struct sockaddr_storage *socket_address)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)socket_address;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)socket_address;

    memset(socket_address, 0, sizeof *socket_address);
    if (inet_pton(AF_INET, host, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons((uint16_t)port);
        return sizeof *v4;
    }
    if (inet_pton(AF_INET6, host, &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons((uint16_t)port);
        return sizeof *v6;
    }
    return 0;
}

unsigned address_port(const struct sockaddr_storage *socket_address)
{
    return ntohs(socket_address->ss_family == AF_INET6
                     ? ((const struct sockaddr_in6 *)socket_address)->sin6_port
                     : ((const struct sockaddr_in *)socket_address)->sin_port);
}

bool address_is_numeric(const char *host)
{
    struct sockaddr_storage socket_address;

    return address_to_socket(host, 0, &socket_address) > 0;
}
