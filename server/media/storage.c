/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Stored videos and covers in a local directory of 256 times 256 leaf directories. */
#include "server/media/storage.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "shard/base/clock.h"
#include "shard/base/hex.h"
#include "shard/base/log.h"
#include "shard/base/rnd.h"

#include "shard/copies.h"

/* Digits of the author's id at the start of a name. */
#define AUTHOR_DIGITS 14
#define AUTHOR_LIMIT  (UINT64_C(1) << (4 * AUTHOR_DIGITS))

/* "ab/cd" and a NUL. */
#define LEAF_BYTES 6

#define DIR_MODE  0755
#define FILE_MODE 0644

/* About this many bytes of small files are remembered. */
#define RECALL_BYTES ((size_t)16 << 20)

/* A file name: base name, ending, NUL. */
struct file_name {
    char text[STORAGE_NAME_LEN + 5];
};

struct storage {
    int dir_fd;
    struct copies *copies; /* owned: small files that were read a moment ago, each after
                            * its base name */
};

static const char *const endings[STORAGE__PARTS] = {
    [STORAGE_VIDEO] = ".mp4",
    [STORAGE_COVER] = ".jpg",
};

struct storage *storage_new(const char *dir)
{
    struct storage *storage = calloc(1, sizeof *storage);
    if (storage == NULL) {
        return NULL;
    }
    storage->dir_fd = -1;
    storage->copies = copies_new(RECALL_BYTES);
    if (storage->copies == NULL) {
        storage_free(&storage);
        return NULL;
    }
    (void)mkdir(dir, DIR_MODE);
    storage->dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (storage->dir_fd < 0 || faccessat(storage->dir_fd, ".", W_OK, AT_EACCESS) != 0) {
        log_write(LOG_ERROR, "media_dir_unusable", "dir=\"%s\" error=\"%s\"", dir,
                  strerrordesc_np(errno));
        storage_free(&storage);
    }
    return storage;
}

void storage_free(struct storage **storage)
{
    if (*storage != NULL) {
        if ((*storage)->dir_fd >= 0) {
            (void)close((*storage)->dir_fd);
        }
        copies_free(&(*storage)->copies);
        free(*storage);
        *storage = NULL;
    }
}

/* ---- Names ---- */

void storage_name_make(uint64_t author_id, char name[STORAGE_NAME_LEN + 1])
{
    unsigned char random[16];
    CHECK(author_id < AUTHOR_LIMIT);
    rnd_bytes(random, sizeof random);
    (void)snprintf(name, AUTHOR_DIGITS + 1, "%014llx", (unsigned long long)author_id);
    hex_encode(random, sizeof random, name + AUTHOR_DIGITS);
}

bool storage_name_parse(const char *name, size_t len, uint64_t *author_id)
{
    uint64_t id = 0;
    if (len != STORAGE_NAME_LEN) {
        return false;
    }
    for (size_t i = 0; i < len; i++) {
        char c = name[i];
        bool is_digit = c >= '0' && c <= '9';
        if (!is_digit && (c < 'a' || c > 'f')) {
            return false;
        }
        if (i < AUTHOR_DIGITS) {
            id = id << 4 | (uint64_t)(is_digit ? c - '0' : c - 'a' + 10);
        }
    }
    if (author_id != NULL) {
        *author_id = id;
    }
    return true;
}

/* The leaf directory of a base name: its first random digits, which spread evenly. */
static void leaf_of(const char *name, char leaf[LEAF_BYTES])
{
    const char *digits = name + AUTHOR_DIGITS;
    (void)snprintf(leaf, LEAF_BYTES, "%.2s/%.2s", digits, digits + 2);
}

static struct file_name file_of(const char *name, enum storage_part part)
{
    struct file_name file;
    (void)snprintf(file.text, sizeof file.text, "%.*s%s", STORAGE_NAME_LEN, name,
                   endings[part]);
    return file;
}

/* The descriptor of NAME's leaf directory, or -1 (errno). */
static int open_leaf(const struct storage *storage, const char *name)
{
    char leaf[LEAF_BYTES];
    if (!storage_name_parse(name, strlen(name), NULL)) {
        errno = ENOENT;
        return -1;
    }
    leaf_of(name, leaf);
    return openat(storage->dir_fd, leaf, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
}

/* ---- Read ---- */

/* The descriptor of a regular file and its size, or -1 (errno). */
static int open_part(const struct storage *storage, const char *name,
                     enum storage_part part, uint64_t *size)
{
    int leaf_fd = open_leaf(storage, name);
    if (leaf_fd < 0) {
        return -1;
    }
    struct stat st;
    struct file_name file = file_of(name, part);
    int fd = openat(leaf_fd, file.text, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    int error = fd < 0 ? errno : 0;
    (void)close(leaf_fd);
    if (error == 0 && fstat(fd, &st) != 0) {
        error = errno;
    } else if (error == 0 && !S_ISREG(st.st_mode)) {
        error = ENOENT;
    }
    if (error == 0) {
        *size = (uint64_t)st.st_size;
        return fd;
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    errno = error;
    return -1;
}

/* The author and half of the random digits: all of the name is in the copy. False: NAME
 * is no base name. */
static bool key_of(const char *name, enum storage_part part, struct copy_key *key)
{
    char digits[17];

    *key = (struct copy_key){.kind = part};
    if (!storage_name_parse(name, strlen(name), &key->owner)) {
        return false;
    }
    (void)snprintf(digits, sizeof digits, "%.16s", name + AUTHOR_DIGITS);
    key->other = strtoull(digits, NULL, 16);
    return true;
}

static struct storage_file file_in(const char *copy, size_t len)
{
    return (struct storage_file){
        .fd = -1, .bytes = copy + STORAGE_NAME_LEN, .size = len - STORAGE_NAME_LEN};
}

/* The name of a small file and its bytes, in ARENA. NULL: no memory, or it cannot be
 * read. */
static char *read_small(const char *name, const struct storage_file *file,
                        struct arena *arena)
{
    size_t size = (size_t)file->size;
    char *copy = arena_alloc(arena, STORAGE_NAME_LEN + size);

    if (copy == NULL ||
        pread(file->fd, copy + STORAGE_NAME_LEN, size, 0) != (ssize_t)size) {
        return NULL;
    }
    memcpy(copy, name, STORAGE_NAME_LEN);
    return copy;
}

bool storage_get(struct storage *storage, const char *name, enum storage_part part,
                 struct arena *arena, struct storage_file *file)
{
    uint64_t ticket = copies_ticket(storage->copies); /* before it may be deleted */

    *file = (struct storage_file){.fd = -1};
    file->fd = open_part(storage, name, part, &file->size);
    if (file->fd < 0 || file->size > STORAGE_SMALL_BYTES) {
        return file->fd >= 0;
    }
    size_t len = STORAGE_NAME_LEN + (size_t)file->size;
    const char *copy = read_small(name, file, arena);
    struct copy_key key;
    if (copy != NULL && key_of(name, part, &key)) {
        copies_put(storage->copies, &key,
                   &(struct copy){.data = copy,
                                  .len = len,
                                  .until_ms = clock_mono_ms() + STORAGE_RECALL_MS},
                   ticket);
        (void)close(file->fd);
        *file = file_in(copy, len);
    }
    return true;
}

bool storage_recall(struct storage *storage, const char *name, enum storage_part part,
                    struct arena *arena, struct storage_file *file)
{
    struct copy_key key;
    struct copy copy;

    if (!key_of(name, part, &key) || !copies_get(storage->copies, &key, arena, &copy) ||
        memcmp(copy.data, name, STORAGE_NAME_LEN) != 0) {
        return false;
    }
    *file = file_in(copy.data, copy.len);
    return true;
}

/* ---- Put ---- */

/* Make one level, with its entry in PARENT_FD on disk. An existing directory is synced,
 * too, since another process may just have made it. */
static int make_dir(int parent_fd, const char *name)
{
    if (mkdirat(parent_fd, name, DIR_MODE) != 0 && errno != EEXIST) {
        return errno;
    }
    return fsync(parent_fd) == 0 ? 0 : errno;
}

/* Make the leaf directory of NAME if it is missing and open it. 0 or an errno value. */
static int make_leaf(const struct storage *storage, const char *name, int *leaf_fd)
{
    char leaf[LEAF_BYTES];
    *leaf_fd = open_leaf(storage, name);
    if (*leaf_fd >= 0) {
        return 0;
    }
    leaf_of(name, leaf);
    leaf[2] = '\0';
    int error = make_dir(storage->dir_fd, leaf);
    if (error != 0) {
        return error;
    }
    int upper_fd =
        openat(storage->dir_fd, leaf, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (upper_fd < 0) {
        return errno;
    }
    error = make_dir(upper_fd, leaf + 3);
    (void)close(upper_fd);
    if (error == 0) {
        *leaf_fd = open_leaf(storage, name);
        error = *leaf_fd < 0 ? errno : 0;
    }
    return error;
}

/* Give a complete temporary file its final mode and name, contents on disk first. */
static int settle(const struct tempfile *temp, int leaf_fd, const char *file)
{
    if (fchmod(temp->fd, FILE_MODE) != 0 || fsync(temp->fd) != 0) {
        return errno;
    }
    return tempfile_link(temp, leaf_fd, file);
}

/* Copy the whole file FROM to the end of TO. */
static int copy_all(int from, const struct tempfile *to)
{
    char chunk[32768];
    off_t offset = 0;
    for (;;) {
        ssize_t n = pread(from, chunk, sizeof chunk, offset);
        if (n == 0) {
            return 0;
        }
        if (n < 0 && errno != EINTR) {
            return errno;
        }
        if (n > 0) {
            int error = tempfile_write(to, chunk, (size_t)n);
            if (error != 0) {
                return error;
            }
            offset += n;
        }
    }
}

static int put_cover(int leaf_fd, const char *file, const void *data, size_t len)
{
    struct tempfile temp;
    int error = tempfile_open(&temp, leaf_fd);
    if (error != 0) {
        return error;
    }
    error = tempfile_write(&temp, data, len);
    if (error == 0) {
        error = settle(&temp, leaf_fd, file);
    }
    tempfile_close(&temp);
    return error;
}

static int put_video(int leaf_fd, const char *file, const struct tempfile *video)
{
    int error = settle(video, leaf_fd, file);
    if (error != EXDEV) {
        return error;
    }
    /* The upload is on another file system. */
    struct tempfile temp;
    error = tempfile_open(&temp, leaf_fd);
    if (error != 0) {
        return error;
    }
    error = copy_all(video->fd, &temp);
    if (error == 0) {
        error = settle(&temp, leaf_fd, file);
    }
    tempfile_close(&temp);
    return error;
}

static enum storage_status put_failed(const char *name, int error)
{
    log_write(LOG_ERROR, "storage_put_failed", "name=%s error=\"%s\"", name,
              strerrordesc_np(error));
    return error == ENOSPC || error == EDQUOT ? STORAGE_FULL : STORAGE_FAILED;
}

enum storage_status storage_put(struct storage *storage, const char *name,
                                const struct tempfile *video, const void *cover,
                                size_t cover_len)
{
    struct file_name video_file = file_of(name, STORAGE_VIDEO);
    struct file_name cover_file = file_of(name, STORAGE_COVER);
    int leaf_fd = -1;
    int error = make_leaf(storage, name, &leaf_fd);
    if (error == 0) {
        error = put_cover(leaf_fd, cover_file.text, cover, cover_len);
    }
    if (error == 0) {
        error = put_video(leaf_fd, video_file.text, video);
        if (error == 0 && fsync(leaf_fd) != 0) {
            error = errno;
            (void)unlinkat(leaf_fd, video_file.text, 0);
        }
        if (error != 0) {
            (void)unlinkat(leaf_fd, cover_file.text, 0);
        }
    }
    if (leaf_fd >= 0) {
        (void)close(leaf_fd);
    }
    if (error == 0) {
        return STORAGE_OK;
    }
    return put_failed(name, error);
}

enum storage_status storage_put_picture(struct storage *storage, const char *name,
                                        const void *jpeg, size_t len)
{
    struct file_name file = file_of(name, STORAGE_COVER);
    int leaf_fd = -1;
    int error = make_leaf(storage, name, &leaf_fd);
    if (error == 0) {
        error = put_cover(leaf_fd, file.text, jpeg, len);
    }
    if (error == 0 && fsync(leaf_fd) != 0) {
        error = errno;
        (void)unlinkat(leaf_fd, file.text, 0);
    }
    if (leaf_fd >= 0) {
        (void)close(leaf_fd);
    }
    return error == 0 ? STORAGE_OK : put_failed(name, error);
}

/* Forget the bytes of a file, also those that somebody is just reading. */
static void forget(struct storage *storage, const char *name)
{
    for (size_t part = 0; part < STORAGE__PARTS; part++) {
        struct copy_key key;
        if (key_of(name, (enum storage_part)part, &key)) {
            copies_write(storage->copies, &key, &(struct copy){.ver = 1});
        }
    }
}

bool storage_delete(struct storage *storage, const char *name)
{
    int error = 0;
    int leaf_fd = open_leaf(storage, name);
    if (leaf_fd < 0) {
        error = errno;
    }
    for (size_t part = 0; part < STORAGE__PARTS && error == 0; part++) {
        struct file_name file = file_of(name, (enum storage_part)part);
        if (unlinkat(leaf_fd, file.text, 0) != 0 && errno != ENOENT) {
            error = errno;
        }
    }
    if (error == 0 && fsync(leaf_fd) != 0) {
        error = errno;
    }
    if (leaf_fd >= 0) {
        (void)close(leaf_fd);
        forget(storage, name);
    }
    if (error == 0 || error == ENOENT) {
        return true;
    }
    log_write(LOG_ERROR, "storage_delete_failed", "name=%s error=\"%s\"", name,
              strerrordesc_np(error));
    return false;
}

/* ---- List ---- */

/* The base name of a stored file. False: FILE is something else. */
static bool base_of(const char *file, char name[STORAGE_NAME_LEN + 1])
{
    size_t len = strnlen(file, NAME_MAX);
    if (len != STORAGE_NAME_LEN + 4) {
        return false;
    }
    for (size_t part = 0; part < STORAGE__PARTS; part++) {
        if (strcmp(file + STORAGE_NAME_LEN, endings[part]) == 0) {
            memcpy(name, file, STORAGE_NAME_LEN);
            name[STORAGE_NAME_LEN] = '\0';
            return storage_name_parse(name, STORAGE_NAME_LEN, NULL);
        }
    }
    return false;
}

bool storage_age(const struct storage *storage, const char *name, int64_t *age_s)
{
    int leaf_fd = open_leaf(storage, name);
    if (leaf_fd < 0) {
        return false;
    }
    bool is_known = false;
    int error = 0;
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    *age_s = INT64_MAX;
    for (size_t part = 0; part < STORAGE__PARTS && error == 0; part++) {
        struct stat st;
        struct file_name file = file_of(name, (enum storage_part)part);
        if (fstatat(leaf_fd, file.text, &st, AT_SYMLINK_NOFOLLOW) != 0) {
            error = errno == ENOENT ? 0 : errno;
            continue;
        }
        /* The change time: linking sets it, and it cannot be set back. */
        int64_t age = (int64_t)now.tv_sec - (int64_t)st.st_ctim.tv_sec;
        *age_s = age < *age_s ? age : *age_s;
        is_known = true;
    }
    (void)close(leaf_fd);
    return is_known && error == 0;
}

bool storage_list(struct storage *storage, unsigned leaf, storage_list_cb *cb,
                  void *context)
{
    char path[LEAF_BYTES];
    CHECK(leaf < STORAGE_LEAVES);
    (void)snprintf(path, sizeof path, "%02x/%02x", leaf >> 8, leaf & 0xff);
    int fd =
        openat(storage->dir_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) {
        return true;
    }
    (void)tempfile_sweep(fd);
    DIR *dir = fdopendir(fd);
    if (dir == NULL) {
        (void)close(fd);
        return true;
    }
    bool go_on = true;
    struct dirent *entry;
    /* Only this thread reads DIR. NOLINTNEXTLINE(concurrency-mt-unsafe) */
    while (go_on && (entry = readdir(dir)) != NULL) {
        char name[STORAGE_NAME_LEN + 1];
        if (base_of(entry->d_name, name)) {
            go_on = cb(context, name);
        }
    }
    (void)closedir(dir);
    return go_on;
}
