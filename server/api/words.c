/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* An Aho-Corasick automaton over folded code points, and the list of words in force.
 *
 * Every node but the root has a failure link; edges are in one hash table, keyed by node
 * and code point, so that 10,000 words cost a few megabytes. Most steps are misses; the
 * mask of possible next characters in each node, and the array of the root, settle nearly
 * all of them without the table.
 */
#include "server/api/words.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shard/base/file.h"
#include "shard/base/utf8.h"

#include "server/config/config_file.h"

/* Limit of nodes: they are numbered in 32 bits, and this limits the memory. */
#define NODES_MAX ((size_t)1 << 22)

#define ROOT 0u

/* The root's edges on code points below this are in an array. */
#define FIRST_MAX 65536u

struct node {
    uint32_t parent;
    uint32_t c; /* folded code point on the edge from the parent */
    uint32_t failure;
    uint64_t followers; /* bit c % 64 is set for every edge on c */
    uint32_t longest;   /* code points of the longest word that ends here; 0: none does */
};

/* key = parent << 21 | code point, + 1; 0: free. */
struct edge {
    uint64_t key;
    uint32_t child;
};

struct words_list {
    atomic_uint n_refs;
    size_t n_words;
    struct node *nodes; /* the root first; a child comes after its parent */
    size_t n_nodes;
    size_t nodes_size;
    struct edge *edges;
    size_t edges_size;         /* a power of two, at least twice n_nodes */
    uint32_t first[FIRST_MAX]; /* child of the root; ROOT: none */
};

struct words {
    struct {
        pthread_mutex_t mutex;
        struct words_list *list; /* one reference */
    } shared;
};

/* ---- Characters ---- */

/* The code point at S, well-formed; *LEN becomes its bytes. */
static uint32_t decode(const unsigned char *s, size_t *len)
{
    if (s[0] < 0x80) {
        *len = 1;
        return s[0];
    }
    if (s[0] < 0xe0) {
        *len = 2;
        return (uint32_t)(s[0] & 0x1f) << 6 | (s[1] & 0x3f);
    }
    if (s[0] < 0xf0) {
        *len = 3;
        return (uint32_t)(s[0] & 0x0f) << 12 | (uint32_t)(s[1] & 0x3f) << 6 |
               (s[2] & 0x3f);
    }
    *len = 4;
    return (uint32_t)(s[0] & 0x07) << 18 | (uint32_t)(s[1] & 0x3f) << 12 |
           (uint32_t)(s[2] & 0x3f) << 6 | (s[3] & 0x3f);
}

/* Latin Extended-A: pairs of a capital and its small letter. */
static uint32_t fold_latin(uint32_t c)
{
    bool odd_capital = (c >= 0x139 && c <= 0x148) || (c >= 0x179 && c <= 0x17e);

    if (c == 0x130 || c == 0x131 || c == 0x138 || c == 0x149 || c == 0x17f) {
        return c; /* no pairs */
    }
    if (c == 0x178) {
        return 0xff;
    }
    return (c & 1) == (odd_capital ? 1u : 0u) ? c + 1 : c;
}

/* Map characters to the one that they count as. */
static uint32_t fold(uint32_t c)
{
    if (c >= 0xff01 && c <= 0xff5e) {
        c -= 0xfee0; /* full width */
    } else if (c == 0x3000) {
        return ' ';
    }
    if (c < 0x80) {
        return c >= 'A' && c <= 'Z' ? c + 32 : c;
    }
    if (c >= 0xc0 && c <= 0xde) {
        return c != 0xd7 ? c + 32 : c;
    }
    if (c >= 0x100 && c <= 0x17f) {
        return fold_latin(c);
    }
    if (c >= 0x391 && c <= 0x3a9 && c != 0x3a2) {
        return c + 32; /* Greek */
    }
    if (c >= 0x400 && c <= 0x42f) {
        return c + (c < 0x410 ? 80 : 32); /* Cyrillic */
    }
    return c;
}

/* ---- The automaton ---- */

static size_t edge_hash(uint64_t key)
{
    return (size_t)((key * UINT64_C(0x9e3779b97f4a7c15)) >> 40);
}

/* The child of NODE on C, ROOT when there is none (no edge leads to the root). */
static uint32_t find_child(const struct words_list *list, uint32_t node, uint32_t c)
{
    uint64_t key = ((uint64_t)node << 21 | c) + 1;
    size_t mask = list->edges_size - 1;

    for (size_t i = edge_hash(key) & mask;; i = (i + 1) & mask) {
        if (list->edges[i].key == key) {
            return list->edges[i].child;
        }
        if (list->edges[i].key == 0) {
            return ROOT;
        }
    }
}

static void put_edge(struct words_list *list, uint32_t child)
{
    const struct node *node = &list->nodes[child];
    uint64_t key = ((uint64_t)node->parent << 21 | node->c) + 1;
    size_t mask = list->edges_size - 1;
    size_t i = edge_hash(key) & mask;

    while (list->edges[i].key != 0) {
        i = (i + 1) & mask;
    }
    list->edges[i] = (struct edge){.key = key, .child = child};
}

/* Double the capacity. False: no memory, or too many nodes. */
static bool grow(struct words_list *list)
{
    size_t size = list->nodes_size * 2;
    struct node *nodes = NULL;
    struct edge *edges = NULL;

    if (size <= NODES_MAX) {
        nodes = realloc(list->nodes, size * sizeof *nodes);
    }
    if (nodes == NULL) {
        return false;
    }
    list->nodes = nodes;
    edges = calloc(size * 2, sizeof *edges);
    if (edges == NULL) {
        return false;
    }
    free(list->edges);
    list->edges = edges;
    list->nodes_size = size;
    list->edges_size = size * 2;
    for (size_t child = 1; child < list->n_nodes; child++) {
        put_edge(list, (uint32_t)child);
    }
    return true;
}

/* The child of NODE on C, made if it is missing. False: no memory. */
static bool make_child(struct words_list *list, uint32_t *node, uint32_t c)
{
    uint32_t child = find_child(list, *node, c);

    if (child == ROOT) {
        if (list->n_nodes == list->nodes_size && !grow(list)) {
            return false;
        }
        child = (uint32_t)list->n_nodes++;
        list->nodes[child] = (struct node){.parent = *node, .c = c};
        put_edge(list, child);
        list->nodes[*node].followers |= UINT64_C(1) << (c % 64);
    }
    *node = child;
    return true;
}

/* One step through the automaton. */
static uint32_t step(const struct words_list *list, uint32_t node, uint32_t c)
{
    while (node != ROOT) {
        if ((list->nodes[node].followers >> (c % 64) & 1) != 0) {
            uint32_t child = find_child(list, node, c);

            if (child != ROOT) {
                return child;
            }
        }
        node = list->nodes[node].failure;
    }
    return c < FIRST_MAX ? list->first[c] : find_child(list, ROOT, c);
}

static int by_depth(const void *a, const void *b)
{
    const uint32_t *left = a;
    const uint32_t *right = b;

    return (left[0] > right[0]) - (left[0] < right[0]);
}

/* Set all failure links, shallow nodes first. False: no memory. */
static bool link_nodes(struct words_list *list)
{
    size_t n = list->n_nodes;
    uint32_t(*order)[2] = calloc(n, sizeof *order); /* depth, node */

    if (order == NULL) {
        return false;
    }
    for (size_t i = 1; i < n; i++) {
        order[i][0] = order[list->nodes[i].parent][0] + 1;
        order[i][1] = (uint32_t)i;
    }
    qsort(order, n, sizeof *order, by_depth);
    for (size_t i = 1; i < n; i++) {
        struct node *node = &list->nodes[order[i][1]];

        if (node->parent == ROOT) {
            if (node->c < FIRST_MAX) {
                list->first[node->c] = order[i][1];
            }
            continue;
        }
        node->failure = step(list, list->nodes[node->parent].failure, node->c);
        if (node->longest == 0) {
            node->longest = list->nodes[node->failure].longest;
        }
    }
    free(order);
    return true;
}

/* ---- Reading a list ---- */

static struct words_list *list_new(void)
{
    struct words_list *list = calloc(1, sizeof *list);

    if (list == NULL) {
        return NULL;
    }
    atomic_init(&list->n_refs, 1);
    list->nodes_size = 256;
    list->edges_size = 2 * list->nodes_size;
    list->nodes = calloc(list->nodes_size, sizeof *list->nodes);
    list->edges = calloc(list->edges_size, sizeof *list->edges);
    list->n_nodes = 1;
    if (list->nodes == NULL || list->edges == NULL) {
        words_list_unref(&list);
    }
    return list;
}

void words_list_unref(struct words_list **list)
{
    if (*list != NULL && atomic_fetch_sub(&(*list)->n_refs, 1) == 1) {
        free((*list)->nodes);
        free((*list)->edges);
        free(*list);
    }
    *list = NULL;
}

/* Add one word. NULL: done; else what is wrong. */
static const char *add_word(struct words_list *list, const char *word, size_t len)
{
    ssize_t n = utf8_count(word, len);
    uint32_t node = ROOT;

    if (n < 0 || memchr(word, '\0', len) != NULL) {
        return "the line is not UTF-8 text";
    }
    if (n > WORDS_CHARS_MAX) {
        return "the word is too long";
    }
    for (size_t i = 0, bytes = 0; i < len; i += bytes) {
        uint32_t c = fold(decode((const unsigned char *)word + i, &bytes));

        if (!make_child(list, &node, c)) {
            return "out of memory";
        }
    }
    if (list->nodes[node].longest == 0) {
        list->nodes[node].longest = (uint32_t)n;
        list->n_words++;
    }
    return list->n_words > WORDS_MAX ? "the list has too many words" : NULL;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static void trim(const char **line, size_t *len)
{
    while (*len > 0 && is_blank((*line)[0])) {
        (*line)++;
        (*len)--;
    }
    while (*len > 0 && is_blank((*line)[*len - 1])) {
        (*len)--;
    }
}

struct words_list *words_list_parse(const char *data, size_t len, struct errmsg *err)
{
    struct words_list *list = list_new();
    const char *problem = list == NULL ? "out of memory" : NULL;
    size_t number = 0;

    if (len >= 3 && memcmp(data, "\xef\xbb\xbf", 3) == 0) {
        data += 3; /* a byte order mark */
        len -= 3;
    }
    while (problem == NULL && len > 0) {
        const char *end = memchr(data, '\n', len);
        size_t line_len = end != NULL ? (size_t)(end - data) : len;
        const char *word = data;
        size_t word_len = line_len;

        number++;
        trim(&word, &word_len);
        if (word_len > 0) {
            problem = add_word(list, word, word_len);
        }
        data += line_len + (end != NULL ? 1 : 0);
        len -= line_len + (end != NULL ? 1 : 0);
    }
    if (problem == NULL && !link_nodes(list)) {
        problem = "out of memory";
    }
    if (problem != NULL) {
        (void)config_fail(err, NULL, 0, "line %zu: %s", number, problem);
        words_list_unref(&list);
    }
    return list;
}

struct words_list *words_list_read(const char *path, struct errmsg *err)
{
    struct file_text text;

    if (path[0] == '\0') {
        return words_list_parse("", 0, err);
    }
    if (!file_read(path, FILE_ANY, WORDS_FILE_BYTES, &text, err)) {
        return NULL;
    }
    struct words_list *list = words_list_parse(text.data, text.len, err);
    file_text_release(&text);
    return list;
}

size_t words_list_count(const struct words_list *list)
{
    return list->n_words;
}

/* ---- The list in force ---- */

struct words *words_new(struct words_list *list_steal)
{
    struct words *words = calloc(1, sizeof *words);

    if (words == NULL) {
        words_list_unref(&list_steal);
        return NULL;
    }
    (void)pthread_mutex_init(&words->shared.mutex, NULL);
    words->shared.list = list_steal;
    return words;
}

void words_free(struct words **words)
{
    if (*words != NULL) {
        words_list_unref(&(*words)->shared.list);
        (void)pthread_mutex_destroy(&(*words)->shared.mutex);
        free(*words);
        *words = NULL;
    }
}

void words_replace(struct words *words, struct words_list *list_steal)
{
    struct words_list *old;

    (void)pthread_mutex_lock(&words->shared.mutex);
    old = words->shared.list;
    words->shared.list = list_steal;
    (void)pthread_mutex_unlock(&words->shared.mutex);
    words_list_unref(&old);
}

/* The list in force, with a reference of the caller's own. */
static struct words_list *list_ref(struct words *words)
{
    struct words_list *list;

    (void)pthread_mutex_lock(&words->shared.mutex);
    list = words->shared.list;
    (void)atomic_fetch_add(&list->n_refs, 1);
    (void)pthread_mutex_unlock(&words->shared.mutex);
    return list;
}

size_t words_count(struct words *words)
{
    struct words_list *list = list_ref(words);
    size_t n = list->n_words;

    words_list_unref(&list);
    return n;
}

/* ---- Filtering ---- */

/* A text in which something was found. */
struct finding {
    struct arena *arena;
    size_t len;
    unsigned char *marks; /* per character: 1 = mask it; NULL: nothing found yet */
    bool no_memory;
};

/* Mark the N characters that end with number LAST. */
static void mark(struct finding *finding, size_t last, size_t n)
{
    if (finding->marks == NULL) {
        finding->marks = arena_calloc(finding->arena, finding->len, 1);
        finding->no_memory = finding->marks == NULL;
    }
    if (finding->marks != NULL) {
        memset(finding->marks + last + 1 - n, 1, n);
    }
}

/* Find all words in FINDING->len bytes of TEXT. */
static void find_words(const struct words_list *list, const char *text,
                       struct finding *finding)
{
    const unsigned char *s = (const unsigned char *)text;
    uint32_t node = ROOT;
    size_t n = 0;

    for (size_t i = 0, bytes = 0; i < finding->len && !finding->no_memory; i += bytes) {
        uint32_t c = fold(decode(s + i, &bytes));

        node = step(list, node, c);
        if (list->nodes[node].longest > 0) {
            mark(finding, n, list->nodes[node].longest);
        }
        n++;
    }
}

/* TEXT with marked characters replaced by stars, in the arena. */
static const char *masked(const char *text, const struct finding *finding,
                          size_t *n_masked)
{
    const unsigned char *s = (const unsigned char *)text;
    char *copy = arena_alloc(finding->arena, finding->len + 1);
    size_t n = 0;
    size_t to = 0;

    if (copy == NULL) {
        return NULL;
    }
    for (size_t i = 0, bytes = 0; i < finding->len; i += bytes) {
        (void)decode(s + i, &bytes);
        if (finding->marks[n++] != 0) {
            copy[to++] = '*';
            (*n_masked)++;
        } else {
            memcpy(copy + to, text + i, bytes);
            to += bytes;
        }
    }
    copy[to] = '\0';
    return copy;
}

const char *words_filter(struct words *words, struct arena *arena, const char *text,
                         size_t len, size_t *n_masked)
{
    struct finding finding = {.arena = arena, .len = len};
    struct words_list *list = words != NULL ? list_ref(words) : NULL;
    size_t n = 0;

    if (list != NULL && list->n_words > 0) {
        find_words(list, text, &finding);
    }
    if (finding.no_memory) {
        text = NULL;
    } else if (finding.marks != NULL) {
        text = masked(text, &finding, &n);
    }
    if (n_masked != NULL) {
        *n_masked = n;
    }
    words_list_unref(&list);
    return text;
}
