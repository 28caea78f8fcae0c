/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The word filter: each character of a listed word becomes a '*'.
 *
 * Words are found anywhere in a text, also inside other words, by one pass over its code
 * points (Aho-Corasick). Full-width letters and signs count as ASCII ones, capitals as
 * small letters (Latin, Greek, Cyrillic). The list can be replaced while others filter:
 * they finish with the list they began with. */
#ifndef DOUSHARD_API_WORDS_H
#define DOUSHARD_API_WORDS_H

#include <stddef.h>
#include <stdint.h>

#include "shard/base/arena.h"
#include "shard/base/check.h"

/* Limits of a list. */
#define WORDS_MAX        100000
#define WORDS_CHARS_MAX  64 /* code points of one word */
#define WORDS_FILE_BYTES ((size_t)16 << 20)

struct errmsg;

/* A list; immutable, reference-counted. */
struct words_list;

/* Read the file PATH: UTF-8, one word per line, white space around it dropped, empty
 * lines ignored. PATH "" is the list of no words. The caller owns the list. NULL: it
 * cannot be read or used; *ERR says where and why, for the log. */
struct words_list *words_list_read(const char *path, struct errmsg *err) MUST_CHECK;

/* The same from LEN bytes of memory. */
struct words_list *words_list_parse(const char *data, size_t len,
                                    struct errmsg *err) MUST_CHECK;

/* How many different words it has. */
size_t words_list_count(const struct words_list *list);

/* Drop a reference. *LIST becomes NULL; NULL is allowed. */
void words_list_unref(struct words_list **list);

/* The filter in force. All functions below are thread-safe. */
struct words;

/* Begin with LIST, which is taken over, also on failure. NULL: no memory. */
struct words *words_new(struct words_list *list_steal) MUST_CHECK;

/* Nobody may be filtering. *WORDS becomes NULL; NULL is allowed. */
void words_free(struct words **words);

/* Filter with LIST from now on; it is taken over. Never fails. */
void words_replace(struct words *words, struct words_list *list_steal);

/* TEXT (LEN bytes of well-formed UTF-8, NUL-terminated) with every word masked: TEXT
 * itself when it has none, else a copy in ARENA; NULL when out of memory. *N_MASKED,
 * unless it is NULL, becomes the number of characters masked. WORDS may be NULL: no
 * filter. */
const char *words_filter(struct words *words, struct arena *arena, const char *text,
                         size_t len, size_t *n_masked) MUST_CHECK;

/* How many words the list in force has. */
size_t words_count(struct words *words);

#endif
