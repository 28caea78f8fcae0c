/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The rows of all shards when the load is over, as SQL printed them. */
#include "tests/ledger/rows.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define COLUMNS_MAX 12

/* The columns of one line after the first. */
struct line {
    const char *text[COLUMNS_MAX];
    uint64_t number[COLUMNS_MAX]; /* of columns that are numbers; signed ones wrapped */
    size_t n;
};

static void split(char *text, struct line *line)
{
    line->n = 0;
    text[strcspn(text, "\n")] = '\0';
    for (char *rest = text; rest != NULL && line->n < COLUMNS_MAX;) {
        char *column = strsep(&rest, "\t");
        char *end = NULL;
        line->text[line->n] = column;
        line->number[line->n++] = *column == '-' ? (uint64_t)strtoll(column, &end, 10)
                                                 : strtoull(column, &end, 10);
    }
}

static void copy_text(char *to, size_t size, const char *from)
{
    /* A longer text is not one of ours: it is cut, and still is not. */
    (void)snprintf(to, size, "%s", from);
}

static bool read_user(struct ledger_rows *rows, const struct line *line)
{
    if (line->n != 8) {
        return false;
    }
    rows->users =
        ledger_grow(rows->users, rows->n_users, &rows->users_room, sizeof *rows->users);
    rows->users[rows->n_users++] = (struct ledger_user){
        .id = line->number[1],
        .counts = {(int64_t)line->number[2], (int64_t)line->number[3],
                   (int64_t)line->number[4], (int64_t)line->number[5]},
        .works = (int64_t)line->number[6],
        .edge_ver = line->number[7]};
    return true;
}

static bool read_video(struct ledger_rows *rows, const struct line *line)
{
    if (line->n != 7) {
        return false;
    }
    rows->videos = ledger_grow(rows->videos, rows->n_videos, &rows->videos_room,
                               sizeof *rows->videos);
    rows->videos[rows->n_videos++] =
        (struct ledger_video){.id = line->number[1],
                              .author = line->number[2],
                              .is_live = line->number[3] != 0,
                              .favorites = (int64_t)line->number[4],
                              .comments = (int64_t)line->number[5],
                              .ver = line->number[6]};
    return true;
}

/* table, owner, other, state, ver: the half of an edge. */
static bool read_edge(struct ledger_rows *rows, const struct line *line)
{
    const char *table = line->text[0];
    bool is_backward = strcmp(table, "follower") == 0 || strcmp(table, "liker") == 0;
    bool is_follow = strncmp(table, "follow", 6) == 0;

    if (line->n != 5) {
        return false;
    }
    rows->edges =
        ledger_grow(rows->edges, rows->n_edges, &rows->edges_room, sizeof *rows->edges);
    rows->edges[rows->n_edges++] =
        (struct ledger_edge){.kind = is_follow ? LEDGER_FOLLOW : LEDGER_LIKE,
                             .actor = line->number[is_backward ? 2 : 1],
                             .target = line->number[is_backward ? 1 : 2],
                             .is_backward = is_backward,
                             .state = line->number[3] != 0,
                             .ver = line->number[4]};
    return true;
}

/* table, video, id, author, state, ver, text. */
static bool read_comment(struct ledger_rows *rows, const struct line *line)
{
    if (line->n != 7) {
        return false;
    }
    rows->comments = ledger_grow(rows->comments, rows->n_comments, &rows->comments_room,
                                 sizeof *rows->comments);
    struct ledger_comment *comment = &rows->comments[rows->n_comments++];
    *comment =
        (struct ledger_comment){.video = line->number[1],
                                .id = line->number[2],
                                .author = line->number[3],
                                .is_backward = strcmp(line->text[0], "commented") == 0,
                                .state = line->number[4] != 0,
                                .ver = line->number[5]};
    copy_text(comment->text, sizeof comment->text, line->text[6]);
    return true;
}

/* table, owner, peer, sent, seq, id, at, state, text. */
static bool read_message(struct ledger_rows *rows, const struct line *line)
{
    if (line->n != 9) {
        return false;
    }
    bool is_sent = line->number[3] != 0;
    rows->messages = ledger_grow(rows->messages, rows->n_messages, &rows->messages_room,
                                 sizeof *rows->messages);
    struct ledger_message *message = &rows->messages[rows->n_messages++];
    *message = (struct ledger_message){.sender = line->number[is_sent ? 1 : 2],
                                       .receiver = line->number[is_sent ? 2 : 1],
                                       .is_backward = !is_sent,
                                       .seq = line->number[4],
                                       .id = line->number[5],
                                       .at = (int64_t)line->number[6],
                                       .state = line->number[7] != 0};
    copy_text(message->text, sizeof message->text, line->text[8]);
    return true;
}

static bool read_outbox(struct ledger_rows *rows, const struct line *line)
{
    rows->outbox += line->n > 1;
    return line->n > 1;
}

static const struct table {
    const char *name;
    bool (*read)(struct ledger_rows *rows, const struct line *line);
} tables[] = {
    {"user", read_user},       {"video", read_video},       {"follow", read_edge},
    {"follower", read_edge},   {"favorite", read_edge},     {"liker", read_edge},
    {"comment", read_comment}, {"commented", read_comment}, {"message", read_message},
    {"outbox", read_outbox},
};

bool ledger_rows_read(struct ledger_rows *rows, FILE *file, size_t *line)
{
    char text[4096];
    struct line columns;

    for (*line = 1; fgets(text, sizeof text, file) != NULL; ++*line) {
        bool good = false;
        split(text, &columns);
        for (size_t i = 0; i < ARRAY_LEN(tables); i++) {
            if (strcmp(columns.text[0], tables[i].name) == 0) {
                good = tables[i].read(rows, &columns);
            }
        }
        if (!good) {
            return false;
        }
    }
    return true;
}

void ledger_rows_release(struct ledger_rows *rows)
{
    free(rows->users);
    free(rows->videos);
    free(rows->edges);
    free(rows->comments);
    free(rows->messages);
    *rows = (struct ledger_rows){.outbox = 0};
}
