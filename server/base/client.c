/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The client's address, and which proxies may name it. */
#include "server/base/client.h"

#include <string.h>

/* The last word before *END in the comma-separated LIST, without blanks; *END moves to
 * the comma before it, or to NULL. */
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

static bool check_word(const char *word, size_t len, struct errmsg *err)
{
    const int shown = (int)(len < 60 ? len : 60);
    struct address_range range;
    char meant[ADDRESS_RANGE_BYTES];

    if (!address_range_parse(word, len, &range)) {
        return errmsg_set(
            err,
            "\"%.*s\": write numeric addresses, or ranges such as 10.0.0.0/8 "
            "or 2001:db8::/32, with commas between them",
            shown, word);
    }
    const struct address first = address_range_first(&range);
    if (memcmp(&first, &range.address, sizeof first) == 0) {
        return true;
    }
    return errmsg_set(err,
                      "\"%.*s\": write %s for that range, or the address without /BITS",
                      shown, word, address_range_text(&range, meant));
}

bool client_list_check(const char *list, struct errmsg *err)
{
    const char *end = list + strlen(list);
    size_t len;

    while (list[0] != '\0' && end != NULL) {
        const char *word = last_word(list, &end, &len);
        if (!check_word(word, len, err)) {
            return false;
        }
    }
    return true;
}

static bool list_has(const char *list, const struct address *wanted)
{
    const char *end = list + strlen(list);
    struct address_range range;
    size_t len;

    while (end != NULL) {
        const char *word = last_word(list, &end, &len);
        if (address_range_parse(word, len, &range) && address_range_has(&range, wanted)) {
            return true;
        }
    }
    return false;
}

struct address client_behind(struct address peer, const char *forwarded,
                             const char *proxies)
{
    const char *end = forwarded != NULL ? forwarded + strlen(forwarded) : NULL;
    struct address next;
    size_t len;

    while (end != NULL && address_is_known(&peer) && list_has(proxies, &peer)) {
        const char *word = last_word(forwarded, &end, &len);
        if (!address_parse(word, len, &next)) {
            break;
        }
        peer = next;
    }
    return peer;
}
