/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* One file that a client is sending: streamed to disk under limits, hashed and sniffed on
 * the way.
 *
 * Made by the thread that receives the request (upload_new, upload_write), which touches
 * no disk: bytes gather in memory, and when there are many upload_flush() is due, on a
 * thread that may block, while the request waits. The handler's thread calls
 * upload_finish(). Never used by two threads at once. upload_free() at any moment is the
 * way to give up: nothing of the file remains unless storage_put() has linked it. */
#ifndef DOUSHARD_MEDIA_UPLOAD_H
#define DOUSHARD_MEDIA_UPLOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shard/base/address.h"
#include "shard/base/check.h"

#include "server/media/sniff.h"
#include "server/media/tempfile.h"

#define UPLOAD_SHA256_BYTES 32

struct config;
struct workers;

/* What a body may have beside its files; all of one that has none. */
#define UPLOAD_REST_BYTES ((size_t)64 << 10)

/* How receiving a file can end. Every one but OK is final: write no more, free. */
enum upload_status {
    UPLOAD_OK,
    UPLOAD_BUSY,      /* as many uploads, or bytes of them, as allowed are on their way */
    UPLOAD_TOO_LARGE, /* over the limit of bytes */
    UPLOAD_NOT_VIDEO, /* the first bytes are not those of an mp4 or mov file */
    UPLOAD_NOT_PICTURE, /* the first bytes are not those of a jpeg, png or webp picture */
    UPLOAD_EMPTY,       /* the file has no bytes */
    UPLOAD_DISK_FULL,   /* no room in upload_dir or media_dir */
    UPLOAD_FAILED,      /* another error of the disk or of memory; the log says which */
    UPLOAD__COUNT
};

/* One sentence for the client. Static text. */
const char *upload_status_text(enum upload_status status);

/* What all uploads share: the directory, the number of them, and the room they take. */
struct uploads;

/* Use the directory DIR, made if it is missing (mode 0700), and clear it of what a crash
 * left. The files will be stored in MEDIA_DIR, whose room counts, too; it must exist.
 * NULL: one of them cannot be used; the log says why. */
struct uploads *uploads_new(const char *dir, const char *media_dir) MUST_CHECK;

/* All uploads must be free. *UPLOADS becomes NULL; NULL is allowed. */
void uploads_free(struct uploads **uploads);

/* Start the thread that asks the file systems every second how much is free, so that
 * nobody else need wait for them, and let the threads of DISK (ref) close files. False:
 * no thread. */
bool uploads_watch(struct uploads *uploads, struct workers *disk) MUST_CHECK;

/* End that thread, and close files at once from now on. NULL is allowed, as is twice.
 * Waits for a file system that does not answer. */
void uploads_unwatch(struct uploads *uploads);

/* Ask the file systems now; what that thread does. */
void uploads_look(struct uploads *uploads);

/* Uploads now, and their room. */
struct uploads_state {
    unsigned n_running;      /* files */
    uint64_t reserved_bytes; /* of room that requests hold */
    /* That could be written a second ago, where there are fewer of the two directories.
     * UINT64_MAX when the file systems do not say, 0 when they do not answer. */
    uint64_t free_bytes;
};

/* Thread-safe. Touches no disk. */
void uploads_state(struct uploads *uploads, struct uploads_state *state);

/* How much room there is for uploads, and for how many. */
struct upload_limits {
    uint64_t spool_max_bytes; /* of all that are on their way */
    uint64_t largest_bytes;   /* of one request; strangers have room for one at least */
    uint64_t min_free_bytes;  /* to be left on the disk beside them */
    unsigned n_max;           /* requests that upload at the same time */
    unsigned user_max;        /* of them of one user */
    unsigned address_max;     /* of them of strangers at one address */
};

/* What CONFIG says of them. */
struct upload_limits upload_limits(const struct config *config);

/* What one request may write, and for whom; part of the caller's, zero at first.
 * Strangers are those of whom no token has come yet: together they get at most half of
 * all places and of the spool, so that those who are known always find some. */
struct upload_room {
    bool has_place;            /* for its owner alone */
    struct upload_room *next;  /* under the mutex of all uploads, as all that follows */
    struct upload_room **link; /* also written by who comes next */
    uint64_t user_id;          /* 0: a stranger */
    struct address network;    /* that a stranger counts for (address_network()) */
    uint64_t bytes;
};

/* Take a place for ROOM, whose user_id and network are set and which stays where it is
 * until uploads_release(). BUSY: all are taken, those of the user, or those of strangers
 * or of this address. Thread-safe, as the others. */
enum upload_status uploads_enter(struct uploads *uploads, struct upload_room *room,
                                 const struct upload_limits *limits) MUST_CHECK;

/* A token has shown that ROOM, which has a place, is for USER_ID: it counts for them from
 * now on. BUSY: they have all their places; ROOM stays as it is. */
enum upload_status uploads_identify(struct uploads *uploads, struct upload_room *room,
                                    uint64_t user_id,
                                    const struct upload_limits *limits) MUST_CHECK;

/* Let ROOM have BYTES in all, if it has fewer, and look again at the disk in any case: a
 * request that has room is finished unless others than uploads fill the disk. BUSY,
 * DISK_FULL or FAILED leave ROOM as it is. Without a place it is only asked, for 0. */
enum upload_status uploads_reserve(struct uploads *uploads, struct upload_room *room,
                                   uint64_t bytes,
                                   const struct upload_limits *limits) MUST_CHECK;

/* Give room and place back, once the files of the request are freed. Twice is once. */
void uploads_release(struct uploads *uploads, struct upload_room *room);

struct upload;

/* Begin a file of at most LIMIT_BYTES in the ROOM (ref) of its request. UPLOAD_OK sets
 * *UPLOAD, the caller frees it; else FAILED and *UPLOAD is NULL. Thread-safe. */
enum upload_status upload_new(struct uploads *uploads, struct upload_room *room,
                              uint64_t limit_bytes, struct upload **upload) MUST_CHECK;

/* The file shall be a picture, not a film. Before the first upload_write(). */
void upload_want_picture(struct upload *upload);

/* Append LEN bytes, in memory. */
enum upload_status upload_write(struct upload *upload, const void *data,
                                size_t len) MUST_CHECK;

/* Have so many bytes gathered that they should go to disk before more comes? */
bool upload_is_due(const struct upload *upload);

/* Write and hash what has gathered. Blocks for the disk's page cache, never for a sync.
 */
enum upload_status upload_flush(struct upload *upload) MUST_CHECK;

/* The file is complete: size and hash are final. Blocks as upload_flush(). */
enum upload_status upload_finish(struct upload *upload) MUST_CHECK;

/* After upload_finish(): the size of the file as it is now, the hash of what was sent. */
uint64_t upload_size_bytes(const struct upload *upload);
const unsigned char *upload_sha256(const struct upload *upload); /* 32 bytes */
const struct tempfile *upload_file(const struct upload *upload); /* (ref in upload) */

/* Make COPY, an empty file beside that of the finished UPLOAD, for at most MAX_BYTES, and
 * find room for them. OK: upload_copied() or tempfile_close() is due; BUSY, DISK_FULL or
 * FAILED: COPY is empty. */
enum upload_status upload_copy(struct upload *upload, uint64_t max_bytes,
                               const struct upload_limits *limits,
                               struct tempfile *copy) MUST_CHECK;

/* COPY, which somebody has written, is the file of UPLOAD from now on, and COPY is empty.
 * FAILED: it cannot be asked for its size; nothing has changed. */
enum upload_status upload_copied(struct upload *upload, struct tempfile *copy) MUST_CHECK;

/* What its first bytes say; after upload_finish(). */
enum sniff_verdict upload_kind(const struct upload *upload);

/* Close and remove the temporary file, soon, on a thread that may block. *UPLOAD becomes
 * NULL; NULL is allowed. */
void upload_free(struct upload **upload);

#endif
