/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Storage of published videos and their covers, under base names that contain the author.
 * An object store could offer the same interface; this one is a local directory:
 * DIR/ab/cd/NAME.mp4 and .jpg, where abcd are the first four random digits of NAME.
 *
 * All functions are thread-safe, also between processes that share the directory. */
#ifndef DOUSHARD_MEDIA_STORAGE_H
#define DOUSHARD_MEDIA_STORAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shard/base/arena.h"
#include "shard/base/check.h"

#include "server/media/tempfile.h"

struct storage;

/* A base name: 14 hexadecimal digits of the author's id, then 32 random ones. */
#define STORAGE_NAME_LEN 46

enum storage_part { STORAGE_VIDEO, STORAGE_COVER, STORAGE__PARTS };

enum storage_status {
    STORAGE_OK,
    STORAGE_FULL,  /* no room */
    STORAGE_FAILED /* another disk error; the log says which */
};

/* Use the directory DIR, made if it is missing (mode 0755). NULL: it cannot be used; the
 * log says why. */
struct storage *storage_new(const char *dir) MUST_CHECK;

/* *STORAGE becomes NULL; NULL is allowed. */
void storage_free(struct storage **storage);

/* A new base name for a video of AUTHOR_ID (< 2^56). */
void storage_name_make(uint64_t author_id, char name[STORAGE_NAME_LEN + 1]);

/* True when NAME (LEN bytes) is a base name and nothing else: no path, no capital, no
 * ending. Sets *AUTHOR_ID unless that is NULL. */
bool storage_name_parse(const char *name, size_t len, uint64_t *author_id) MUST_CHECK;

/* Store a finished temporary file and its cover under the base name NAME, durably: when
 * this returns OK, both are found under their names after a power cut. The temporary file
 * is linked if possible, otherwise copied; close it afterwards in both cases. On failure
 * nothing is left. Blocks for the disk. */
enum storage_status storage_put(struct storage *storage, const char *name,
                                const struct tempfile *video, const void *cover,
                                size_t cover_len) MUST_CHECK;

/* Store a picture, LEN bytes of jpeg, under the base name NAME, as durably, as the part
 * STORAGE_COVER alone. */
enum storage_status storage_put_picture(struct storage *storage, const char *name,
                                        const void *jpeg, size_t len) MUST_CHECK;

/* A stored file: open, or for a small one, such as most covers, all of its bytes. */
struct storage_file {
    int fd;            /* owned by the caller; -1: BYTES */
    const char *bytes; /* in an arena; NULL: FD */
    uint64_t size;
};

/* Files up to this size are small. */
#define STORAGE_SMALL_BYTES ((uint64_t)64 << 10)

/* How long the bytes of a small file are remembered, and so may be sent after another
 * process has deleted it. */
#define STORAGE_RECALL_MS 5000

/* Open a file for reading; a small one is read into ARENA, and remembered. Blocks for the
 * disk. False: there is none (errno ENOENT), or errno says what failed. */
bool storage_get(struct storage *storage, const char *name, enum storage_part part,
                 struct arena *arena, struct storage_file *file) MUST_CHECK;

/* The same for a small file that is remembered. Never blocks. False: it is not. */
bool storage_recall(struct storage *storage, const char *name, enum storage_part part,
                    struct arena *arena, struct storage_file *file) MUST_CHECK;

/* Remove both files, durably. False: the disk refused, the log says why. Files that are
 * gone already are fine. */
bool storage_delete(struct storage *storage, const char *name);

/* How long ago the younger of the files of NAME got its name; below 0: in the future. It
 * compares this machine's clock with the file system's. False: there is no file, or an
 * error. */
bool storage_age(const struct storage *storage, const char *name,
                 int64_t *age_s) MUST_CHECK;

/* Leaf directories, by number from 0 on: names are spread over them evenly. */
#define STORAGE_LEAVES 65536

/* Called with the base name of each file. Return false to end the list. The callback may
 * call storage_delete() for any name. */
typedef bool storage_list_cb(void *context, const char *name);

/* Call CB for every stored file of LEAF: twice for a video with its cover. Leftovers of
 * broken copies are removed on the way. Reads only directories. False when
 * CB ended it. Blocks for the disk. */
bool storage_list(struct storage *storage, unsigned leaf, storage_list_cb *cb,
                  void *context);

#endif
