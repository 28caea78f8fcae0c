/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The word filter: what is found and masked, case folding, overlaps, a large list
 * compared with a simple search, bad files, and lists that are replaced while in use. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "server/api/words.h"
#include "server/config/config.h"

#include "tests/unit/cmocka_all.h"

static struct arena arena;

static int begin(void **state)
{
    (void)state;
    arena_init(&arena, (size_t)64 << 20);
    return 0;
}

static int end(void **state)
{
    (void)state;
    arena_release(&arena);
    return 0;
}

static struct words *words_of(const char *text)
{
    struct errmsg err;
    struct words_list *list = words_list_parse(text, strlen(text), &err);

    if (list == NULL) {
        fail_msg("%s", err.text);
    }
    struct words *words = words_new(list);
    assert_non_null(words);
    return words;
}

static void assert_filtered(struct words *words, const char *text, const char *wanted)
{
    size_t n_masked = 99;
    size_t n_stars = 0;
    const char *got = words_filter(words, &arena, text, strlen(text), &n_masked);

    assert_non_null(got);
    assert_string_equal(got, wanted);
    for (const char *c = wanted; *c != '\0'; c++) {
        n_stars += *c == '*';
    }
    for (const char *c = text; *c != '\0'; c++) {
        n_stars -= *c == '*';
    }
    assert_int_equal(n_masked, n_stars);
    assert_true((got == text) == (strcmp(text, wanted) == 0));
}

static void test_mask(void **state)
{
    static const struct {
        const char *list;
        const char *text;
        const char *wanted;
    } rows[] = {
        {"", "anything at all", "anything at all"},
        {"\n\r\n  \n", "anything", "anything"},
        {"bad", "", ""},
        {"bad", "bad", "***"},
        {"bad", "a badge", "a ***ge"}, /* anywhere, not only between blanks */
        {"bad", "ba d", "ba d"},
        {"bad", "babad", "ba***"},
        {"  bad word\t\r\n", "a bad word.", "a ********."},
        {"bad", "BaD bAD", "*** ***"},
        {"BAD", "bad", "***"},
        /* one star per character, however many bytes it has */
        {"\xe6\x95\x8f\xe6\x84\x9f", "\xe4\xb8\x80\xe6\x95\x8f\xe6\x84\x9f\xe8\xaf\x8d",
         "\xe4\xb8\x80**\xe8\xaf\x8d"},
        {"\xf0\x9f\x90\xbb",
         "a\xf0\x9f\x90\xbb"
         "b",
         "a*b"},
        /* fullwidth letters equal ASCII, in text and list; the ideographic space is a
         * space */
        {"bad",
         "\xef\xbd\x82\xef\xbc\xa1"
         "d",
         "***"},
        {"\xef\xbc\xa2\xef\xbd\x81\xef\xbd\x84", "bad", "***"},
        {"a b",
         "A\xe3\x80\x80"
         "B",
         "***"},
        /* capitals outside ASCII */
        {"\xc3\xa9t\xc3\xa9", "\xc3\x89T\xc3\x89", "***"},
        {"\xd0\xbf\xd0\xbb\xd0\xbe", "\xd0\x9f\xd0\x9b\xd0\x9e", "***"},
        {"\xce\xb1\xce\xb2", "\xce\x91\xce\x92", "**"},
        {"\xc5\xbe", "\xc5\xbd", "*"},
        /* overlaps: all of each word, also of one inside another */
        {"abc\nbcd", "abcd", "****"},
        {"aba", "ababa", "*****"},
        {"b", "abc", "a*c"},
        {"abcx\nbc", "abcd", "a**d"}, /* the longer one fails, the one in it stays */
        {"he\nshe\nhis\nhers", "ushers", "u*****"},
        {"abcd\nbc\nc", "xabcx", "xa**x"},
        {"a", "aaaa", "****"},
        /* a word in two parts, empty texts */
        {"ab\nab\nAB", "ab", "**"},
        {"\xef\xbb\xbf"
         "bad",
         "bad", "***"}, /* a byte order mark is no character */
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct words *words = words_of(rows[i].list);
        assert_filtered(words, rows[i].text, rows[i].wanted);
        words_free(&words);
    }
}

static void test_count(void **state)
{
    struct words *words = words_of("a\nA\nb\n\nab\n");

    (void)state;
    assert_int_equal(words_count(words), 3);
    words_free(&words);
    assert_null(words);
    assert_string_equal(words_filter(NULL, &arena, "x", 1, NULL), "x");
}

/* The simple way: look for every word at every position. ASCII only. */
static void mask_plainly(char *text, char (*list)[8], size_t n)
{
    size_t len = strlen(text);
    char *marks = calloc(len + 1, 1);

    assert_non_null(marks);
    for (size_t i = 0; i < len; i++) {
        for (size_t w = 0; w < n; w++) {
            size_t word_len = strlen(list[w]);
            if (strncmp(text + i, list[w], word_len) == 0) {
                memset(marks + i, 1, word_len);
            }
        }
    }
    for (size_t i = 0; i < len; i++) {
        text[i] = marks[i] != 0 ? '*' : text[i];
    }
    free(marks);
}

static unsigned next_random(unsigned *seed)
{
    *seed = *seed * 1103515245u + 12345u;
    return *seed >> 16;
}

/* 10,000 words over four letters: the same result as a simple search. */
static void test_many_words(void **state)
{
    enum { N = 10000, LEN = 300 };
    static char list[N][8];
    char *file = malloc((size_t)N * 8 + 1);
    size_t at = 0;
    unsigned seed = 7;

    (void)state;
    assert_non_null(file);
    for (size_t i = 0; i < N; i++) {
        size_t len = 5 + next_random(&seed) % 3;
        for (size_t k = 0; k < len; k++) {
            list[i][k] = (char)('a' + next_random(&seed) % 6);
        }
        memcpy(file + at, list[i], len);
        file[at + len] = '\n';
        at += len + 1;
    }
    file[at] = '\0';
    struct words *words = words_of(file);
    assert_true(words_count(words) > N / 2);
    for (unsigned round = 0; round < 4; round++) {
        char text[LEN + 1] = "";
        char plain[LEN + 1];
        for (size_t k = 0; k < LEN; k++) {
            text[k] = (char)('a' + next_random(&seed) % 8);
        }
        memcpy(plain, text, sizeof plain);
        mask_plainly(plain, list, N);
        const char *got = words_filter(words, &arena, text, LEN, NULL);
        assert_string_equal(got, plain);
        assert_non_null(strchr(plain, '*'));
    }
    words_free(&words);
    free(file);
}

/* A list that cannot be used is reported with the line number. */
static void test_bad_lists(void **state)
{
    static const struct {
        const char *data;
        size_t len;
        const char *why;
    } rows[] = {
        {"ok\n\xff\n", 5, "line 2: the line is not UTF-8"},
        {"ok\nfine\na\0b\n", 12, "line 3: the line is not UTF-8"},
        {"12345678901234567890123456789012345678901234567890123456789012345", 65,
         "line 1: the word is too long"},
    };
    struct errmsg err;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        assert_null(words_list_parse(rows[i].data, rows[i].len, &err));
        if (strncmp(err.text, rows[i].why, strlen(rows[i].why)) != 0) {
            fail_msg("row %zu: %s", i, err.text);
        }
    }
    assert_null(words_list_read("/nowhere/at/all", &err));
    assert_true(strlen(err.text) > 0);
    assert_null(words_list_read("/", &err));
    assert_null(words_list_read("/dev/null", &err));
}

static void test_file(void **state)
{
    struct errmsg err;
    char path[] = "/tmp/doushard-words-XXXXXX";
    int fd = mkstemp(path);

    (void)state;
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "one\ntwo", 7), 7);
    struct words_list *list = words_list_read(path, &err);
    assert_non_null(list);
    assert_int_equal(words_list_count(list), 2);
    words_list_unref(&list);
    assert_null(list);
    assert_int_equal(close(fd), 0);
    assert_int_equal(unlink(path), 0);
    list = words_list_read("", &err);
    assert_int_equal(words_list_count(list), 0);
    words_list_unref(&list);
}

/* A text that is filtered while the list is replaced is filtered by either list, never
 * by a mixture. */
struct racer {
    struct words *words;
    atomic_bool stop;
    unsigned n_rounds;
    bool wrong;
};

static void *race(void *context)
{
    struct racer *racer = context;

    while (!atomic_load(&racer->stop) || racer->n_rounds < 100) {
        struct arena own;
        arena_init(&own, 4096);
        const char *got = words_filter(racer->words, &own, "one two", 7, NULL);
        if (got == NULL || (strcmp(got, "*** two") != 0 && strcmp(got, "one ***") != 0)) {
            racer->wrong = true;
        }
        arena_release(&own);
        racer->n_rounds++;
    }
    return NULL;
}

static void test_replace(void **state)
{
    static const char *const lists[] = {"two", "one"};
    struct racer racer = {.words = words_of("one")};
    struct errmsg err;
    pthread_t thread;

    (void)state;
    assert_int_equal(pthread_create(&thread, NULL, race, &racer), 0);
    for (size_t i = 0; i < 200; i++) {
        struct words_list *list = words_list_parse(lists[i % 2], 3, &err);
        assert_non_null(list);
        words_replace(racer.words, list);
    }
    atomic_store(&racer.stop, true);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_false(racer.wrong);
    assert_filtered(racer.words, "one two", "*** two");
    words_free(&racer.words);
}

/* A full arena gives NULL, never a half masked text. */
static void test_no_memory(void **state)
{
    struct words *words = words_of("bad");

    (void)state;
    while (arena_alloc(&arena, 4) != NULL) {
    }
    assert_null(words_filter(words, &arena, "a bad one", 9, NULL));
    assert_string_equal(words_filter(words, &arena, "a good one", 10, NULL),
                        "a good one");
    words_free(&words);
}

#define WITH_ARENA(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_ARENA(test_mask),      WITH_ARENA(test_count), WITH_ARENA(test_many_words),
        WITH_ARENA(test_bad_lists), WITH_ARENA(test_file),  WITH_ARENA(test_replace),
        WITH_ARENA(test_no_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
