/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Lists of origins, the scheme, host and port that a page comes from. */
#include "server/base/origin.h"

#include <stdlib.h>
#include <string.h>

#define BLANKS " \t"

/* Bytes of a host as browsers write it; ':' only in brackets. */
#define HOST_BYTES "abcdefghijklmnopqrstuvwxyz0123456789.-_"

/* The word at *AT, without blanks, and its length; *AT moves past the comma after it, or
 * to NULL at the end of the list. */
static const char *next_word(const char **at, size_t *len)
{
    const char *word = *at + strspn(*at, BLANKS);

    *len = strcspn(word, ",");
    *at = word[*len] == ',' ? word + *len + 1 : NULL;
    while (*len > 0 && strchr(BLANKS, word[*len - 1]) != NULL) {
        (*len)--;
    }
    return word;
}

/* Bytes of the host at TEXT, of which there are LEN: a name, an IPv4 or a bracketed IPv6
 * address. */
static size_t host_len(const char *text, size_t len)
{
    size_t host;

    if (len > 0 && text[0] == '[') {
        host = 1 + strspn(text + 1, "0123456789abcdef:.");
        return host > 1 && host < len && text[host] == ']' ? host + 1 : 0;
    }
    host = strspn(text, HOST_BYTES);
    return host < len ? host : len;
}

/* Is TEXT, of LEN bytes, empty or ":PORT", and not the port that browsers leave out? */
static bool is_port(const char *text, size_t len, bool secure)
{
    unsigned long port;
    char *end;

    if (len == 0) {
        return true;
    }
    if (len > 6 || text[0] != ':' || text[1] < '1' || text[1] > '9') {
        return false;
    }
    port = strtoul(text + 1, &end, 10);
    return end == text + len && port <= 65535 && port != (secure ? 443UL : 80UL);
}

static const char *fault_of(const char *word, size_t len)
{
    bool secure = len > 8 && strncmp(word, "https://", 8) == 0;
    size_t scheme = secure ? 8 : 7;

    if (len == 1 && word[0] == '*') {
        return "a wildcard would let every page in: name each origin";
    }
    if (!secure && (len <= 7 || strncmp(word, "http://", 7) != 0)) {
        return "an origin is http://HOST or https://HOST, with :PORT where needed";
    }
    if (memchr(word + scheme, '/', len - scheme) != NULL) {
        return "an origin has no path and no slash at its end";
    }
    size_t host = host_len(word + scheme, len - scheme);
    if (host == 0) {
        return "its host has small letters, digits, '.', '-' and '_' only";
    }
    word += scheme + host;
    len -= scheme + host;
    if (len > 0 && word[0] != ':') {
        return "its host has small letters, digits, '.', '-' and '_' only";
    }
    return is_port(word, len, secure)
               ? NULL
               : "its port is 1 to 65535, without the 80 of http and the 443 of https, "
                 "which browsers leave out";
}

const char *origin_list_fault(const char *list, const char **at)
{
    size_t len;

    for (const char *rest = list[0] != '\0' ? list : NULL; rest != NULL;) {
        const char *word = next_word(&rest, &len);
        const char *fault = fault_of(word, len);

        if (fault != NULL) {
            *at = word;
            return fault;
        }
    }
    return NULL;
}

bool origin_list_has(const char *list, const char *origin)
{
    size_t origin_len = strlen(origin);
    size_t len;

    for (const char *rest = list; rest != NULL;) {
        const char *word = next_word(&rest, &len);

        if (len > 0 && len == origin_len && memcmp(word, origin, len) == 0) {
            return true;
        }
    }
    return false;
}
