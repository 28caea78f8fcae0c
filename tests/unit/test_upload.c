/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Receiving a file: limits, first bytes, hash, and that nothing is left behind. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <string.h>
#include <sys/file.h>
#include <sys/statvfs.h>

#include "shard/base/check.h"
#include "shard/base/hex.h"
#include "shard/base/work.h"

#include "server/base/workers.h"
#include "server/media/upload.h"

#include "tests/unit/cmocka_all.h"
#include "tests/unit/scratch.h"

#define HEAD                                                                             \
    "\0\0\0\x18"                                                                         \
    "ftypisom\0\0\2\0isommp41"
#define HEAD_LEN (sizeof(HEAD) - 1)

#define MEGABYTE (UINT64_C(1) << 20)

struct fixture {
    struct scratch scratch;
    struct uploads *uploads;
    struct upload_limits limits;
    struct upload_room room;
};

/* What the file systems report, that of upload_dir first: free bytes, whether they
 * count in blocks, and whether they answer at all. */
static struct {
    uint64_t free_bytes[2];
    bool counts_none;
    bool fails;
    unsigned n_asked;
} disk;

int __wrap_fstatvfs(int fd, struct statvfs *fs);
int __wrap_fstatvfs64(int fd, struct statvfs *fs);

int __wrap_fstatvfs(int fd, struct statvfs *fs)
{
    assert_true(fd >= 0);
    if (disk.fails) {
        errno = EIO;
        return -1;
    }
    *fs = (struct statvfs){.f_frsize = 512, .f_bsize = 1048576 /* never the unit */};
    fs->f_blocks = disk.counts_none ? 0 : 1 << 20;
    fs->f_bavail = disk.free_bytes[disk.n_asked++ % 2] / 512;
    fs->f_bfree = fs->f_bavail * 2; /* blocks reserved for root are not ours */
    return 0;
}

/* The name of this function with 64-bit file sizes. */
int __wrap_fstatvfs64(int fd, struct statvfs *fs)
{
    return __wrap_fstatvfs(fd, fs);
}

static void set_free(uint64_t here, uint64_t there)
{
    disk.free_bytes[0] = here;
    disk.free_bytes[1] = there;
}

static void look(struct fixture *fixture, uint64_t here, uint64_t there)
{
    set_free(here, there);
    uploads_look(fixture->uploads);
}

static int setup(void **state)
{
    static struct fixture fixture;
    memset(&disk, 0, sizeof disk);
    set_free(100 * MEGABYTE, 100 * MEGABYTE);
    scratch_make(&fixture.scratch);
    fixture.uploads = uploads_new(fixture.scratch.path, fixture.scratch.path);
    fixture.limits = (struct upload_limits){.spool_max_bytes = 1000 * MEGABYTE,
                                            .largest_bytes = 20 * MEGABYTE,
                                            .min_free_bytes = 10 * MEGABYTE,
                                            .n_max = 8,
                                            .user_max = 2,
                                            .address_max = 2};
    fixture.room = (struct upload_room){.has_place = false};
    *state = &fixture;
    return fixture.uploads == NULL;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    uploads_release(fixture->uploads, &fixture->room);
    uploads_free(&fixture->uploads);
    scratch_remove(&fixture->scratch);
    return 0;
}

static struct uploads_state state_of(const struct fixture *fixture)
{
    struct uploads_state state;

    uploads_state(fixture->uploads, &state);
    return state;
}

/* A place in ROOM for USER_ID, or for a stranger at 10.0.0.HOST. */
static enum upload_status enter(struct fixture *fixture, struct upload_room *room,
                                uint64_t user_id, unsigned host)
{
    char text[16];
    int len = snprintf(text, sizeof text, "10.0.0.%u", host);

    *room = (struct upload_room){.user_id = user_id};
    assert_true(address_parse(text, (size_t)len, &room->network));
    return uploads_enter(fixture->uploads, room, &fixture->limits);
}

/* A ROOM without a place gets one, of a new user in a network of their own. */
static enum upload_status reserve(struct fixture *fixture, struct upload_room *room,
                                  uint64_t bytes)
{
    if (!room->has_place) {
        room->user_id = (uint64_t)(uintptr_t)room;
        memcpy(&room->network, &room->user_id, sizeof room->user_id);
        assert_int_equal(uploads_enter(fixture->uploads, room, &fixture->limits),
                         UPLOAD_OK);
    }
    return uploads_reserve(fixture->uploads, room, bytes, &fixture->limits);
}

/* Begins a file in a room of the fixture. */
static enum upload_status begin(struct fixture *fixture, uint64_t limit_bytes,
                                struct upload **upload)
{
    if (!fixture->room.has_place) {
        assert_int_equal(enter(fixture, &fixture->room, 7, 1), UPLOAD_OK);
    }
    return upload_new(fixture->uploads, &fixture->room, limit_bytes, upload);
}

static void test_receives(void **state)
{
    struct fixture *fixture = *state;
    struct upload *upload = NULL;
    char sha256[2 * UPLOAD_SHA256_BYTES + 1];
    char back[HEAD_LEN + 3];
    assert_int_equal(begin(fixture, 1000, &upload), UPLOAD_OK);
    assert_int_equal(state_of(fixture).n_running, 1);
    for (size_t i = 0; i < HEAD_LEN; i++) {
        assert_int_equal(upload_write(upload, &HEAD[i], 1), UPLOAD_OK);
    }
    assert_int_equal(upload_write(upload, "abc", 3), UPLOAD_OK);
    assert_int_equal(upload_finish(upload), UPLOAD_OK);
    assert_int_equal(upload_size_bytes(upload), HEAD_LEN + 3);
    hex_encode(upload_sha256(upload), UPLOAD_SHA256_BYTES, sha256);
    /* printf '\0\0\0\x18ftypisom\0\0\x2\0isommp41abc' | sha256sum */
    assert_string_equal(
        sha256, "67dab53c96021d6b285c99b8810fde74dd6c5a09883a1b2ecc83c15ddcedf820");
    assert_int_equal(pread(upload_file(upload)->fd, back, sizeof back, 0), sizeof back);
    assert_memory_equal(back, HEAD "abc", sizeof back);
    /* the file has no name: others cannot find it, and a crash leaves nothing */
    assert_int_equal(scratch_count_files(&fixture->scratch), 0);
    upload_free(&upload);
    assert_null(upload);
    assert_int_equal(state_of(fixture).n_running, 0);
}

static void test_limit(void **state)
{
    struct fixture *fixture = *state;
    struct upload *upload = NULL;
    assert_int_equal(begin(fixture, HEAD_LEN, &upload), UPLOAD_OK);
    assert_int_equal(upload_write(upload, HEAD, HEAD_LEN), UPLOAD_OK);
    assert_int_equal(upload_write(upload, "", 0), UPLOAD_OK);
    assert_int_equal(upload_write(upload, "x", 1), UPLOAD_TOO_LARGE);
    upload_free(&upload);
}

static void test_first_bytes(void **state)
{
    struct fixture *fixture = *state;
    struct upload *upload = NULL;
    assert_int_equal(begin(fixture, 1000, &upload), UPLOAD_OK);
    assert_int_equal(upload_write(upload, "#EXTM3U", 7), UPLOAD_OK);
    assert_int_equal(upload_write(upload, "\n#EXT-X-VERSION:3\n", 18), UPLOAD_NOT_VIDEO);
    upload_free(&upload);

    assert_int_equal(begin(fixture, 1000, &upload), UPLOAD_OK);
    assert_int_equal(upload_finish(upload), UPLOAD_EMPTY);
    upload_free(&upload);

    assert_int_equal(begin(fixture, 1000, &upload), UPLOAD_OK);
    assert_int_equal(upload_write(upload, HEAD, 8), UPLOAD_OK);
    assert_int_equal(upload_finish(upload), UPLOAD_NOT_VIDEO);
    upload_free(&upload);
}

/* A user has so many places from all addresses together; others have places of their
 * own. */
static void test_places_of_users(void **state)
{
    struct fixture *fixture = *state;
    struct upload_room rooms[9];
    assert_int_equal(enter(fixture, &rooms[0], 1, 1), UPLOAD_OK);
    assert_int_equal(enter(fixture, &rooms[1], 1, 2), UPLOAD_OK);
    assert_int_equal(enter(fixture, &rooms[2], 1, 3), UPLOAD_BUSY);
    assert_int_equal(enter(fixture, &rooms[2], 2, 1), UPLOAD_OK);
    uploads_release(fixture->uploads, &rooms[0]);
    assert_int_equal(enter(fixture, &rooms[0], 1, 3), UPLOAD_OK);
    for (unsigned i = 3; i < 8; i++) {
        assert_int_equal(enter(fixture, &rooms[i], i, i), UPLOAD_OK);
    }
    assert_int_equal(enter(fixture, &rooms[8], 8, 8), UPLOAD_BUSY);
    for (unsigned i = 0; i < 9; i++) {
        uploads_release(fixture->uploads, &rooms[i]);
    }
}

/* The users of one network have half of all places together, with the strangers there. */
static void test_places_of_a_network(void **state)
{
    struct fixture *fixture = *state;
    struct upload_room rooms[6];
    assert_int_equal(enter(fixture, &rooms[0], 0, 1), UPLOAD_OK);
    for (unsigned i = 1; i < 4; i++) {
        assert_int_equal(enter(fixture, &rooms[i], i, 1), UPLOAD_OK);
    }
    assert_int_equal(enter(fixture, &rooms[4], 4, 1), UPLOAD_BUSY);
    assert_int_equal(enter(fixture, &rooms[4], 0, 1), UPLOAD_BUSY);
    /* It makes no difference when the stranger turns out to be a user. */
    assert_int_equal(uploads_identify(fixture->uploads, &rooms[0], 4, &fixture->limits),
                     UPLOAD_OK);
    assert_int_equal(enter(fixture, &rooms[4], 5, 1), UPLOAD_BUSY);
    assert_int_equal(enter(fixture, &rooms[4], 5, 2), UPLOAD_OK);
    uploads_release(fixture->uploads, &rooms[0]);
    assert_int_equal(enter(fixture, &rooms[0], 4, 1), UPLOAD_OK);
    for (unsigned i = 0; i < 5; i++) {
        uploads_release(fixture->uploads, &rooms[i]);
    }
    /* With an odd number the half is rounded up: one of one. */
    fixture->limits.n_max = 1;
    assert_int_equal(enter(fixture, &rooms[5], 1, 1), UPLOAD_OK);
    uploads_release(fixture->uploads, &rooms[5]);
}

/* They have half of the spool together, and one upload alone as much as there is. */
static void test_spool_of_a_network(void **state)
{
    struct fixture *fixture = *state;
    struct upload_room first;
    struct upload_room second;
    struct upload_room elsewhere;
    fixture->limits.spool_max_bytes = 60 * MEGABYTE;
    assert_int_equal(enter(fixture, &first, 1, 1), UPLOAD_OK);
    assert_int_equal(enter(fixture, &second, 2, 1), UPLOAD_OK);
    assert_int_equal(enter(fixture, &elsewhere, 3, 2), UPLOAD_OK);
    assert_int_equal(reserve(fixture, &first, 20 * MEGABYTE), UPLOAD_OK);
    assert_int_equal(reserve(fixture, &second, 10 * MEGABYTE + 1), UPLOAD_BUSY);
    assert_int_equal(second.bytes, 0);
    assert_int_equal(reserve(fixture, &second, 10 * MEGABYTE), UPLOAD_OK);
    assert_int_equal(reserve(fixture, &first, 20 * MEGABYTE + 1), UPLOAD_BUSY);
    assert_int_equal(reserve(fixture, &elsewhere, 30 * MEGABYTE), UPLOAD_OK);
    uploads_release(fixture->uploads, &elsewhere);
    uploads_release(fixture->uploads, &second);
    assert_int_equal(reserve(fixture, &first, 60 * MEGABYTE), UPLOAD_OK);
    uploads_release(fixture->uploads, &first);
    /* Half of a small spool is at least one of the largest size. */
    fixture->limits.spool_max_bytes = 30 * MEGABYTE;
    assert_int_equal(enter(fixture, &first, 1, 1), UPLOAD_OK);
    assert_int_equal(enter(fixture, &second, 2, 1), UPLOAD_OK);
    assert_int_equal(reserve(fixture, &first, 15 * MEGABYTE), UPLOAD_OK);
    assert_int_equal(reserve(fixture, &second, 5 * MEGABYTE), UPLOAD_OK);
    assert_int_equal(reserve(fixture, &second, 5 * MEGABYTE + 1), UPLOAD_BUSY);
    uploads_release(fixture->uploads, &first);
    uploads_release(fixture->uploads, &second);
}

/* Strangers share the places of their address, and get half of all, whoever else is
 * there. */
static void test_places_of_strangers(void **state)
{
    struct fixture *fixture = *state;
    struct upload_room rooms[6];
    assert_int_equal(enter(fixture, &rooms[0], 0, 1), UPLOAD_OK);
    assert_int_equal(enter(fixture, &rooms[1], 0, 1), UPLOAD_OK);
    assert_int_equal(enter(fixture, &rooms[2], 0, 1), UPLOAD_BUSY);
    assert_int_equal(enter(fixture, &rooms[2], 0, 2), UPLOAD_OK);
    assert_int_equal(enter(fixture, &rooms[3], 0, 2), UPLOAD_OK);
    assert_int_equal(enter(fixture, &rooms[4], 0, 3), UPLOAD_BUSY);
    assert_int_equal(enter(fixture, &rooms[4], 1, 1), UPLOAD_OK);
    /* A stranger who shows a token frees a place for the next. */
    assert_int_equal(uploads_identify(fixture->uploads, &rooms[0], 1, &fixture->limits),
                     UPLOAD_OK);
    assert_int_equal(uploads_identify(fixture->uploads, &rooms[1], 1, &fixture->limits),
                     UPLOAD_BUSY);
    assert_int_equal(enter(fixture, &rooms[5], 0, 3), UPLOAD_OK);
    for (unsigned i = 0; i < 6; i++) {
        uploads_release(fixture->uploads, &rooms[i]);
    }
}

/* Strangers also get half of the spool, and at least enough for one file of the
 * largest size. */
static void test_spool_of_strangers(void **state)
{
    struct fixture *fixture = *state;
    struct upload_room stranger;
    struct upload_room known;
    fixture->limits.spool_max_bytes = 60 * MEGABYTE;
    assert_int_equal(enter(fixture, &stranger, 0, 1), UPLOAD_OK);
    assert_int_equal(enter(fixture, &known, 1, 2), UPLOAD_OK);
    assert_int_equal(reserve(fixture, &stranger, 30 * MEGABYTE + 1), UPLOAD_BUSY);
    assert_int_equal(reserve(fixture, &stranger, 30 * MEGABYTE), UPLOAD_OK);
    assert_int_equal(reserve(fixture, &known, 30 * MEGABYTE), UPLOAD_OK);
    uploads_release(fixture->uploads, &known);
    assert_int_equal(uploads_identify(fixture->uploads, &stranger, 1, &fixture->limits),
                     UPLOAD_OK);
    assert_int_equal(reserve(fixture, &stranger, 40 * MEGABYTE), UPLOAD_OK);
    uploads_release(fixture->uploads, &stranger);
    fixture->limits.spool_max_bytes = 20 * MEGABYTE;
    assert_int_equal(enter(fixture, &stranger, 0, 1), UPLOAD_OK);
    assert_int_equal(reserve(fixture, &stranger, 20 * MEGABYTE), UPLOAD_OK);
    uploads_release(fixture->uploads, &stranger);
}

/* A file that is made to replace it counts as the same file, with room of its own. */
static void test_copy(void **state)
{
    struct fixture *fixture = *state;
    struct upload *upload = NULL;
    struct tempfile copy;
    unsigned char hash[UPLOAD_SHA256_BYTES];
    assert_int_equal(begin(fixture, 1000, &upload), UPLOAD_OK);
    assert_int_equal(reserve(fixture, &fixture->room, MEGABYTE), UPLOAD_OK);
    assert_int_equal(upload_write(upload, HEAD, HEAD_LEN), UPLOAD_OK);
    assert_int_equal(upload_finish(upload), UPLOAD_OK);
    memcpy(hash, upload_sha256(upload), sizeof hash);
    assert_int_equal(upload_copy(upload, 90 * MEGABYTE, &fixture->limits, &copy),
                     UPLOAD_DISK_FULL);
    assert_int_equal(copy.fd, -1);
    assert_int_equal(upload_copy(upload, 2 * MEGABYTE, &fixture->limits, &copy),
                     UPLOAD_OK);
    assert_int_equal(state_of(fixture).reserved_bytes, 3 * MEGABYTE);
    assert_int_equal(tempfile_write(&copy, "abc", 3), 0);
    int fd = copy.fd;
    assert_int_equal(upload_copied(upload, &copy), UPLOAD_OK);
    assert_int_equal(copy.fd, -1);
    assert_int_equal(upload_file(upload)->fd, fd);
    assert_int_equal(upload_size_bytes(upload), 3);
    assert_memory_equal(upload_sha256(upload), hash, sizeof hash);
    upload_free(&upload);
}

struct busy {
    struct work work;
    pthread_mutex_t mutex; /* whoever holds it keeps the thread */
};

static void be_busy(struct work *work)
{
    struct busy *busy = (struct busy *)work; /* its first member */
    (void)pthread_mutex_lock(&busy->mutex);
    (void)pthread_mutex_unlock(&busy->mutex);
}

/* With all threads for the disk busy and all their places taken, the caller still does
 * not close the file itself. */
static void test_closed_elsewhere(void **state)
{
    const struct workers_options options = {
        .n_min = 1, .n_max = 1, .queue_max = 1, .idle_ms = 10000};
    struct fixture *fixture = *state;
    struct workers *workers = workers_new(&options);
    struct busy busy[2];
    struct upload *upload = NULL;
    assert_true(uploads_watch(fixture->uploads, workers));
    assert_int_equal(begin(fixture, 1000, &upload), UPLOAD_OK);
    assert_int_equal(upload_write(upload, HEAD, HEAD_LEN), UPLOAD_OK);
    assert_int_equal(upload_flush(upload), UPLOAD_OK);
    for (size_t i = 0; i < ARRAY_LEN(busy); i++) {
        busy[i] = (struct busy){.work.run = be_busy, .mutex = PTHREAD_MUTEX_INITIALIZER};
        (void)pthread_mutex_lock(&busy[i].mutex);
        /* the thread takes the first one from the queue before there is room for both */
        while (!workers_submit(workers, &busy[i].work)) {
            (void)sched_yield();
        }
    }
    upload_free(&upload);
    assert_int_equal(state_of(fixture).n_running, 1);
    for (size_t i = 0; i < ARRAY_LEN(busy); i++) {
        (void)pthread_mutex_unlock(&busy[i].mutex);
    }
    workers_stop(workers);
    assert_int_equal(state_of(fixture).n_running, 0);
    uploads_unwatch(fixture->uploads);
    workers_free(&workers);
}

/* A full disk has its own status: /dev/full refuses every byte. */
static void test_disk_full(void **state)
{
    struct fixture *fixture = *state;
    struct upload *upload = NULL;
    assert_int_equal(begin(fixture, 1000, &upload), UPLOAD_OK);
    assert_int_equal(upload_write(upload, HEAD, HEAD_LEN), UPLOAD_OK);
    assert_int_equal(upload_flush(upload), UPLOAD_OK);
    int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
    assert_true(full >= 0);
    assert_int_equal(dup2(full, upload_file(upload)->fd), upload_file(upload)->fd);
    (void)close(full);
    assert_int_equal(upload_write(upload, "x", 1), UPLOAD_OK);
    assert_int_equal(upload_flush(upload), UPLOAD_DISK_FULL);
    upload_free(&upload);
}

/* Where files must have names: a start removes those of dead processes and keeps those
 * of living ones. */
static void test_sweep(void **state)
{
    struct fixture *fixture = *state;
    int dir_fd = open(fixture->scratch.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int dead = openat(dir_fd, ".tmp-dead", O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    int alive = openat(dir_fd, ".tmp-alive", O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    int other = openat(dir_fd, "keep", O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    assert_true(dead >= 0 && alive >= 0 && other >= 0);
    assert_int_equal(flock(alive, LOCK_EX), 0);
    struct uploads *second = uploads_new(fixture->scratch.path, fixture->scratch.path);
    assert_non_null(second);
    uploads_free(&second);
    assert_int_equal(faccessat(dir_fd, ".tmp-dead", F_OK, 0), -1);
    assert_int_equal(faccessat(dir_fd, ".tmp-alive", F_OK, 0), 0);
    assert_int_equal(faccessat(dir_fd, "keep", F_OK, 0), 0);
    (void)close(dead);
    (void)close(alive);
    (void)close(other);
    (void)close(dir_fd);
}

static void test_bad_directory(void **state)
{
    (void)state;
    assert_null(uploads_new("/proc/doushard", "/tmp"));
    assert_null(uploads_new("/dev/null", "/tmp"));
    assert_null(uploads_new("/tmp", "/proc/doushard"));
}

/* ---- Room ---- */

/* Room promised to others counts, whether it has been written to or not. */
static void test_room_on_disk(void **state)
{
    struct fixture *fixture = *state;
    struct upload_room first = {.has_place = false};
    struct upload_room second = {.has_place = false};
    assert_int_equal(reserve(fixture, &first, 90 * MEGABYTE + 1), UPLOAD_DISK_FULL);
    assert_int_equal(state_of(fixture).reserved_bytes, 0);
    assert_int_equal(reserve(fixture, &first, 60 * MEGABYTE), UPLOAD_OK);
    assert_int_equal(reserve(fixture, &second, 30 * MEGABYTE + 1), UPLOAD_DISK_FULL);
    assert_int_equal(second.bytes, 0);
    assert_int_equal(reserve(fixture, &second, 30 * MEGABYTE), UPLOAD_OK);
    assert_int_equal(state_of(fixture).reserved_bytes, 90 * MEGABYTE);
    uploads_release(fixture->uploads, &first);
    assert_int_equal(first.bytes, 0);
    uploads_release(fixture->uploads, &first); /* a second release does nothing */
    assert_int_equal(reserve(fixture, &first, 60 * MEGABYTE), UPLOAD_OK);
    uploads_release(fixture->uploads, &first);
    uploads_release(fixture->uploads, &second);
    assert_int_equal(state_of(fixture).reserved_bytes, 0);
}

/* Of the two disks, the one with less free space decides. */
static void test_fuller_disk_decides(void **state)
{
    struct fixture *fixture = *state;
    struct upload_room room = {.has_place = false};
    look(fixture, 100 * MEGABYTE, 9 * MEGABYTE);
    assert_int_equal(state_of(fixture).free_bytes, 9 * MEGABYTE);
    assert_int_equal(reserve(fixture, &room, 0), UPLOAD_DISK_FULL);
    look(fixture, 9 * MEGABYTE, 100 * MEGABYTE);
    assert_int_equal(reserve(fixture, &room, 0), UPLOAD_DISK_FULL);
    look(fixture, 11 * MEGABYTE, 12 * MEGABYTE);
    assert_int_equal(reserve(fixture, &room, MEGABYTE), UPLOAD_OK);
    uploads_release(fixture->uploads, &room);
    disk.counts_none = true;
    uploads_look(fixture->uploads);
    assert_int_equal(reserve(fixture, &room, 500 * MEGABYTE), UPLOAD_OK);
    uploads_release(fixture->uploads, &room);
    disk.fails = true;
    uploads_look(fixture->uploads);
    assert_int_equal(reserve(fixture, &room, 0), UPLOAD_DISK_FULL);
    disk.fails = false;
    disk.counts_none = false;
    uploads_release(fixture->uploads, &room);
}

/* What an upload has written is visible as used space: it is not counted twice. */
static void test_written_bytes_count_once(void **state)
{
    static char block[1 << 20];
    struct fixture *fixture = *state;
    struct upload_room first = {.has_place = false};
    struct upload_room second = {.has_place = false};
    struct upload *upload = NULL;
    memcpy(block, HEAD, HEAD_LEN);
    assert_int_equal(reserve(fixture, &first, 60 * MEGABYTE), UPLOAD_OK);
    assert_int_equal(begin(fixture, 1000 * MEGABYTE, &upload), UPLOAD_OK);
    for (unsigned i = 1; i <= 20; i++) {
        assert_int_equal(upload_write(upload, block, sizeof block), UPLOAD_OK);
        assert_true(upload_is_due(upload));
        assert_int_equal(upload_flush(upload), UPLOAD_OK);
        assert_false(upload_is_due(upload));
        look(fixture, (100 - i) * MEGABYTE, (100 - i) * MEGABYTE);
        assert_int_equal(reserve(fixture, &first, 60 * MEGABYTE), UPLOAD_OK);
    }
    assert_int_equal(reserve(fixture, &second, 30 * MEGABYTE + 1), UPLOAD_DISK_FULL);
    assert_int_equal(reserve(fixture, &second, 30 * MEGABYTE), UPLOAD_OK);
    /* Somebody else fills the disk: the upload that asks next gives up, and the other
     * goes on. */
    look(fixture, 79 * MEGABYTE, 79 * MEGABYTE);
    assert_int_equal(reserve(fixture, &first, 60 * MEGABYTE), UPLOAD_DISK_FULL);
    assert_int_equal(first.bytes, 60 * MEGABYTE);
    upload_free(&upload);
    uploads_release(fixture->uploads, &first);
    look(fixture, 99 * MEGABYTE, 99 * MEGABYTE);
    assert_int_equal(reserve(fixture, &second, 30 * MEGABYTE), UPLOAD_OK);
    uploads_release(fixture->uploads, &second);
}

static void test_spool(void **state)
{
    struct fixture *fixture = *state;
    struct upload_room first = {.has_place = false};
    struct upload_room second = {.has_place = false};
    fixture->limits.spool_max_bytes = 50 * MEGABYTE;
    assert_int_equal(reserve(fixture, &first, 50 * MEGABYTE + 1), UPLOAD_BUSY);
    assert_int_equal(reserve(fixture, &first, 20 * MEGABYTE), UPLOAD_OK);
    /* Its room grows if it did not announce its length. */
    assert_int_equal(reserve(fixture, &first, 30 * MEGABYTE), UPLOAD_OK);
    assert_int_equal(reserve(fixture, &first, 25 * MEGABYTE), UPLOAD_OK);
    assert_int_equal(first.bytes, 30 * MEGABYTE);
    assert_int_equal(reserve(fixture, &second, 20 * MEGABYTE + 1), UPLOAD_BUSY);
    assert_int_equal(reserve(fixture, &second, 20 * MEGABYTE), UPLOAD_OK);
    assert_int_equal(reserve(fixture, &first, 30 * MEGABYTE + 1), UPLOAD_BUSY);
    /* Lowering the limit ends no upload that already has room. */
    fixture->limits.spool_max_bytes = MEGABYTE;
    assert_int_equal(reserve(fixture, &first, 30 * MEGABYTE), UPLOAD_OK);
    uploads_release(fixture->uploads, &first);
    uploads_release(fixture->uploads, &second);
    assert_int_equal(reserve(fixture, &second, MEGABYTE), UPLOAD_OK);
    uploads_release(fixture->uploads, &second);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_receives, setup, teardown),
        cmocka_unit_test_setup_teardown(test_limit, setup, teardown),
        cmocka_unit_test_setup_teardown(test_first_bytes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_places_of_users, setup, teardown),
        cmocka_unit_test_setup_teardown(test_places_of_a_network, setup, teardown),
        cmocka_unit_test_setup_teardown(test_spool_of_a_network, setup, teardown),
        cmocka_unit_test_setup_teardown(test_places_of_strangers, setup, teardown),
        cmocka_unit_test_setup_teardown(test_spool_of_strangers, setup, teardown),
        cmocka_unit_test_setup_teardown(test_copy, setup, teardown),
        cmocka_unit_test_setup_teardown(test_closed_elsewhere, setup, teardown),
        cmocka_unit_test_setup_teardown(test_disk_full, setup, teardown),
        cmocka_unit_test_setup_teardown(test_sweep, setup, teardown),
        cmocka_unit_test(test_bad_directory),
        cmocka_unit_test_setup_teardown(test_room_on_disk, setup, teardown),
        cmocka_unit_test_setup_teardown(test_fuller_disk_decides, setup, teardown),
        cmocka_unit_test_setup_teardown(test_written_bytes_count_once, setup, teardown),
        cmocka_unit_test_setup_teardown(test_spool, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
