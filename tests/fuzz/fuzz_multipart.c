/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Multipart bodies: however a body is cut, it gives the same; the parts have what a
 * search for the delimiters finds between them.
 *
 * Input: the value of Content-Type, a line feed, the body. */
#include "shard/base/buf.h"

#include "server/http/multipart.h"

#include "tests/fuzz/fuzz.h"

/* What the parser reported: every part as "name=", its length and its bytes. */
struct seen {
    struct buf log;  /* for comparing two runs */
    struct buf data; /* of the parts, one after another */
    size_t ends[64]; /* where each ends in DATA */
    size_t n;        /* number of parts; those beyond the room are only counted */
};

static void collect(void *cls, const char *name, bool first, const char *data, size_t len)
{
    struct seen *seen = cls;

    RIGHT(name[0] != '\0' && strlen(name) <= MULTIPART_NAME_MAX);
    RIGHT(first || seen->n > 0);
    if (first) {
        (void)buf_addf(&seen->log, "%zu:%s=", seen->n, name);
        seen->n++;
    }
    (void)buf_add(&seen->log, data, len);
    (void)buf_add(&seen->data, data, len);
    if (seen->n <= ARRAY_LEN(seen->ends)) {
        seen->ends[seen->n - 1] = seen->data.len;
    }
}

static void seen_init(struct seen *seen)
{
    seen->n = 0;
    buf_init(&seen->log, (size_t)1 << 20);
    buf_init(&seen->data, (size_t)1 << 20);
}

static void seen_clear(struct seen *seen)
{
    buf_clear(&seen->log);
    buf_clear(&seen->data);
}

/* Parses BODY in pieces whose lengths depend on SEED; 0: in one piece. */
static enum multipart_state parse(struct multipart *multipart, const char *type,
                                  struct piece body, uint32_t seed, struct seen *seen)
{
    RIGHT(multipart_init(multipart, type, collect, seen));
    for (size_t pos = 0; pos < body.len;) {
        size_t left = body.len - pos;
        size_t n = seed == 0 ? left : 1 + (seed >> 16) % 9;
        char *piece;
        bool ok;

        seed = seed == 0 ? 0 : (seed * 1664525U + 1013904223U) | 1;
        n = n < left ? n : left;
        piece = exact_copy(body.data + pos, n);
        ok = multipart_add(multipart, piece, n);
        free(piece);
        RIGHT(ok == (multipart->state != MULTIPART_BROKEN));
        pos += n;
        if (!ok) {
            RIGHT(!multipart_add(multipart, "x", 1)); /* now and for ever */
            break;
        }
    }
    RIGHT(multipart_is_complete(multipart) == (multipart->state == MULTIPART_DONE));
    return multipart->state;
}

/* Whether the data of part I of SEEN is that of WANTED. */
static bool is_part(const struct seen *seen, size_t i, struct piece wanted)
{
    size_t begin = i > 0 ? seen->ends[i - 1] : 0;

    return seen->ends[i] - begin == wanted.len &&
           (wanted.len == 0 ||
            memcmp(seen->data.data + begin, wanted.data, wanted.len) == 0);
}

/* Moves *REST past the first DELIMITER; *BEFORE gets what was before it. False: there
 * is none. */
static bool skip_past(struct piece *rest, struct piece delimiter, struct piece *before)
{
    const char *at = memmem(rest->data, rest->len, delimiter.data, delimiter.len);

    if (at != NULL) {
        *before = (struct piece){rest->data, (size_t)(at - rest->data)};
        rest->len -= before->len + delimiter.len;
        rest->data = at + delimiter.len;
    }
    return at != NULL;
}

/* Reads what follows a delimiter, up to the data of the next part. MULTIPART_DATA:
 * there is a next part; otherwise the state of the body. */
static enum multipart_state read_head(struct piece *rest)
{
    static const struct piece empty_line = {"\r\n\r\n", 4};
    struct piece head;
    size_t n = 0;

    if (rest->len >= 2 && memcmp(rest->data, "--", 2) == 0) {
        return MULTIPART_DONE;
    }
    if (rest->len == 1 && rest->data[0] == '-') {
        return MULTIPART_TAIL;
    }
    while (n < rest->len && strchr(" \t", rest->data[n]) != NULL &&
           rest->data[n] != '\0') {
        n++;
    }
    *rest = (struct piece){rest->data + n, rest->len - n};
    if (rest->len == 0 || (rest->len == 1 && rest->data[0] == '\r')) {
        return MULTIPART_TAIL;
    }
    if (rest->len == 1 || memcmp(rest->data, "\r\n", 2) != 0) {
        return MULTIPART_BROKEN;
    }
    head = *rest;
    n = skip_past(rest, empty_line, &head) ? 2 : 0;
    for (size_t i = 2; i < head.len + n; i++) { /* with its last CR LF */
        if (head.data[i] == '\0' || (head.data[i] == '\n' && head.data[i - 1] != '\r')) {
            return MULTIPART_BROKEN;
        }
    }
    return n > 0 ? MULTIPART_DATA : MULTIPART_HEAD;
}

/* The state of BODY by a search for delimiters. The reported parts are among those
 * found, in the same order. */
static enum multipart_state search(const struct multipart *multipart, struct piece body,
                                   const struct seen *seen)
{
    const struct piece delimiter = {multipart->delimiter, multipart->delimiter_len};
    enum multipart_state state = MULTIPART_DATA;
    struct piece part;
    size_t matched = 0;

    if (body.len >= delimiter.len - 2 &&
        memcmp(body.data, delimiter.data + 2, delimiter.len - 2) == 0) {
        body.data += delimiter.len - 2; /* the first may lack its CR LF */
        body.len -= delimiter.len - 2;
    } else if (!skip_past(&body, delimiter, &part)) {
        return MULTIPART_PREAMBLE;
    }
    while (state == MULTIPART_DATA) {
        state = read_head(&body);
        if (state == MULTIPART_DATA && !skip_past(&body, delimiter, &part)) {
            return MULTIPART_DATA;
        }
        if (state == MULTIPART_DATA && matched < seen->n &&
            is_part(seen, matched, part)) {
            matched++;
        }
    }
    RIGHT(state != MULTIPART_DONE || matched == seen->n);
    return state;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static struct multipart multipart;
    struct piece body = {(const char *)data, len};
    char *type = text_copy(piece_until(&body, '\n'));
    struct seen whole;
    struct seen cut;

    seen_init(&whole);
    seen_init(&cut);
    if (multipart_init(&multipart, type, collect, &whole)) {
        enum multipart_state state = parse(&multipart, type, body, 0, &whole);

        RIGHT(parse(&multipart, type, body, mixed(data, len) | 1, &cut) == state);
        RIGHT(cut.n == whole.n && cut.log.len == whole.log.len);
        RIGHT(whole.log.len == 0 ||
              memcmp(cut.log.data, whole.log.data, whole.log.len) == 0);
        if (whole.n <= ARRAY_LEN(whole.ends) && len < MULTIPART_HEAD_MAX) {
            RIGHT(search(&multipart, body, &whole) == state);
        }
    }
    seen_clear(&whole);
    seen_clear(&cut);
    free(type);
    return 0;
}
