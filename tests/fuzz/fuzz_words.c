/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* UTF-8, characters that texts must not have, and the word filter, compared with a
 * decoder that encodes every code point again and a search for each word at each
 * position.
 *
 * Input: a list of words, a form feed, a text. */
#include <locale.h>
#include <wctype.h>

#include "shard/base/utf8.h"

#include "server/api/words.h"
#include "server/config/config_file.h"

#include "tests/fuzz/fuzz.h"

#define TEXT_MAX  512
#define WORDS_SET 64

/* A text as folded code points. */
struct points {
    uint32_t c[TEXT_MAX];
    size_t bytes[TEXT_MAX]; /* length of each */
    size_t n;
};

/* ---- UTF-8 ---- */

static size_t encode(uint32_t c, char *out)
{
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (char)(0xC0 | c >> 6);
        out[1] = (char)(0x80 | (c & 0x3F));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (char)(0xE0 | c >> 12);
        out[1] = (char)(0x80 | (c >> 6 & 0x3F));
        out[2] = (char)(0x80 | (c & 0x3F));
        return 3;
    }
    out[0] = (char)(0xF0 | c >> 18);
    out[1] = (char)(0x80 | (c >> 12 & 0x3F));
    out[2] = (char)(0x80 | (c >> 6 & 0x3F));
    out[3] = (char)(0x80 | (c & 0x3F));
    return 4;
}

/* The code point at TEXT: the only one whose encoding these bytes are. 0: none. */
static size_t decode(struct piece text, uint32_t *c)
{
    unsigned char lead = (unsigned char)text.data[0];
    size_t len = lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
    char again[4];

    if (len > text.len) {
        return 0;
    }
    *c = len == 1 ? lead : lead & (0xFFu >> (len + 1));
    for (size_t i = 1; i < len; i++) {
        *c = *c << 6 | ((unsigned char)text.data[i] & 0x3F);
    }
    if (*c > 0x10FFFF || (*c >= 0xD800 && *c <= 0xDFFF) || encode(*c, again) != len) {
        return 0;
    }
    return memcmp(again, text.data, len) == 0 ? len : 0;
}

/* The folded form, by what the C library knows about capitals. */
static uint32_t fold(uint32_t c)
{
    uint32_t small;

    if (c >= 0xFF01 && c <= 0xFF5E) {
        c -= 0xFF00 - ' ';
    }
    if (c == 0x3000) {
        return ' ';
    }
    small = (uint32_t)towlower((wint_t)c);
    if (c < 0x180 || (c >= 0x391 && c <= 0x3A9) || (c >= 0x400 && c <= 0x42F)) {
        return small >= 0x80 || c < 0x80 ? small : c;
    }
    return c;
}

/* False: TEXT is not well-formed. */
static bool read_points(struct piece text, struct points *points)
{
    points->n = 0;
    while (text.len > 0) {
        uint32_t c = 0;
        size_t used = decode(text, &c);

        if (used == 0) {
            return false;
        }
        points->c[points->n] = fold(c);
        points->bytes[points->n++] = used;
        text = (struct piece){text.data + used, text.len - used};
    }
    return true;
}

/* ---- Words ---- */

struct set {
    struct points word[WORDS_SET];
    size_t n;
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static struct piece trimmed(struct piece line)
{
    while (line.len > 0 && is_blank(line.data[0])) {
        line = (struct piece){line.data + 1, line.len - 1};
    }
    while (line.len > 0 && is_blank(line.data[line.len - 1])) {
        line.len--;
    }
    return line;
}

static bool is_same(const struct points *a, const struct points *b)
{
    return a->n == b->n && memcmp(a->c, b->c, a->n * sizeof a->c[0]) == 0;
}

/* False: the list must be refused. */
static bool read_set(struct piece list, struct set *set)
{
    set->n = 0;
    if (list.len >= 3 && memcmp(list.data, "\xef\xbb\xbf", 3) == 0) {
        list = (struct piece){list.data + 3, list.len - 3};
    }
    while (list.len > 0) {
        struct piece line = trimmed(piece_until(&list, '\n'));
        struct points *word = &set->word[set->n];
        size_t i = 0;

        if (line.len == 0) {
            continue;
        }
        if (memchr(line.data, '\0', line.len) != NULL || !read_points(line, word) ||
            word->n > WORDS_CHARS_MAX) {
            return false;
        }
        while (!is_same(&set->word[i], word)) {
            i++; /* until it is WORD itself */
        }
        set->n += i == set->n ? 1 : 0;
    }
    return true;
}

/* Filters TEXT into OUT, which is as long, and adds a NUL. Returns the number of
 * masked characters. */
static size_t mask(const struct set *set, struct piece text, char *out)
{
    static struct points points;
    static bool marks[TEXT_MAX];
    size_t n = 0;

    RIGHT(read_points(text, &points));
    memset(marks, 0, sizeof marks);
    for (size_t i = 0; i < set->n; i++) {
        const struct points *word = &set->word[i];

        for (size_t at = 0; at + word->n <= points.n; at++) {
            if (memcmp(points.c + at, word->c, word->n * sizeof word->c[0]) == 0) {
                memset(marks + at, true, word->n);
            }
        }
    }
    for (size_t i = 0; i < points.n; i++) {
        size_t bytes = points.bytes[i];

        memcpy(out, marks[i] ? "*" : text.data, marks[i] ? 1 : bytes);
        out += marks[i] ? 1 : bytes;
        n += marks[i] ? 1 : 0;
        text.data += bytes;
    }
    *out = '\0';
    return n;
}

static void check_filter(struct words *words, const struct set *set, struct piece text)
{
    char expected[TEXT_MAX + 1];
    char *copy = text_copy(text);
    struct arena arena;
    const char *filtered;
    size_t n = 0;
    size_t wanted = mask(set, text, expected);

    arena_init(&arena, (size_t)1 << 20);
    filtered = words_filter(words, &arena, copy, text.len, &n);
    RIGHT(filtered != NULL && n == wanted);
    RIGHT((filtered == copy) == (n == 0)); /* the text itself if nothing is found */
    RIGHT(n == 0 || strcmp(filtered, expected) == 0);
    arena_release(&arena);
    free(copy);
}

static void check_words(struct piece list_text, struct piece text, bool is_text)
{
    static struct set set;
    struct errmsg err = {""};
    char *copy = exact_copy(list_text.data, list_text.len);
    struct words_list *list = words_list_parse(copy, list_text.len, &err);

    RIGHT(read_set(list_text, &set) == (list != NULL));
    RIGHT((list != NULL) == (err.text[0] == '\0'));
    if (list != NULL) {
        struct words *words = NULL;

        RIGHT(words_list_count(list) == set.n);
        words = words_new(list);
        RIGHT(words != NULL);
        if (is_text) {
            check_filter(words, &set, text);
        }
        words_free(&words);
    }
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static struct points points;
    static bool is_ready;
    struct piece text = {(const char *)data, len};
    struct piece list = piece_until(&text, '\f');
    char *copy = exact_copy(text.data, text.len);
    bool is_text = false;

    if (!is_ready) {
        RIGHT(setlocale(LC_CTYPE, "C.UTF-8") != NULL); // NOLINT(concurrency-mt-unsafe)
        is_ready = true;
    }
    if (text.len <= TEXT_MAX && list.len <= WORDS_SET) {
        is_text = read_points(text, &points);
        RIGHT(utf8_count(copy, text.len) == (is_text ? (ssize_t)points.n : -1));
        check_words(list, text, is_text && strnlen(text.data, text.len) == text.len);
    }
    free(copy);
    return 0;
}
