/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* shardctl export: one JSON document of everything that the exporter of shard/export.h
 * finds. It is written page by page, so that its size does not matter for memory. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "shard/base/clock.h"

#include "shard/export.h"
#include "shard/router.h"

#include "scripts/shardctl.h"

static const char help_text[] =
    "export: write everything that the service stores about the user with this id as "
    "one\n"
    "JSON document: for a person who asks for it, or before CALL user_erase(id). Reads\n"
    "only; may run while the service does, and may or may not contain what is written\n"
    "meanwhile. Progress on standard error when it takes long.\n"
    "\n"
    "  --output=FILE         write there, readable only by its owner; FILE is replaced "
    "when\n"
    "                        all is written. Without it, standard output\n"
    "\n"
    "Members: format, user_id, profile (an object), and lists of objects: sessions, "
    "videos,\n"
    "follows, followers, favorites, comments and messages. Times (.._at, at) are "
    "milliseconds\n"
    "since 1970 UTC; state 0, deleted or erased means undone or deleted. Comments have\n"
    "their text, from the videos' shards, while they are live; otherwise text is null.\n"
    "Passwords and session ids are left out; files are named by videos[].media,\n"
    "profile.avatar and profile.background_image.\n"
    "\n"
    "    shardctl export 139264 --password-file=admin_password --output=139264.json\n"
    "    jq '.comments[].text' 139264.json\n"
    "\n"
    "Exit status: 0 all of it was written; 1 there never was such a user; 2 misuse, a "
    "shard\n"
    "could not be read, or the file could not be written. The document is complete only\n"
    "with 0.\n";

/* One run of the exporter. */
struct run {
    const struct shardctl *ctl;
    uint64_t user_id;
    FILE *file;
    struct export_place place;
    uint64_t n_items;      /* of all parts */
    uint64_t n_part_items; /* of this part */
    bool has_begun;        /* this part, in the document */
    int64_t begin_ms;
    int64_t reported_ms;
};

static void report_progress(struct run *run)
{
    int64_t now_ms = clock_mono_ms();

    if (now_ms - run->reported_ms < SHARDCTL_REPORT_EVERY_MS) {
        return;
    }
    run->reported_ms = now_ms;
    (void)fprintf(stderr, "%s: %" PRIu64 ", %" PRIu64 " in all, %.0f s\n",
                  export_part_name(run->place.part), run->n_part_items, run->n_items,
                  (double)(now_ms - run->begin_ms) / 1000);
}

/* ---- The document ---- */

/* ITEM as a JSON object; NULL: it is not valid, or out of memory. */
static json_t *parse_item(const struct export_item *item, enum export_part part)
{
    json_t *object =
        json_loads(item->json, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
    bool good = json_is_object(object);

    if (good && part == EXPORT_COMMENTS) {
        json_t *text = item->text != NULL ? json_string(item->text) : json_null();
        good = json_object_set_new(object, "text", text) == 0;
    }
    if (!good) {
        json_decref(object);
        return NULL;
    }
    return object;
}

/* Write the beginning of a part, even if it has no items. */
static bool begin_part(const struct run *run, enum export_part part)
{
    if (part == EXPORT_PROFILE &&
        fprintf(run->file, "{\n\"format\": \"doushard-export-1\",\n\"user_id\": %" PRIu64,
                run->user_id) < 0) {
        return false;
    }
    return fprintf(run->file, ",\n\"%s\": %s", export_part_name(part),
                   part == EXPORT_PROFILE ? "" : "[") > 0;
}

/* Write what separates two items, or comes before the first. */
static bool begin_item(const struct run *run, enum export_part part)
{
    return part == EXPORT_PROFILE ||
           fputs(run->n_part_items == 0 ? "\n" : ",\n", run->file) >= 0;
}

static bool end_part(const struct run *run, enum export_part part)
{
    return part == EXPORT_PROFILE || fputs("\n]", run->file) >= 0;
}

/* Write a page of PART; run->place is already after it. NULL: written; else why not. */
static const char *write_page(struct run *run, enum export_part part,
                              const struct export_page *page)
{
    if (!run->has_begun && !begin_part(run, part)) {
        return shardctl_error_text();
    }
    run->has_begun = true;
    for (size_t i = 0; i < page->n; i++) {
        json_t *object = parse_item(&page->items[i], part);
        if (object == NULL) {
            return "a row cannot be read";
        }
        bool good = begin_item(run, part) && json_dumpf(object, run->file, 0) == 0;
        json_decref(object);
        if (!good) {
            return shardctl_error_text();
        }
        run->n_part_items++;
        run->n_items++;
    }
    if (run->place.part != part) {
        if (!end_part(run, part)) {
            return shardctl_error_text();
        }
        run->has_begun = false;
        run->n_part_items = 0;
    }
    return NULL;
}

/* ---- The run ---- */

/* Read one page, again while shards do not answer, and write it. 0, or the exit
 * status. */
static int export_one_page(struct run *run)
{
    const enum export_part part = run->place.part;
    struct errmsg err;

    for (unsigned i = 0; i < SHARDCTL_TRIES_MAX; i++) {
        struct arena arena;
        struct call call;
        struct export_page page;
        const char *problem = NULL;
        arena_init(&arena, SHARDCTL_PAGE_BYTES);
        call_init(&call, &arena, clock_mono_ms() + SHARDCTL_CALL_MS);
        enum outcome outcome =
            export_read(run->ctl->router, &call, run->user_id, &run->place, &page);
        if (outcome == OUTCOME_OK) {
            problem = write_page(run, part, &page);
        }
        (void)errmsg_set(&err, "%s: %s", outcome_name(outcome), call.detail);
        arena_release(&arena);
        if (outcome == OUTCOME_OK) {
            return problem == NULL ? 0 : shardctl_fail(export_part_name(part), problem);
        }
        if (outcome == OUTCOME_NOTFOUND) {
            (void)shardctl_fail(run->ctl->options.operand, "there never was such a user");
            return 1;
        }
        (void)router_discover(run->ctl->router, clock_mono_ms() + SHARDCTL_CONNECT_MS);
    }
    return shardctl_fail(export_part_name(part), err.text);
}

static int export_all(struct run *run)
{
    int status = 0;

    run->begin_ms = run->reported_ms = clock_mono_ms();
    while (status == 0 && run->place.part < EXPORT_PART__COUNT) {
        status = export_one_page(run);
        if (status == 0 && run->place.part < EXPORT_PART__COUNT) {
            report_progress(run);
        }
    }
    if (status == 0 && (fputs("\n}\n", run->file) < 0 || fflush(run->file) != 0)) {
        status = shardctl_fail("output", shardctl_error_text());
    }
    return status;
}

/* Into a file of another name first. */
static int export_to_file(struct run *run, const char *output)
{
    char name[4096];

    if (snprintf(name, sizeof name, "%s.new", output) >= (int)sizeof name) {
        return shardctl_fail(output, "the name is too long");
    }
    (void)unlink(name); /* left by an interrupted run, or somebody else's */
    int fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    run->file = fd < 0 ? NULL : fdopen(fd, "w");
    if (run->file == NULL) {
        return shardctl_fail(name, shardctl_error_text());
    }
    int status = export_all(run);
    bool good = fsync(fd) == 0;
    good = fclose(run->file) == 0 && good;
    if (status == 0 && (!good || rename(name, output) != 0)) {
        status = shardctl_fail(output, shardctl_error_text());
    }
    if (status != 0) {
        (void)unlink(name);
    }
    return status;
}

static int run_export(const struct shardctl *ctl)
{
    struct run run = {
        .ctl = ctl, .user_id = shardctl_read_id(ctl->options.operand), .file = stdout};
    int status;

    if (run.user_id == 0) {
        return shardctl_fail(ctl->options.operand, "this is not the id of a user");
    }
    if (!shardctl_discover(ctl, "export")) {
        return 2;
    }
    if (ctl->options.output == NULL) {
        status = export_all(&run);
    } else {
        status = export_to_file(&run, ctl->options.output);
    }
    if (status == 0) {
        (void)fprintf(stderr, "%" PRIu64 " items written\n", run.n_items);
    }
    return status;
}

const struct shardctl_command shardctl_export = {
    .name = "export",
    .operands = "ID",
    .options = "output",
    .help = help_text,
    .user = "doushard_admin",
    .n_operands_min = 1,
    .n_operands_max = 1,
    .has_router = true,
    .run = run_export,
};
