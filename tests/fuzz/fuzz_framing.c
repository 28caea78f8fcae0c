/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Framing: an accepted request is also one for a strict reader that knows only CR LF,
 * and has the same length; what that reader accepts is not refused. The library parses
 * the bytes as it does in the server.
 *
 * Input: the bytes from a connection. */
#include <microhttpd.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "shard/base/arena.h"

#include "server/http/framing.h"

#include "tests/fuzz/fuzz.h"

#define INPUT_MAX 8192

/* Calls of the library until it has read everything and given up the connection. */
#define PASSES_MAX 100

/* The result of the first request. */
struct judged {
    struct framing framing;
    struct framing_target target;
    char *target_text; /* owned; NULL: there was no request line */
    bool is_complete;  /* its header is */
    bool is_open;      /* the connection is */
};

/* ---- A strict reader ---- */

/* What it found in a header. */
struct strict {
    bool is_good;
    bool is_known; /* the version is 1.0 or 1.1 */
    bool is_http11;
    bool has_space; /* in the query */
    bool chunked;
    uint64_t length;
    unsigned n_host;
    unsigned n_length;
    unsigned n_encoding;
};

static bool is_token(struct piece word)
{
    for (size_t i = 0; i < word.len; i++) {
        if (word.data[i] <= ' ' || word.data[i] == 0x7f ||
            strchr("\"(),/:;<=>?@[\\]{}", word.data[i]) != NULL) {
            return false;
        }
    }
    return word.len > 0;
}

static bool has_control(struct piece text)
{
    for (size_t i = 0; i < text.len; i++) {
        if ((unsigned char)text.data[i] < ' ' || text.data[i] == 0x7f) {
            return true;
        }
    }
    return false;
}

static struct piece trimmed(struct piece text, bool right)
{
    while (text.len > 0 && strchr(" \t", text.data[0]) != NULL) {
        text = (struct piece){text.data + 1, text.len - 1};
    }
    while (right && text.len > 0 && strchr(" \t", text.data[text.len - 1]) != NULL) {
        text.len--;
    }
    return text;
}

static bool is_word(struct piece text, const char *word)
{
    return text.len == strlen(word) && strncasecmp(text.data, word, text.len) == 0;
}

static bool read_request_line(struct strict *strict, struct piece line)
{
    struct piece method = piece_until(&line, ' ');
    const char *last = line.len > 0 ? memrchr(line.data, ' ', line.len) : NULL;
    const char *query;
    const char *space;
    struct piece target;
    struct piece version;

    if (last == NULL || !is_token(method)) {
        return false;
    }
    target = (struct piece){line.data, (size_t)(last - line.data)};
    version = (struct piece){last + 1, line.len - target.len - 1};
    query = memchr(target.data, '?', target.len);
    space = memchr(target.data, ' ', target.len);
    strict->has_space = space != NULL;
    strict->is_http11 = !is_word(version, "HTTP/1.0");
    strict->is_known =
        memcmp(version.data, "HTTP/1.", version.len < 7 ? version.len : 7) == 0 &&
        (is_word(version, "HTTP/1.0") || is_word(version, "HTTP/1.1"));
    return target.len > 0 && !has_control(target) && !has_control(version) &&
           (space == NULL || (query != NULL && query < space));
}

static bool read_length(struct strict *strict, struct piece value)
{
    for (size_t i = 0; i < value.len; i++) {
        if (value.data[i] < '0' || value.data[i] > '9') {
            return false;
        }
        strict->length = strict->length * 10 + (uint64_t)(value.data[i] - '0');
        if (strict->length >= UINT64_C(1) << 53) {
            return false;
        }
    }
    return value.len > 0;
}

static bool read_field(struct strict *strict, struct piece line)
{
    bool has_colon = memchr(line.data, ':', line.len) != NULL;
    struct piece name = piece_until(&line, ':');
    struct piece value = trimmed(line, true);

    for (size_t i = 0; i < line.len; i++) {
        if (line.data[i] != '\t' && has_control((struct piece){line.data + i, 1})) {
            return false;
        }
    }
    if (!has_colon || !is_token(name)) {
        return false;
    }
    if (is_word(name, "Content-Length")) {
        return ++strict->n_length == 1 && read_length(strict, value);
    }
    if (is_word(name, "Transfer-Encoding")) {
        strict->chunked = true;
        return ++strict->n_encoding == 1 && strict->is_http11 &&
               is_word(trimmed(line, false), "chunked");
    }
    if (is_word(name, "Host")) {
        for (size_t i = 0; i < value.len; i++) {
            if (strchr(" \t,/@?#\\", value.data[i]) != NULL) {
                return false;
            }
        }
        strict->n_host++;
    }
    return true;
}

/* The bytes after the empty lines that may come before a request. */
static const char *skip_empty(const char *data, const char *end)
{
    while (data < end && (*data == '\r' || *data == '\n')) {
        const char *eol = memchr(data, '\n', (size_t)(end - data));

        if (eol == NULL || (*data == '\r' && eol > data + 1)) {
            break;
        }
        data = eol + 1;
    }
    return data;
}

/* Reads a header of LEN bytes up to its empty line. */
static void read_strictly(struct strict *strict, const char *data, size_t len)
{
    const char *end = data + len;
    size_t n_lines = 0;

    *strict = (struct strict){.is_good = false};
    data = skip_empty(data, end);
    for (;;) {
        const char *eol = memmem(data, (size_t)(end - data), "\r\n", 2);
        struct piece line = {data, eol != NULL ? (size_t)(eol - data) : 0};

        if (eol == NULL) {
            return; /* not complete */
        }
        if (line.len == 0) {
            break;
        }
        if (n_lines == 0 ? !read_request_line(strict, line) : !read_field(strict, line)) {
            return;
        }
        n_lines++;
        data = eol + 2;
    }
    strict->is_good = strict->n_host <= 1 &&
                      (strict->n_host == 1 || !strict->is_http11) &&
                      strict->n_length + strict->n_encoding <= 1;
}

/* ---- The library ---- */

static void *target_cb(void *cls, const char *target, struct MHD_Connection *connection)
{
    struct judged *judged = cls;

    (void)connection;
    if (judged->target_text == NULL) {
        judged->target_text = strdup(target);
        RIGHT(judged->target_text != NULL);
        judged->target = (struct framing_target){target, judged->target_text};
        return judged;
    }
    return NULL; /* a second request is ignored */
}

static void check_path(const struct framing *framing)
{
    struct arena arena;
    const char *reason = NULL;
    const char *path;

    arena_init(&arena, (size_t)1 << 16);
    path = framing_path(framing, &arena, &reason);
    RIGHT(path != NULL || reason != NULL);
    if (path != NULL) {
        RIGHT(path[0] == '/' && strlen(path) <= framing->target_len + 1);
        RIGHT(!has_control((struct piece){path, strlen(path)}));
    }
    if (path != NULL && framing->target[0] == '/' &&
        strchr(framing->target, '%') == NULL) {
        size_t len = strcspn(framing->target, "?");

        RIGHT(strlen(path) == len && memcmp(path, framing->target, len) == 0);
    }
    arena_release(&arena);
}

// NOLINTNEXTLINE(readability-function-size): the library says what the parameters are
static enum MHD_Result request_cb(void *cls, struct MHD_Connection *connection,
                                  const char *url, const char *method,
                                  const char *version, const char *data, size_t *data_len,
                                  void **context)
{
    struct judged *judged = *context;

    (void)cls;
    (void)url;
    (void)data;
    *data_len = 0;
    if (judged != NULL) {
        framing_check(&judged->framing, connection, method, &judged->target, version);
        judged->is_complete = true;
        if (judged->framing.verdict == FRAMING_OK) {
            check_path(&judged->framing);
        }
    }
    return MHD_NO;
}

static void connection_cb(void *cls, struct MHD_Connection *connection, void **context,
                          enum MHD_ConnectionNotificationCode code)
{
    struct judged *judged = cls;

    (void)connection;
    (void)context;
    judged->is_open = code == MHD_CONNECTION_NOTIFY_STARTED;
}

/* Lets the library process LEN bytes and the end of the connection. */
static void judge(struct judged *judged, const void *data, size_t len)
{
    struct sockaddr_storage address = {.ss_family = AF_UNIX};
    int ends[2];
    struct MHD_Daemon *daemon = MHD_start_daemon(
        MHD_USE_NO_LISTEN_SOCKET, 0, NULL, NULL, request_cb, NULL,
        MHD_OPTION_URI_LOG_CALLBACK, target_cb, judged, MHD_OPTION_NOTIFY_CONNECTION,
        connection_cb, judged, MHD_OPTION_END);

    RIGHT(daemon != NULL);
    RIGHT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
    RIGHT(write(ends[0], data, len) == (ssize_t)len);
    RIGHT(shutdown(ends[0], SHUT_WR) == 0);
    RIGHT(MHD_add_connection(daemon, ends[1], (struct sockaddr *)&address,
                             sizeof address) == MHD_YES);
    for (int pass = 0; judged->is_open && pass < PASSES_MAX; pass++) {
        RIGHT(MHD_run(daemon) == MHD_YES);
    }
    MHD_stop_daemon(daemon);
    (void)close(ends[0]);
}

/* Whether a header has what framing.h says is invisible: NUL at the end of a line, or
 * a line with only a colon that ends with LF or follows one that does. NUL within a
 * line is visible. */
static bool is_unseen(const char *data, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        bool begins = i == 0 || data[i - 1] == '\n' || data[i - 1] == '\0' ||
                      (data[i - 1] == ':' && i > 1 && data[i - 2] == '\n');
        bool before_crlf = i + 2 < len && data[i + 1] == '\r' && data[i + 2] == '\n';
        bool ends = i + 1 < len && data[i + 1] == '\n';
        bool short_before = i > 1 && data[i - 2] != '\r' && before_crlf;

        if ((data[i] == '\0' && (begins || ends || before_crlf)) ||
            (data[i] == ':' && begins && (ends || short_before))) {
            return true;
        }
    }
    return false;
}

static void compare(const struct framing *framing, const struct strict *strict)
{
    if (framing->verdict != FRAMING_OK) {
        RIGHT(framing->reason != NULL && framing->must_close);
        RIGHT(!strict->is_good || !strict->is_known);
        return;
    }
    RIGHT(strict->is_good);
    RIGHT(framing->chunked == strict->chunked);
    RIGHT(framing->content_length == strict->length);
    RIGHT(framing->must_close == (strict->chunked || strict->has_space));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct judged judged = {.target_text = NULL};
    struct strict strict;
    char *copy;

    if (len == 0 || len > INPUT_MAX) {
        return 0;
    }
    copy = exact_copy((const char *)data, len);
    judge(&judged, data, len);
    if (judged.is_complete && !is_unseen(copy, len)) {
        read_strictly(&strict, copy, len);
        compare(&judged.framing, &strict);
    }
    free(judged.target_text);
    free(copy);
    return 0;
}
