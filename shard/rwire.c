/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The protocol of Redis, by hiredis: the only file that knows it. */
#include "shard/rwire.h"

#include <hiredis/hiredis.h>
#include <stdlib.h>
#include <string.h>

struct rreader {
    redisReader *parser; /* owned */
};

void rreply_free(struct rreply **reply)
{
    struct rreply *root = *reply;

    *reply = NULL;
    if (root == NULL) {
        return;
    }
    if (root->kind == RREPLY_ARRAY) {
        for (size_t i = 0; i < root->len; i++) {
            rreply_free(&root->elements[i]); /* hiredis nests them 7 deep at most */
        }
        free(root->elements);
    } else {
        free(root->text);
    }
    free(root);
}

bool rreply_says(const struct rreply *reply, const char *text)
{
    size_t len = strlen(text);

    if (reply == NULL || reply->kind == RREPLY_ARRAY || reply->text == NULL ||
        reply->len < len || memcmp(reply->text, text, len) != 0) {
        return false;
    }
    return reply->len == len || (reply->kind == RREPLY_ERROR && reply->text[len] == ' ');
}

bool rwire_command(struct buf *buf, int argc, const char **argv, const size_t *lens)
{
    char *text = NULL;
    int len = redisFormatCommandArgv(&text, argc, argv, lens);

    if (len < 0) {
        return false;
    }
    bool is_added = buf_add(buf, text, (size_t)len);
    redisFreeCommand(text);
    return is_added;
}

/* ---- Hiredis' parser, making our replies ---- */

/* A new reply in its place in the tree; NULL: out of memory, and the parser gives up.
 */
static struct rreply *plant(const redisReadTask *task, enum rreply_kind kind)
{
    struct rreply *reply = calloc(1, sizeof *reply);

    if (reply != NULL) {
        reply->kind = kind;
        if (task->parent != NULL) {
            struct rreply *parent = task->parent->obj;
            parent->elements[task->idx] = reply;
        }
    }
    return reply;
}

static void *make_text(const redisReadTask *task, char *data, size_t len)
{
    char *text = malloc(len + 1);
    struct rreply *reply =
        text == NULL ? NULL
                     : plant(task, task->type == REDIS_REPLY_ERROR    ? RREPLY_ERROR
                                   : task->type == REDIS_REPLY_STATUS ? RREPLY_STATUS
                                                                      : RREPLY_TEXT);

    if (reply == NULL) {
        free(text);
        return NULL;
    }
    if (len > 0) {
        memcpy(text, data, len);
    }
    text[len] = '\0';
    reply->text = text;
    reply->len = len;
    return reply;
}

static void *make_array(const redisReadTask *task, int n)
{
    if (n < 0 || n > RREPLY_ELEMENTS_MAX) {
        return NULL;
    }
    struct rreply **elements = calloc(n > 0 ? (size_t)n : 1, sizeof(void *));
    struct rreply *reply = elements == NULL ? NULL : plant(task, RREPLY_ARRAY);
    if (reply == NULL) {
        free(elements);
        return NULL;
    }
    reply->elements = elements;
    reply->len = (size_t)n;
    return reply;
}

static void *make_integer(const redisReadTask *task, long long value)
{
    struct rreply *reply = plant(task, RREPLY_INTEGER);

    if (reply != NULL) {
        reply->integer = value;
    }
    return reply;
}

static void *make_nil(const redisReadTask *task)
{
    return plant(task, RREPLY_NIL);
}

/* Free a tree that the parser gives up. */
static void drop(void *object)
{
    struct rreply *reply = object;

    rreply_free(&reply);
}

struct rreader *rreader_new(void)
{
    static redisReplyObjectFunctions functions = {.createString = make_text,
                                                  .createArray = make_array,
                                                  .createInteger = make_integer,
                                                  .createNil = make_nil,
                                                  .freeObject = drop};
    struct rreader *reader = calloc(1, sizeof *reader);

    if (reader == NULL) {
        return NULL;
    }
    reader->parser = redisReaderCreateWithFunctions(&functions);
    if (reader->parser == NULL) {
        free(reader);
        return NULL;
    }
    return reader;
}

void rreader_free(struct rreader **reader)
{
    if (*reader != NULL) {
        redisReaderFree((*reader)->parser);
        free(*reader);
        *reader = NULL;
    }
}

bool rreader_feed(struct rreader *reader, const char *data, size_t len)
{
    return redisReaderFeed(reader->parser, data, len) == REDIS_OK;
}

bool rreader_next(struct rreader *reader, struct rreply **reply)
{
    void *root = NULL;

    *reply = NULL;
    if (redisReaderGetReply(reader->parser, &root) != REDIS_OK) {
        return false;
    }
    *reply = root;
    return root != NULL || reader->parser->len - reader->parser->pos <= RREPLY_BYTES_MAX;
}
