/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* How fast the word filter is with 10,000 words, compared with a plain UTF-8 check of the
 * same text. Prints medians of repeated runs. It sets no limits. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shard/base/clock.h"
#include "shard/base/utf8.h"

#include "server/api/words.h"
#include "server/config/config.h"

#define WORDS      10000
#define TEXT_BYTES 300 /* of one text, about a comment */
#define TEXTS      2000
#define RUNS       15

struct text {
    char bytes[TEXT_BYTES + 8];
    size_t len;
};

/* One kind of text, and how often a word of the list is put into it. */
struct kind {
    const char *name;
    unsigned from; /* code points */
    unsigned to;
    unsigned one_in; /* every so many texts one has a word; 0: none has */
};

static unsigned next_random(unsigned *seed)
{
    *seed = *seed * 1103515245u + 12345u;
    return *seed >> 8;
}

static size_t put(char *to, unsigned c)
{
    if (c < 0x80) {
        to[0] = (char)c;
        return 1;
    }
    to[0] = (char)(0xe0 | c >> 12);
    to[1] = (char)(0x80 | (c >> 6 & 0x3f));
    to[2] = (char)(0x80 | (c & 0x3f));
    return 3;
}

/* A word of 4 to 8 letters, or of 2 to 4 Chinese characters. */
static size_t make_word(char *to, unsigned *seed)
{
    unsigned is_ascii = next_random(seed) % 4 == 0;
    unsigned n = is_ascii ? 4 + next_random(seed) % 5 : 2 + next_random(seed) % 3;
    size_t len = 0;

    while (n-- > 0) {
        len += put(to + len, is_ascii ? 'a' + next_random(seed) % 26
                                      : 0x4e00 + next_random(seed) % 3500);
    }
    return len;
}

/* A list of WORDS words; the first one goes to SAMPLE. */
static struct words *make_words(struct text *sample)
{
    char *file = malloc((size_t)WORDS * 16);
    struct errmsg err;
    unsigned seed = 1;
    size_t len = 0;

    if (file == NULL) {
        return NULL;
    }
    for (unsigned i = 0; i < WORDS; i++) {
        size_t n = make_word(file + len, &seed);
        if (i == 0) {
            memcpy(sample->bytes, file, n);
            sample->len = n;
        }
        len += n;
        file[len++] = '\n';
    }
    struct words_list *list = words_list_parse(file, len, &err);
    free(file);
    return list != NULL ? words_new(list) : NULL;
}

static void make_texts(struct text *texts, const struct kind *kind,
                       const struct text *sample)
{
    unsigned seed = 2;

    for (size_t i = 0; i < TEXTS; i++) {
        struct text *text = &texts[i];
        text->len = 0;
        if (kind->one_in > 0 && i % kind->one_in == 0) {
            memcpy(text->bytes, sample->bytes, sample->len);
            text->len = sample->len;
        }
        while (text->len < TEXT_BYTES) {
            text->len += put(text->bytes + text->len,
                             kind->from + next_random(&seed) % (kind->to - kind->from));
        }
        text->bytes[text->len] = '\0';
    }
}

static int compare(const void *a, const void *b)
{
    const double *left = a;
    const double *right = b;

    return (*left > *right) - (*left < *right);
}

static double median(double *rates)
{
    qsort(rates, RUNS, sizeof *rates, compare);
    return rates[RUNS / 2];
}

/* Megabytes per second of one pass over all texts. */
static double rate(const struct text *texts, struct words *words, size_t *n_masked)
{
    struct arena arena;
    size_t bytes = 0;
    int64_t start_us = clock_mono_us();

    arena_init(&arena, (size_t)TEXTS * (TEXT_BYTES + 8) * 4);
    for (size_t i = 0; i < TEXTS; i++) {
        size_t n = 0;
        if (words == NULL) {
            n = (size_t)utf8_count(texts[i].bytes, texts[i].len);
        } else if (words_filter(words, &arena, texts[i].bytes, texts[i].len, &n) ==
                   NULL) {
            abort(); /* the arena is large enough: a bug */
        }
        *n_masked += n;
        bytes += texts[i].len;
    }
    arena_release(&arena);
    int64_t us = clock_mono_us() - start_us;
    return (double)bytes / (double)(us > 0 ? us : 1);
}

int main(void)
{
    static const struct kind kinds[] = {
        {"ASCII, no word", ' ', 0x7f, 0},
        {"Chinese, no word inserted", 0x4e00, 0x4e00 + 3500, 0},
        {"Chinese, word in every 10th", 0x4e00, 0x4e00 + 3500, 10},
        {"kana, which starts no word", 0x3041, 0x3096, 0},
    };
    struct text sample = {.len = 0};
    struct text *texts = calloc(TEXTS, sizeof *texts);
    struct words *words = make_words(&sample);

    if (texts == NULL || words == NULL) {
        free(texts);
        return 1;
    }
    printf("%zu words; %d texts of %d bytes; medians of %d runs\n", words_count(words),
           TEXTS, TEXT_BYTES, RUNS);
    printf("%-30s %14s %14s %8s\n", "text", "UTF-8 MB/s", "filter MB/s", "share");
    for (size_t k = 0; k < ARRAY_LEN(kinds); k++) {
        double plain[RUNS];
        double filter[RUNS];
        size_t n_masked = 0;
        make_texts(texts, &kinds[k], &sample);
        for (size_t run = 0; run < RUNS; run++) {
            plain[run] = rate(texts, NULL, &n_masked);
            filter[run] = rate(texts, words, &n_masked);
        }
        double plain_mb = median(plain);
        double filter_mb = median(filter);
        printf("%-30s %14.0f %14.0f %7.0f%%\n", kinds[k].name, plain_mb, filter_mb,
               100 * filter_mb / plain_mb);
    }
    words_free(&words);
    free(texts);
    return 0;
}
