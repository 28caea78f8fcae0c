/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* One file that a client is sending: temporary file, running hash, first look at it. */
#include "server/upload.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shard/base/log.h"

#include "server/sniff.h"

struct uploads {
    int dir_fd;
    atomic_uint n_running;
};

struct upload {
    struct uploads *uploads; /* (ref) */
    struct tempfile file;
    EVP_MD_CTX *hash;
    struct sniff sniff;
    uint64_t size_bytes;
    uint64_t limit_bytes;
    unsigned char sha256[UPLOAD_SHA256_BYTES];
};

const char *upload_status_text(enum upload_status status)
{
    static const char *const texts[UPLOAD__COUNT] = {
        [UPLOAD_OK] = "received",
        [UPLOAD_BUSY] = "too many uploads at the moment",
        [UPLOAD_TOO_LARGE] = "the file is too large",
        [UPLOAD_NOT_VIDEO] = "this is no mp4 or mov file",
        [UPLOAD_NOT_PICTURE] = "this is no jpeg, png or webp picture",
        [UPLOAD_EMPTY] = "the file is empty",
        [UPLOAD_DISK_FULL] = "no room for the file at the moment",
        [UPLOAD_FAILED] = "the file could not be received",
    };
    CHECK(status < UPLOAD__COUNT);
    return texts[status];
}

struct uploads *uploads_new(const char *dir)
{
    struct uploads *uploads = calloc(1, sizeof *uploads);
    if (uploads == NULL) {
        return NULL;
    }
    (void)mkdir(dir, 0700);
    uploads->dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct tempfile probe;
    int error = uploads->dir_fd < 0 ? errno : tempfile_open(&probe, uploads->dir_fd);
    if (error != 0) {
        log_write(LOG_ERROR, "upload_dir_unusable", "dir=\"%s\" error=\"%s\"", dir,
                  strerrordesc_np(error));
        uploads_free(&uploads);
        return NULL;
    }
    tempfile_close(&probe);
    size_t n = tempfile_sweep(uploads->dir_fd);
    if (n > 0) {
        log_write(LOG_INFO, "upload_swept", "files=%zu", n);
    }
    return uploads;
}

void uploads_free(struct uploads **uploads)
{
    if (*uploads == NULL) {
        return;
    }
    CHECK((*uploads)->n_running == 0);
    if ((*uploads)->dir_fd >= 0) {
        (void)close((*uploads)->dir_fd);
    }
    free(*uploads);
    *uploads = NULL;
}

unsigned uploads_running(const struct uploads *uploads)
{
    return uploads->n_running;
}

/* What an errno value means to the sender; logged here, because the text says less. */
static enum upload_status disk_error(const char *what, int error)
{
    log_write(LOG_ERROR, "upload_failed", "what=%s error=\"%s\"", what,
              strerrordesc_np(error));
    return error == ENOSPC || error == EDQUOT ? UPLOAD_DISK_FULL : UPLOAD_FAILED;
}

enum upload_status upload_new(struct uploads *uploads, uint64_t limit_bytes,
                              unsigned n_max, struct upload **upload)
{
    *upload = NULL;
    struct upload *up = calloc(1, sizeof *up);
    if (up == NULL) {
        return UPLOAD_FAILED;
    }
    enum upload_status status = UPLOAD_OK;
    up->uploads = uploads;
    up->file.fd = -1;
    up->limit_bytes = limit_bytes;
    if (atomic_fetch_add(&uploads->n_running, 1) >= n_max) {
        status = UPLOAD_BUSY;
        goto out;
    }
    up->hash = EVP_MD_CTX_new();
    if (up->hash == NULL || EVP_DigestInit_ex(up->hash, EVP_sha256(), NULL) != 1) {
        status = UPLOAD_FAILED;
        goto out;
    }
    int error = tempfile_open(&up->file, uploads->dir_fd);
    if (error != 0) {
        status = disk_error("open", error);
        goto out;
    }
    *upload = up;
    up = NULL;
out:
    upload_free(&up);
    return status;
}

/* All of it, whatever signals and short writes do. 0 or an errno value. */
static int write_all(int fd, const unsigned char *data, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, data, len);
        if (n < 0) {
            if (errno == EINTR) {
                continue;
            }
            return errno;
        }
        data += n;
        len -= (size_t)n;
    }
    return 0;
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

enum upload_status upload_write(struct upload *upload, const void *data, size_t len)
{
    if (len > upload->limit_bytes - upload->size_bytes) {
        return UPLOAD_TOO_LARGE;
    }
    if (sniff_feed(&upload->sniff, data, len) == SNIFF_OTHER) {
        return not_wanted(upload);
    }
    if (EVP_DigestUpdate(upload->hash, data, len) != 1) {
        return UPLOAD_FAILED;
    }
    int error = write_all(upload->file.fd, data, len);
    if (error != 0) {
        return disk_error("write", error);
    }
    upload->size_bytes += len;
    return UPLOAD_OK;
}

enum upload_status upload_finish(struct upload *upload)
{
    if (upload->size_bytes == 0) {
        return UPLOAD_EMPTY;
    }
    if (upload->sniff.verdict == SNIFF_MORE) { /* too short to be anything */
        return not_wanted(upload);
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

void upload_free(struct upload **upload)
{
    struct upload *up = *upload;
    if (up == NULL) {
        return;
    }
    tempfile_close(&up->file);
    EVP_MD_CTX_free(up->hash);
    atomic_fetch_sub(&up->uploads->n_running, 1);
    free(up);
    *upload = NULL;
}
