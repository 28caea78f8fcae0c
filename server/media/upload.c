/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* One file that a client is sending: temporary file, running hash, first look at it. */
#include "server/media/upload.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "shard/base/buf.h"
#include "shard/base/clock.h"
#include "shard/base/log.h"
#include "shard/base/work.h"

#include "server/base/workers.h"
#include "server/config/config.h"
#include "server/media/sniff.h"

/* How many bytes gather before they are written. */
#define GATHER_BYTES ((size_t)128 << 10)

/* Limit of gathered bytes: more than the library hands over at once, in addition to the
 * above. */
#define GATHER_MAX_BYTES (GATHER_BYTES + ((size_t)2 << 20))

/* How often the file systems are asked, and after how long one that does not answer
 * counts as full. */
#define LOOK_MS  1000
#define STALE_MS 5000

/* The last answer of the file systems. */
struct space {
    uint64_t free_bytes;    /* in that of the two directories with less */
    uint64_t written_bytes; /* already in files under way at that time */
    int64_t at_ms;          /* monotonic */
};

struct uploads {
    int dir_fd;
    int media_fd;
    struct workers *disk; /* (ref) closes files; NULL: done where they are freed */
    pthread_t watcher;
    bool has_watcher;
    atomic_uint n_running;
    atomic_uint_fast64_t written_bytes; /* in files of uploads under way */
    struct {
        pthread_mutex_t mutex;
        uint64_t reserved_bytes;
        uint64_t strangers_bytes;  /* of them */
        struct upload_room *rooms; /* requests that have a place */
        struct space space;        /* the last answer of the file systems */
        pthread_cond_t wake;       /* of the watcher */
        bool stopping;
    } shared;
};

struct upload {
    struct uploads *uploads;  /* (ref) */
    struct upload_room *room; /* (ref) */
    struct work work;         /* to be closed */
    struct tempfile file;
    struct buf gathered; /* not written yet */
    EVP_MD_CTX *hash;
    struct sniff sniff;
    uint64_t size_bytes;
    uint64_t written_bytes; /* also in files that are gone */
    uint64_t limit_bytes;
    unsigned char sha256[UPLOAD_SHA256_BYTES];
};

const char *upload_status_text(enum upload_status status)
{
    static const char *const texts[UPLOAD__COUNT] = {
        [UPLOAD_OK] = "received",
        [UPLOAD_BUSY] = "too many uploads at the moment",
        [UPLOAD_TOO_LARGE] = "the file is too large",
        [UPLOAD_NOT_VIDEO] = "this is not an mp4 or mov file",
        [UPLOAD_NOT_PICTURE] = "this is not a jpeg, png or webp picture",
        [UPLOAD_EMPTY] = "the file is empty",
        [UPLOAD_DISK_FULL] = "no room for the file at the moment",
        [UPLOAD_FAILED] = "the file could not be received",
    };
    CHECK(status < UPLOAD__COUNT);
    return texts[status];
}

/* Is DIR, open as FD, good for temporary files? 0 or an errno value. */
static int probe_dir(int fd)
{
    struct tempfile probe;
    int error = fd < 0 ? errno : tempfile_open(&probe, fd);

    if (error == 0) {
        tempfile_close(&probe);
    }
    return error;
}

static int open_dir(const char *dir)
{
    return open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

struct uploads *uploads_new(const char *dir, const char *media_dir)
{
    struct uploads *uploads = calloc(1, sizeof *uploads);
    if (uploads == NULL) {
        return NULL;
    }
    CHECK(pthread_mutex_init(&uploads->shared.mutex, NULL) == 0);
    CHECK(pthread_cond_init(&uploads->shared.wake, NULL) == 0);
    (void)mkdir(dir, 0700);
    uploads->media_fd = open_dir(media_dir);
    int media_error = uploads->media_fd < 0 ? errno : 0;
    uploads->dir_fd = open_dir(dir);
    int error = probe_dir(uploads->dir_fd);
    if (error != 0 || media_error != 0) {
        log_write(LOG_ERROR, "upload_dir_unusable", "dir=\"%s\" error=\"%s\"",
                  error != 0 ? dir : media_dir,
                  strerrordesc_np(error != 0 ? error : media_error));
        uploads_free(&uploads);
        return NULL;
    }
    size_t n = tempfile_sweep(uploads->dir_fd);
    if (n > 0) {
        log_write(LOG_INFO, "upload_swept", "files=%zu", n);
    }
    uploads_look(uploads);
    return uploads;
}

void uploads_free(struct uploads **uploads)
{
    struct uploads *self = *uploads;
    if (self == NULL) {
        return;
    }
    *uploads = NULL;
    uploads_unwatch(self);
    CHECK(self->n_running == 0);
    if (self->dir_fd >= 0) {
        (void)close(self->dir_fd);
    }
    if (self->media_fd >= 0) {
        (void)close(self->media_fd);
    }
    pthread_cond_destroy(&self->shared.wake);
    pthread_mutex_destroy(&self->shared.mutex);
    free(self);
}

/* ---- Room ---- */

/* As uploads_state.free_bytes, of one file system. */
static uint64_t free_bytes_of(int fd)
{
    struct statvfs fs;

    if (fstatvfs(fd, &fs) != 0) {
        log_write(LOG_ERROR, "statvfs_failed", "error=\"%s\"", strerrordesc_np(errno));
        return 0;
    }
    if (fs.f_blocks == 0) {
        return UINT64_MAX; /* one that does not count blocks */
    }
    return (uint64_t)fs.f_bavail * fs.f_frsize;
}

void uploads_look(struct uploads *uploads)
{
    /* Read this first: then bytes written meanwhile are counted twice rather than not at
     * all. */
    struct space space = {.written_bytes = atomic_load(&uploads->written_bytes)};
    uint64_t here = free_bytes_of(uploads->dir_fd);
    uint64_t there = free_bytes_of(uploads->media_fd);

    space.free_bytes = here < there ? here : there;
    space.at_ms = clock_mono_ms();
    pthread_mutex_lock(&uploads->shared.mutex);
    uploads->shared.space = space;
    pthread_mutex_unlock(&uploads->shared.mutex);
}

static void *watcher_main(void *arg)
{
    struct uploads *uploads = arg;

    pthread_mutex_lock(&uploads->shared.mutex);
    while (!uploads->shared.stopping) {
        struct timespec until = clock_timespec(clock_mono_ms() + LOOK_MS);

        (void)pthread_cond_clockwait(&uploads->shared.wake, &uploads->shared.mutex,
                                     CLOCK_MONOTONIC, &until);
        if (!uploads->shared.stopping) {
            pthread_mutex_unlock(&uploads->shared.mutex);
            uploads_look(uploads);
            pthread_mutex_lock(&uploads->shared.mutex);
        }
    }
    pthread_mutex_unlock(&uploads->shared.mutex);
    return NULL;
}

bool uploads_watch(struct uploads *uploads, struct workers *disk)
{
    uploads->disk = disk;
    uploads->has_watcher =
        pthread_create(&uploads->watcher, NULL, watcher_main, uploads) == 0;
    return uploads->has_watcher;
}

void uploads_unwatch(struct uploads *uploads)
{
    if (uploads == NULL || !uploads->has_watcher) {
        return;
    }
    pthread_mutex_lock(&uploads->shared.mutex);
    uploads->shared.stopping = true;
    pthread_cond_signal(&uploads->shared.wake);
    pthread_mutex_unlock(&uploads->shared.mutex);
    pthread_join(uploads->watcher, NULL);
    uploads->has_watcher = false;
    uploads->disk = NULL;
}

/* Free bytes, 0 without a recent answer. */
static uint64_t free_bytes_locked(const struct uploads *uploads)
{
    const struct space *space = &uploads->shared.space;
    bool is_stale = uploads->has_watcher && clock_mono_ms() - space->at_ms > STALE_MS;

    return is_stale ? 0 : space->free_bytes;
}

void uploads_state(struct uploads *uploads, struct uploads_state *state)
{
    state->n_running = uploads->n_running;
    pthread_mutex_lock(&uploads->shared.mutex);
    state->free_bytes = free_bytes_locked(uploads);
    state->reserved_bytes = uploads->shared.reserved_bytes;
    pthread_mutex_unlock(&uploads->shared.mutex);
}

struct upload_limits upload_limits(const struct config *config)
{
    uint64_t largest = config->upload_limit_bytes + UPLOAD_REST_BYTES;

    return (struct upload_limits){
        .spool_max_bytes = config->upload_spool_max_bytes > largest
                               ? config->upload_spool_max_bytes
                               : largest,
        .largest_bytes = largest,
        .min_free_bytes = config->media_min_free_bytes,
        .n_max = (unsigned)config->uploads_max,
        .user_max = (unsigned)config->uploads_per_user,
        .address_max = (unsigned)config->uploads_per_address,
    };
}

/* ---- Places ---- */

/* Who has how many places. */
struct places {
    unsigned n;
    unsigned n_strangers;
    unsigned n_network; /* of the network, strangers and known users */
    unsigned n_mine;    /* of the user, or of strangers in the network */
};

static bool is_same_network(const struct upload_room *a, const struct upload_room *b)
{
    return memcmp(&a->network, &b->network, sizeof a->network) == 0;
}

/* As MINE sees them, with USER_ID as its user. */
static struct places count_locked(const struct uploads *uploads,
                                  const struct upload_room *mine, uint64_t user_id)
{
    struct places places = {.n = 0};

    for (const struct upload_room *room = uploads->shared.rooms; room != NULL;
         room = room->next) {
        bool is_near = is_same_network(room, mine);
        bool is_mine = room->user_id == user_id && (user_id != 0 || is_near);
        places.n++;
        places.n_strangers += room->user_id == 0 ? 1 : 0;
        places.n_network += is_near ? 1 : 0;
        places.n_mine += is_mine ? 1 : 0;
    }
    return places;
}

/* What strangers may have together, and what one network may: half of all, and one at
 * least. */
static unsigned share_max(const struct upload_limits *limits)
{
    return (limits->n_max + 1) / 2;
}

static bool has_place_locked(const struct uploads *uploads,
                             const struct upload_room *room,
                             const struct upload_limits *limits)
{
    struct places places = count_locked(uploads, room, room->user_id);

    return places.n < limits->n_max && places.n_network < share_max(limits) &&
           (room->user_id != 0 ? places.n_mine < limits->user_max
                               : places.n_mine < limits->address_max &&
                                     places.n_strangers < share_max(limits));
}

enum upload_status uploads_enter(struct uploads *uploads, struct upload_room *room,
                                 const struct upload_limits *limits)
{
    CHECK(!room->has_place);
    pthread_mutex_lock(&uploads->shared.mutex);
    bool has_place = has_place_locked(uploads, room, limits);
    if (has_place) {
        room->has_place = true;
        room->link = &uploads->shared.rooms;
        room->next = uploads->shared.rooms;
        if (room->next != NULL) {
            room->next->link = &room->next;
        }
        uploads->shared.rooms = room;
    }
    pthread_mutex_unlock(&uploads->shared.mutex);
    return has_place ? UPLOAD_OK : UPLOAD_BUSY;
}

enum upload_status uploads_identify(struct uploads *uploads, struct upload_room *room,
                                    uint64_t user_id, const struct upload_limits *limits)
{
    enum upload_status status = UPLOAD_OK;

    CHECK(room->has_place && user_id != 0);
    pthread_mutex_lock(&uploads->shared.mutex);
    if (room->user_id != user_id) {
        struct places places = count_locked(uploads, room, user_id);
        status = places.n_mine < limits->user_max ? UPLOAD_OK : UPLOAD_BUSY;
    }
    if (status == UPLOAD_OK && room->user_id == 0) {
        uploads->shared.strangers_bytes -= room->bytes;
    }
    if (status == UPLOAD_OK) {
        room->user_id = user_id;
    }
    pthread_mutex_unlock(&uploads->shared.mutex);
    return status;
}

/* What strangers may have of the spool together, and what one network may. */
static uint64_t share_max_bytes(const struct upload_limits *limits)
{
    uint64_t half = limits->spool_max_bytes / 2;

    return half > limits->largest_bytes ? half : limits->largest_bytes;
}

/* May the network of ROOM have MORE bytes? Its only upload may have as much as there is:
 * one of the largest size always fits, with the copy that replaces it. */
static bool network_may_have_locked(const struct uploads *uploads,
                                    const struct upload_room *room, uint64_t more,
                                    const struct upload_limits *limits)
{
    uint64_t others = 0;

    for (const struct upload_room *other = uploads->shared.rooms; other != NULL;
         other = other->next) {
        others += other != room && is_same_network(other, room) ? other->bytes : 0;
    }
    return others == 0 || others + room->bytes + more <= share_max_bytes(limits);
}

/* Does the spool hold MORE bytes of ROOM? */
static bool spool_holds_locked(const struct uploads *uploads,
                               const struct upload_room *room, uint64_t more,
                               const struct upload_limits *limits)
{
    uint64_t reserved = uploads->shared.reserved_bytes;
    uint64_t strangers = uploads->shared.strangers_bytes;
    uint64_t theirs = share_max_bytes(limits);

    if (more == 0) {
        return true;
    }
    return reserved <= limits->spool_max_bytes &&
           limits->spool_max_bytes - reserved >= more &&
           network_may_have_locked(uploads, room, more, limits) &&
           (room->user_id != 0 || (strangers <= theirs && theirs - strangers >= more));
}

/* Does a disk with FREE_BYTES hold MORE, and the UNWRITTEN bytes that others have room
 * for? */
static bool disk_holds(uint64_t free_bytes, uint64_t unwritten, uint64_t more,
                       const struct upload_limits *limits)
{
    return free_bytes >= limits->min_free_bytes &&
           free_bytes - limits->min_free_bytes >= unwritten &&
           free_bytes - limits->min_free_bytes - unwritten >= more;
}

enum upload_status uploads_reserve(struct uploads *uploads, struct upload_room *room,
                                   uint64_t bytes, const struct upload_limits *limits)
{
    enum upload_status status = UPLOAD_OK;
    uint64_t more = bytes > room->bytes ? bytes - room->bytes : 0;
    uint64_t now = atomic_load(&uploads->written_bytes);

    CHECK(room->has_place || bytes == 0);
    pthread_mutex_lock(&uploads->shared.mutex);
    uint64_t reserved = uploads->shared.reserved_bytes;
    /* Some files counted by that answer may have ended since. */
    uint64_t seen = uploads->shared.space.written_bytes;
    uint64_t written = seen < now ? seen : now;
    uint64_t unwritten = reserved > written ? reserved - written : 0;
    if (!disk_holds(free_bytes_locked(uploads), unwritten, more, limits)) {
        status = UPLOAD_DISK_FULL;
    } else if (!spool_holds_locked(uploads, room, more, limits)) {
        status = UPLOAD_BUSY;
    } else {
        uploads->shared.reserved_bytes += more;
        uploads->shared.strangers_bytes += room->user_id == 0 ? more : 0;
        room->bytes += more;
    }
    pthread_mutex_unlock(&uploads->shared.mutex);
    return status;
}

void uploads_release(struct uploads *uploads, struct upload_room *room)
{
    if (!room->has_place) {
        return;
    }
    pthread_mutex_lock(&uploads->shared.mutex);
    CHECK(uploads->shared.reserved_bytes >= room->bytes);
    uploads->shared.reserved_bytes -= room->bytes;
    uploads->shared.strangers_bytes -= room->user_id == 0 ? room->bytes : 0;
    *room->link = room->next;
    if (room->next != NULL) {
        room->next->link = room->link;
    }
    pthread_mutex_unlock(&uploads->shared.mutex);
    *room = (struct upload_room){.has_place = false};
}

/* ---- One file ---- */

/* What an errno value means to the sender; logged here, because the client's text is less
 * exact. */
static enum upload_status disk_error(const char *what, int error)
{
    log_write(LOG_ERROR, "upload_failed", "what=%s error=\"%s\"", what,
              strerrordesc_np(error));
    return error == ENOSPC || error == EDQUOT ? UPLOAD_DISK_FULL : UPLOAD_FAILED;
}

enum upload_status upload_new(struct uploads *uploads, struct upload_room *room,
                              uint64_t limit_bytes, struct upload **upload)
{
    *upload = NULL;
    struct upload *up = calloc(1, sizeof *up);
    if (up == NULL) {
        return UPLOAD_FAILED;
    }
    enum upload_status status = UPLOAD_OK;
    up->uploads = uploads;
    up->room = room;
    up->file.fd = -1;
    up->limit_bytes = limit_bytes;
    atomic_fetch_add(&uploads->n_running, 1);
    up->hash = EVP_MD_CTX_new();
    if (up->hash == NULL || EVP_DigestInit_ex(up->hash, EVP_sha256(), NULL) != 1) {
        status = UPLOAD_FAILED;
        goto out;
    }
    buf_init(&up->gathered, GATHER_MAX_BYTES);
    *upload = up;
    up = NULL;
out:
    upload_free(&up);
    return status;
}

void upload_want_picture(struct upload *upload)
{
    upload->sniff.wish = SNIFF_WANT_PICTURE;
}

static enum upload_status not_wanted(const struct upload *upload)
{
    return upload->sniff.wish == SNIFF_WANT_PICTURE ? UPLOAD_NOT_PICTURE
                                                    : UPLOAD_NOT_VIDEO;
}

static void count_written(struct upload *upload, uint64_t bytes)
{
    upload->written_bytes += bytes;
    atomic_fetch_add(&upload->uploads->written_bytes, bytes);
}

enum upload_status upload_write(struct upload *upload, const void *data, size_t len)
{
    if (len > upload->limit_bytes - upload->size_bytes) {
        return UPLOAD_TOO_LARGE;
    }
    if (sniff_feed(&upload->sniff, data, len) == SNIFF_OTHER) {
        return not_wanted(upload);
    }
    if (!buf_add(&upload->gathered, data, len)) {
        return UPLOAD_FAILED;
    }
    upload->size_bytes += len;
    return UPLOAD_OK;
}

bool upload_is_due(const struct upload *upload)
{
    return upload->gathered.len >= GATHER_BYTES;
}

enum upload_status upload_flush(struct upload *upload)
{
    struct buf *gathered = &upload->gathered;
    int error = 0;

    if (gathered->len == 0) {
        return UPLOAD_OK;
    }
    if (upload->file.fd < 0) {
        error = tempfile_open(&upload->file, upload->uploads->dir_fd);
    }
    if (error != 0) {
        return disk_error("open", error);
    }
    if (EVP_DigestUpdate(upload->hash, gathered->data, gathered->len) != 1) {
        return UPLOAD_FAILED;
    }
    error = tempfile_write(&upload->file, gathered->data, gathered->len);
    if (error != 0) {
        return disk_error("write", error);
    }
    count_written(upload, gathered->len);
    gathered->len = 0;
    gathered->data[0] = '\0';
    return UPLOAD_OK;
}

enum upload_status upload_finish(struct upload *upload)
{
    if (upload->size_bytes == 0) {
        return UPLOAD_EMPTY;
    }
    if (upload->sniff.verdict == SNIFF_MORE) { /* too short to be of any kind */
        return not_wanted(upload);
    }
    enum upload_status status = upload_flush(upload);
    if (status != UPLOAD_OK) {
        return status;
    }
    if (EVP_DigestFinal_ex(upload->hash, upload->sha256, NULL) != 1) {
        return UPLOAD_FAILED;
    }
    return UPLOAD_OK;
}

uint64_t upload_size_bytes(const struct upload *upload)
{
    return upload->size_bytes;
}

const unsigned char *upload_sha256(const struct upload *upload)
{
    return upload->sha256;
}

enum sniff_verdict upload_kind(const struct upload *upload)
{
    return upload->sniff.verdict;
}

const struct tempfile *upload_file(const struct upload *upload)
{
    return &upload->file;
}

enum upload_status upload_copy(struct upload *upload, uint64_t max_bytes,
                               const struct upload_limits *limits, struct tempfile *copy)
{
    struct upload_room *room = upload->room;
    enum upload_status status =
        uploads_reserve(upload->uploads, room, room->bytes + max_bytes, limits);

    *copy = (struct tempfile){.fd = -1};
    if (status != UPLOAD_OK) {
        return status;
    }
    int error = tempfile_open(copy, upload->uploads->dir_fd);
    return error == 0 ? UPLOAD_OK : disk_error("open", error);
}

enum upload_status upload_copied(struct upload *upload, struct tempfile *copy)
{
    struct stat st;

    if (fstat(copy->fd, &st) != 0) {
        return disk_error("stat", errno);
    }
    tempfile_close(&upload->file);
    upload->file = *copy;
    *copy = (struct tempfile){.fd = -1};
    upload->size_bytes = (uint64_t)st.st_size;
    count_written(upload, upload->size_bytes);
    return UPLOAD_OK;
}

static void close_file(struct work *work)
{
    struct upload *up = (struct upload *)((char *)work - offsetof(struct upload, work));
    struct uploads *uploads = up->uploads;

    tempfile_close(&up->file);
    atomic_fetch_sub(&uploads->written_bytes, up->written_bytes);
    free(up);
    atomic_fetch_sub(&uploads->n_running, 1);
}

void upload_free(struct upload **upload)
{
    struct upload *up = *upload;
    if (up == NULL) {
        return;
    }
    *upload = NULL;
    EVP_MD_CTX_free(up->hash);
    buf_clear(&up->gathered);
    up->work.run = close_file;
    if (up->file.fd < 0 || up->uploads->disk == NULL ||
        !workers_hand(up->uploads->disk, &up->work)) {
        close_file(&up->work);
    }
}
