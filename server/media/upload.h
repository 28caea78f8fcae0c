/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* One file that a client is sending: streamed to disk under limits, hashed and sniffed on
 * the way.
 *
 * Made by the thread that receives the request (upload_new, upload_write), which does not
 * use the disk: bytes gather in memory, and when there are many, upload_flush() is due,
 * on a thread that may block, while the request waits. The handler's thread calls
 * upload_finish(). Never used by two threads at once. upload_free() gives up at any
 * moment: nothing of the file remains unless storage_put() has linked it. */
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

/* Limit of a body without its files. */
#define UPLOAD_REST_BYTES ((size_t)64 << 10)

/* How receiving a file can end. All but OK are final: write no more, free it. */
enum upload_status {
    UPLOAD_OK,
    UPLOAD_BUSY,        /* too many uploads, or bytes of them, are under way */
    UPLOAD_TOO_LARGE,   /* over the limit of bytes */
    UPLOAD_NOT_VIDEO,   /* the first bytes are not those of an mp4 or mov file */
    UPLOAD_NOT_PICTURE, /* the first bytes are not those of a jpeg, png or webp picture */
    UPLOAD_EMPTY,       /* the file has no bytes */
    UPLOAD_DISK_FULL,   /* no room in upload_dir or media_dir */
    UPLOAD_FAILED,      /* another error of disk or memory; the log says which */
    UPLOAD__COUNT
};

/* One sentence for the client. Static text. */
const char *upload_status_text(enum upload_status status);

/* What all uploads share: the directory, the number of them, and the room they take. */
struct uploads;

/* Use the directory DIR, made if it is missing (mode 0700), and remove what a crash has
 * left. The files will be stored in MEDIA_DIR, whose free space counts, too; it must
 * exist. NULL: one of them cannot be used; the log says why. */
struct uploads *uploads_new(const char *dir, const char *media_dir) MUST_CHECK;

/* All uploads must be free. *UPLOADS becomes NULL; NULL is allowed. */
void uploads_free(struct uploads **uploads);

/* Start a thread that asks the file systems every second how much is free; others read
 * its last answer and never wait. From now on threads of DISK (ref) close files. False:
 * no thread. */
bool uploads_watch(struct uploads *uploads, struct workers *disk) MUST_CHECK;

/* End that thread, and close files at once from now on. May be called twice; NULL is
 * allowed. Waits for a file system that does not answer. */
void uploads_unwatch(struct uploads *uploads);

/* Ask the file systems now, as that thread does. */
void uploads_look(struct uploads *uploads);

/* Uploads now, and their room. */
struct uploads_state {
    unsigned n_running;      /* files */
    uint64_t reserved_bytes; /* bytes that requests have reserved */
    /* Free a second ago, in that of the two directories with less. UINT64_MAX when the
     * file systems cannot say, 0 when they do not answer. */
    uint64_t free_bytes;
};

/* Thread-safe. Touches no disk. */
void uploads_state(struct uploads *uploads, struct uploads_state *state);

/* Limits of uploads. */
struct upload_limits {
    uint64_t spool_max_bytes; /* of all uploads under way */
    uint64_t largest_bytes;   /* of one request; strangers can always have one */
    uint64_t min_free_bytes;  /* to leave free on the disk */
    unsigned n_max;           /* requests that upload at the same time */
    unsigned user_max;        /* requests of one user */
    unsigned address_max;     /* requests of strangers in one network */
};

/* The limits in CONFIG. */
struct upload_limits upload_limits(const struct config *config);

/* What one request may write, and for whom; part of the caller's struct, zero at first.
 * Strangers are clients whose token has not come yet: together they get at most half of
 * all places and of the spool. So does each network, strangers and known users together:
 * one network alone leaves known users elsewhere the other half. */
struct upload_room {
    bool has_place;            /* used only by its owner */
    struct upload_room *next;  /* under the mutex of all uploads, like all that follow */
    struct upload_room **link; /* also written by the next one in the list */
    uint64_t user_id;          /* 0: a stranger */
    struct address network;    /* the network of the client (address_network()) */
    uint64_t bytes;
};

/* Take a place for ROOM, whose user_id and network are set and which stays where it is
 * until uploads_release(). BUSY: all places are taken, or all of the user, of the
 * network, of strangers, or of strangers in the network. Thread-safe, like the others. */
enum upload_status uploads_enter(struct uploads *uploads, struct upload_room *room,
                                 const struct upload_limits *limits) MUST_CHECK;

/* A token has shown that ROOM, which has a place, is for USER_ID: it counts for that user
 * from now on. BUSY: all places of the user are taken; ROOM stays as it is. */
enum upload_status uploads_identify(struct uploads *uploads, struct upload_room *room,
                                    uint64_t user_id,
                                    const struct upload_limits *limits) MUST_CHECK;

/* Raise ROOM to BYTES in all, if it has fewer, and check the disk in any case. A request
 * that has its room can finish unless something other than uploads fills the disk. BUSY
 * (the spool, or the half of it for one network or for strangers, is full), DISK_FULL or
 * FAILED leave ROOM as it is. A ROOM without a place: BYTES is 0, and only the disk is
 * checked. */
enum upload_status uploads_reserve(struct uploads *uploads, struct upload_room *room,
                                   uint64_t bytes,
                                   const struct upload_limits *limits) MUST_CHECK;

/* Give room and place back, once the files of the request are freed. Calling it twice
 * does no harm. */
void uploads_release(struct uploads *uploads, struct upload_room *room);

struct upload;

/* Begin a file of at most LIMIT_BYTES in the ROOM (ref) of its request. UPLOAD_OK sets
 * *UPLOAD, which the caller frees; otherwise FAILED, and *UPLOAD is NULL. Thread-safe. */
enum upload_status upload_new(struct uploads *uploads, struct upload_room *room,
                              uint64_t limit_bytes, struct upload **upload) MUST_CHECK;

/* The file must be a picture, not a film. Call it before the first upload_write(). */
void upload_want_picture(struct upload *upload);

/* Append LEN bytes, in memory. */
enum upload_status upload_write(struct upload *upload, const void *data,
                                size_t len) MUST_CHECK;

/* Are so many bytes gathered that they should be written before more are accepted? */
bool upload_is_due(const struct upload *upload);

/* Write and hash the gathered bytes. May block on the page cache, never on a sync.
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

/* COPY, which has been written, becomes the file of UPLOAD, and COPY is empty. FAILED:
 * its size cannot be read; nothing has changed. */
enum upload_status upload_copied(struct upload *upload, struct tempfile *copy) MUST_CHECK;

/* The kind by its first bytes; after upload_finish(). */
enum sniff_verdict upload_kind(const struct upload *upload);

/* Close and remove the temporary file, on a thread that may block and however many jobs
 * wait for one; in the caller without uploads_watch(), or once the threads are stopping.
 * *UPLOAD becomes NULL; NULL is allowed. */
void upload_free(struct upload **upload);

#endif
