/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Examine an uploaded video and cut its cover, with ffprobe and ffmpeg in jails. */
#ifndef DOUSHARD_MEDIA_MEDIA_H
#define DOUSHARD_MEDIA_MEDIA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shard/base/check.h"

#include "server/media/sniff.h"

struct config;
struct media;

/* Largest cover picture. */
#define MEDIA_COVER_BYTES ((size_t)2 << 20)

/* Why a file is refused. The second group is not the file's fault. */
enum media_status {
    MEDIA_OK,
    MEDIA_NOT_VIDEO,   /* not of the mp4/mov family, or too broken to read
                        */
    MEDIA_TRUNCATED,   /* it ends in the middle of a box */
    MEDIA_NO_PICTURE,  /* no video stream: sound only */
    MEDIA_TOO_BIG,     /* more pixels than media_pixels_max */
    MEDIA_NO_LENGTH,   /* a duration of 0, or none */
    MEDIA_TOO_LONG,    /* longer than media_duration_max */
    MEDIA_STREAMS,     /* too many streams */
    MEDIA_NOT_PICTURE, /* not a readable picture of the kind that its first bytes say */
    MEDIA_UNREADABLE,  /* no picture can be decoded */
    MEDIA_TAGS,        /* tags about its maker cannot be removed */
    MEDIA_TOO_COSTLY,  /* examining it passed the limits of CPU, memory, time or output */

    MEDIA_BUSY,    /* the queue is full */
    MEDIA_TIMEOUT, /* the caller's deadline came before its turn */
    MEDIA_FAILED,  /* the jail does not work, no memory, or a disk error */
    MEDIA__COUNT
};

/* One sentence for the client. Static text. */
const char *media_status_text(enum media_status status);

struct media_facts {
    int32_t duration_ms;
    int32_t width; /* as stored, before any rotation */
    int32_t height;
    /* It may say where, when, with what or by whom it was made: it has tags besides those
     * that every program writes, or a track besides picture, sound and chapters. */
    bool is_tagged;
    char *cover; /* a JPEG picture; malloc'ed, see media_facts_release() */
    size_t cover_len;
};

/* An uploaded picture. */
struct media_picture_source {
    int fd; /* the caller's */
    enum sniff_verdict kind;
    int64_t deadline_ms; /* monotonic */
};

/* CONCURRENCY examinations (1 or more) at the same time, QUEUE_MAX more may wait. NULL:
 * no memory or no seccomp. */
struct media *media_new(unsigned concurrency, unsigned queue_max) MUST_CHECK;

/* No thread may be inside media_examine(). *MEDIA becomes NULL; NULL is allowed. */
void media_free(struct media **media);

/* Try the jail with both programs, at the start: true when they run. The log says what is
 * wrong and how to fix it. Blocks a few hundred ms. */
bool media_works(struct media *media, const struct config *config) MUST_CHECK;

/* Examine the file FD of SIZE_BYTES, which the caller keeps; limits and programs come
 * from CONFIG. Waits for a turn, first come first served, then blocks; until DEADLINE_MS
 * (monotonic) or shortly after. Sets *FACTS on MEDIA_OK only. Thread-safe. */
enum media_status media_examine(struct media *media, const struct config *config, int fd,
                                uint64_t size_bytes, int64_t deadline_ms,
                                struct media_facts *facts) MUST_CHECK;

/* A film to store without tags about its maker. */
struct media_copy {
    int fd;      /* the film, readable for its owner only: 0400 */
    int copy_fd; /* an empty file beside it */
    uint64_t size_bytes;
    int64_t deadline_ms; /* monotonic */
};

/* The largest copy of a film of SIZE_BYTES. */
uint64_t media_copy_max_bytes(uint64_t size_bytes);

/* Copy only pictures and sound, unchanged and with their rotation, of a film
 * that media_examine() has accepted; then check the copy. Its index comes first. Limits
 * and waiting as for media_examine(). Thread-safe. */
enum media_status media_strip(struct media *media, const struct config *config,
                              const struct media_copy *copy) MUST_CHECK;

/* Convert a picture for everybody: decoded in the jail by the demuxer of KIND
 * (SNIFF_JPEG, SNIFF_PNG or SNIFF_WEBP), within 1280 x 1280 pixels, without metadata
 * (places, cameras). Limits and waiting as for media_examine(). MEDIA_OK sets
 * *JPEG (malloc'ed, the caller frees) and *LEN. Thread-safe. */
enum media_status media_picture(struct media *media, const struct config *config,
                                const struct media_picture_source *source, char **jpeg,
                                size_t *len) MUST_CHECK;

void media_facts_release(struct media_facts *facts);

/* Examinations now. */
struct media_state {
    unsigned n_running;
    unsigned n_waiting;
};

/* Thread-safe. */
void media_state(struct media *media, struct media_state *state);

#endif
