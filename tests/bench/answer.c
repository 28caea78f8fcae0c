/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Checks that bytes are a complete HTTP/1.1 answer, and the right one. */
#include "tests/bench/answer.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define STATUS_LINE "HTTP/1.1 200"
#define FIRST       "{\"status_code\":"
/* "Busy", "unavailable" and "outcome unknown" (server/request/errors.def): what a service
 * may say under load. Any other refusal means that the script sends wrong requests. */
#define FIRST_EXCUSE 1016
#define LAST_EXCUSE  1018
#define PARTIAL                                                                          \
    "\"partial\":true" /* a shard did not answer: less work than requested               \
                        */

/* What the header fields of an answer say. */
struct head {
    size_t body_len;
    bool has_len, closes;
};

static bool is_field(const char *line, const char *name, const char **value)
{
    size_t len = strlen(name);

    if (strncasecmp(line, name, len) != 0 || line[len] != ':') {
        return false;
    }
    *value = line + len + 1 + strspn(line + len + 1, " ");
    return true;
}

/* Read the header fields. LINE is the status line, END the start of the empty line. */
static struct head read_head(const char *line, const char *end)
{
    struct head head = {0};
    const char *value;

    while ((line = strchr(line, '\n')) != NULL && ++line < end) {
        if (is_field(line, "Content-Length", &value)) {
            head.body_len = strtoul(value, NULL, 10);
            head.has_len = true;
        } else if (is_field(line, "Connection", &value)) {
            head.closes = strncasecmp(value, "close", strlen("close")) == 0;
        }
    }
    return head;
}

static bool array_is_there(const struct expectation *wanted, const json_t *json)
{
    const json_t *array = json_object_get(json, wanted->array);

    return wanted->array == NULL ||
           (json_is_array(array) && json_array_size(array) >= wanted->array_min);
}

static bool json_is_right(const struct expectation *wanted, const char *body, size_t len)
{
    json_t *json = json_loadb(body, len, JSON_REJECT_DUPLICATES, NULL);
    const json_t *code = json_object_get(json, "status_code");
    bool right = json_is_integer(code) && array_is_there(wanted, json);

    json_decref(json);
    return right;
}

static enum verdict judge_json(const struct expectation *wanted, const char *body,
                               size_t len, bool deeply, int *status_code)
{
    char *end = NULL;

    if (len < sizeof FIRST || strncmp(body, FIRST, sizeof FIRST - 1) != 0 ||
        body[len - 1] != '}') {
        return ANSWER_WRONG;
    }
    long code = strtol(body + sizeof FIRST - 1, &end, 10);
    if (end == body + sizeof FIRST - 1 || (*end != ',' && *end != '}')) {
        return ANSWER_WRONG;
    }
    if (code != 0) {
        *status_code = (int)code;
        return code >= FIRST_EXCUSE && code <= LAST_EXCUSE ? ANSWER_REFUSED
                                                           : ANSWER_WRONG;
    }
    if (memmem(body, len, PARTIAL, sizeof PARTIAL - 1) != NULL ||
        (deeply && !json_is_right(wanted, body, len))) {
        return ANSWER_WRONG;
    }
    return ANSWER_RIGHT;
}

enum verdict answer_judge(const struct expectation *wanted, const char *bytes, size_t len,
                          bool deeply, bool *closes, int *status_code)
{
    const char *end = memmem(bytes, len, "\r\n\r\n", 4);

    if (end == NULL) {
        return ANSWER_PART;
    }
    const char *body = end + 4;
    size_t body_len = len - (size_t)(body - bytes);
    struct head head = read_head(bytes, end + 2);
    *closes = head.closes || !head.has_len;
    if (!head.has_len || body_len > head.body_len ||
        strncmp(bytes, STATUS_LINE, sizeof STATUS_LINE - 1) != 0) {
        return ANSWER_WRONG;
    }
    if (body_len < head.body_len) {
        return ANSWER_PART;
    }
    if (wanted->body != NULL) {
        return body_len == strlen(wanted->body) &&
                       memcmp(body, wanted->body, body_len) == 0
                   ? ANSWER_RIGHT
                   : ANSWER_WRONG;
    }
    return judge_json(wanted, body, body_len, deeply, status_code);
}
