/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* What a load sends. */
#include "tests/bench/script.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shard/base/buf.h"

#define FILE_MAX (1u << 30)
#define MAGIC    UINT64_C(0x6473626e63683031)

/* The header of a file of states; one byte per line follows. */
struct states_head {
    uint64_t magic, n, next;
};

static bool read_file(const char *path, struct buf *text)
{
    char part[65536];
    size_t n;
    FILE *file = fopen(path, "re");

    if (file == NULL) {
        return false;
    }
    while ((n = fread(part, 1, sizeof part, file)) > 0) {
        buf_add(text, part, n);
    }
    bool good = ferror(file) == 0 && !text->failed;
    return fclose(file) == 0 && good;
}

static size_t count_lines(const char *text)
{
    size_t n = 0;

    for (const char *p = text; (p = strchr(p, '\n')) != NULL; p++) {
        n++;
    }
    return n;
}

/* True: all lines can be sent. */
static bool split_lines(struct script *script)
{
    char *text = script->text;

    for (size_t i = 0; i < script->n; i++) {
        char *end = strchr(text, '\n');
        *end = '\0';
        const char *percent = strchr(text, '%');
        if (end == text || (size_t)(end - text) > SCRIPT_LINE_MAX) {
            return false;
        }
        script->line[i] = (struct line){
            .text = text,
            .percent = percent != NULL ? (size_t)(percent - text) : SIZE_MAX};
        text = end + 1;
    }
    return *text == '\0';
}

bool script_load(struct script *script, const char *path, char *why, size_t why_bytes)
{
    struct buf text;

    *script = (struct script){0};
    buf_init(&text, FILE_MAX);
    if (!read_file(path, &text) || text.len == 0) {
        snprintf(why, why_bytes, "%s is empty or cannot be read", path);
        buf_clear(&text);
        return false;
    }
    script->text = buf_detach(&text, NULL);
    script->n = count_lines(script->text);
    script->line = calloc(script->n + 1, sizeof *script->line);
    if (script->line == NULL || script->n == 0 || !split_lines(script)) {
        snprintf(why, why_bytes, "%s has an empty or too long line", path);
        script_release(script);
        return false;
    }
    return true;
}

void script_release(struct script *script)
{
    free(script->text);
    free(script->line);
    *script = (struct script){0};
}

bool script_load_states(struct script *script, const char *path)
{
    struct states_head head;
    bool good = false;
    FILE *file = fopen(path, "re");

    if (file == NULL) {
        return errno == ENOENT;
    }
    if (fread(&head, sizeof head, 1, file) != 1 || head.magic != MAGIC ||
        head.n != script->n || head.next >= head.n) {
        goto out;
    }
    script->first = head.next;
    for (size_t i = 0; i < script->n; i++) {
        int state = getc(file);
        if (state < 0 || state >= SWITCH__COUNT) {
            goto out;
        }
        script->line[i].state = (uint8_t)state;
    }
    good = getc(file) == EOF;
out:
    return fclose(file) == 0 && good;
}

bool script_save_states(const struct script *script, const char *path, size_t next)
{
    const struct states_head head = {MAGIC, script->n, next % script->n};
    FILE *file = fopen(path, "we");

    if (file == NULL) {
        return false;
    }
    bool good = fwrite(&head, sizeof head, 1, file) == 1;
    for (size_t i = 0; i < script->n && good; i++) {
        good = putc(script->line[i].state, file) != EOF;
    }
    return fclose(file) == 0 && good;
}

size_t script_first(const struct script *script, size_t c, size_t n)
{
    /* A multiple of N, so that C has the same lines whichever one is first. */
    size_t line = script->first / n * n + c;

    return line < script->n ? line : c % script->n;
}

size_t script_next(const struct script *script, size_t line, size_t n)
{
    return line + n < script->n ? line + n : line % n % script->n;
}

size_t script_count(const struct script *script, enum switch_state state)
{
    size_t n = 0;

    for (size_t i = 0; i < script->n; i++) {
        const struct line *line = &script->line[i];
        n += line->percent != SIZE_MAX && line->state == (uint8_t)state;
    }
    return n;
}

size_t script_write(const struct script *script, size_t line, char *out)
{
    const struct line *l = &script->line[line];
    static const char get[] = " HTTP/1.1\r\nHost: bench\r\n\r\n";
    static const char post[] = " HTTP/1.1\r\nHost: bench\r\nContent-Length: 0\r\n\r\n";
    const char *tail = strncmp(l->text, "GET ", 4) == 0 ? get : post;
    int len = snprintf(out, SCRIPT_REQUEST_MAX, "%s%s", l->text, tail);

    CHECK(len > 0 && len < SCRIPT_REQUEST_MAX);
    if (l->percent != SIZE_MAX) {
        out[l->percent] = l->state == SWITCH_ON ? '2' : '1';
    }
    return (size_t)len;
}

bool script_done(struct script *script, size_t line)
{
    struct line *l = &script->line[line];
    bool was_known = l->state != SWITCH_UNKNOWN;

    l->state = l->state == SWITCH_ON ? SWITCH_OFF : SWITCH_ON;
    return was_known || l->percent == SIZE_MAX;
}

void script_unknown(struct script *script, size_t line)
{
    script->line[line].state = SWITCH_UNKNOWN;
}
