/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* A file system that hangs on request: `hangfs DIR` mounts it (needs root), prints
 * "ready", and serves one directory of files whose contents are not kept: every byte of
 * a block of 4096 reads as the number of the block modulo 251. A line on standard input
 * names the operations that are not answered from then on. At the end of the input the
 * file system is unmounted, and whoever waits for it gets an error. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shard/base/check.h"

#define FILES_MAX   256
#define NAME_BYTES  256
#define BLOCK_BYTES 4096
#define READ_MAX    (1 << 17)
#define ROOM_BLOCKS (UINT64_C(1) << 24)

struct file {
    char name[NAME_BYTES]; /* "": it was deleted */
    uint64_t size;
    bool is_used;
};

struct fs {
    int fd;
    struct file files[FILES_MAX]; /* node FUSE_ROOT_ID + 1 + i is element i */
    char hanging[NAME_BYTES];     /* names of operations, each followed by a space */
};

/* A request as the kernel sends it. */
struct request {
    struct fuse_in_header head;
    char body[(1 << 17) + BLOCK_BYTES];
};

static void answer(const struct fs *fs, const struct request *req, int error,
                   const void *data, size_t len)
{
    static char out[1 << 18];
    struct fuse_out_header head = {.len = (uint32_t)(sizeof head + len),
                                   .error = -error,
                                   .unique = req->head.unique};

    memcpy(out, &head, sizeof head);
    if (len > 0) {
        memcpy(out + sizeof head, data, len);
    }
    if (write(fs->fd, out, head.len) < 0 && errno != ENOENT) { /* interrupted */
        perror("hangfs: write");
    }
}

static struct fuse_attr attr_of(struct fs *fs, uint64_t node)
{
    const struct file *file =
        node == FUSE_ROOT_ID ? NULL : &fs->files[node - FUSE_ROOT_ID - 1];

    return (struct fuse_attr){.ino = node,
                              .size = file != NULL ? file->size : 0,
                              .mode = file != NULL ? S_IFREG | 0600 : S_IFDIR | 0755,
                              .nlink = file == NULL || file->name[0] != '\0',
                              .blksize = BLOCK_BYTES};
}

static void answer_attr(struct fs *fs, const struct request *req)
{
    struct fuse_attr_out out = {.attr = attr_of(fs, req->head.nodeid)};

    answer(fs, req, 0, &out, sizeof out);
}

static struct fuse_entry_out entry_of(struct fs *fs, size_t i)
{
    uint64_t node = FUSE_ROOT_ID + 1 + i;

    return (struct fuse_entry_out){.nodeid = node, .attr = attr_of(fs, node)};
}

/* The index of the file NAME, or FILES_MAX; "" finds an unused one. */
static size_t find(const struct fs *fs, const char *name)
{
    size_t i = 0;

    while (i < FILES_MAX && (name[0] == '\0' ? fs->files[i].is_used
                                             : strcmp(fs->files[i].name, name) != 0)) {
        i++;
    }
    return i;
}

static void do_create(struct fs *fs, const struct request *req)
{
    struct {
        struct fuse_entry_out entry;
        struct fuse_open_out open;
    } out = {.open = {.fh = 0}};
    size_t i = find(fs, "");

    if (i == FILES_MAX) {
        answer(fs, req, ENOSPC, NULL, 0);
        return;
    }
    fs->files[i] = (struct file){.is_used = true};
    (void)snprintf(fs->files[i].name, NAME_BYTES, "%s",
                   req->body + sizeof(struct fuse_create_in));
    out.entry = entry_of(fs, i);
    answer(fs, req, 0, &out, sizeof out);
}

static void do_lookup(struct fs *fs, const struct request *req)
{
    size_t i = find(fs, req->body);

    if (i == FILES_MAX) {
        answer(fs, req, ENOENT, NULL, 0);
        return;
    }
    struct fuse_entry_out out = entry_of(fs, i);
    answer(fs, req, 0, &out, sizeof out);
}

static void do_unlink(struct fs *fs, const struct request *req)
{
    size_t i = find(fs, req->body);

    if (i < FILES_MAX) {
        fs->files[i].name[0] = '\0';
    }
    answer(fs, req, i < FILES_MAX ? 0 : ENOENT, NULL, 0);
}

static void do_write(struct fs *fs, const struct request *req)
{
    struct file *file = &fs->files[req->head.nodeid - FUSE_ROOT_ID - 1];
    struct fuse_write_in in;

    memcpy(&in, req->body, sizeof in);
    struct fuse_write_out out = {.size = in.size};
    file->size = in.offset + in.size > file->size ? in.offset + in.size : file->size;
    answer(fs, req, 0, &out, sizeof out);
}

static void do_read(struct fs *fs, const struct request *req)
{
    static char out[READ_MAX];
    const struct file *file = &fs->files[req->head.nodeid - FUSE_ROOT_ID - 1];
    struct fuse_read_in in;
    size_t n = 0;

    memcpy(&in, req->body, sizeof in);
    while (n < in.size && n < sizeof out && in.offset + n < file->size) {
        out[n] = (char)((in.offset + n) / BLOCK_BYTES % 251);
        n++;
    }
    answer(fs, req, 0, out, n);
}

static void do_init(struct fs *fs, const struct request *req)
{
    const struct fuse_init_out out = {.major = FUSE_KERNEL_VERSION,
                                      .minor = 31,
                                      .max_readahead = READ_MAX,
                                      .max_background = 64,
                                      .max_write = 1 << 17};

    answer(fs, req, 0, &out, sizeof out);
}

static void do_statfs(struct fs *fs, const struct request *req)
{
    const struct fuse_statfs_out out = {.st = {.blocks = ROOM_BLOCKS,
                                               .bfree = ROOM_BLOCKS,
                                               .bavail = ROOM_BLOCKS,
                                               .bsize = BLOCK_BYTES,
                                               .frsize = BLOCK_BYTES,
                                               .namelen = NAME_BYTES - 1}};

    answer(fs, req, 0, &out, sizeof out);
}

static void do_open(struct fs *fs, const struct request *req)
{
    const struct fuse_open_out out = {.fh = 0};

    answer(fs, req, 0, &out, sizeof out);
}

static void do_nothing(struct fs *fs, const struct request *req)
{
    answer(fs, req, 0, NULL, 0);
}

static const struct {
    uint32_t opcode;
    const char *name;
    void (*run)(struct fs *fs, const struct request *req);
} operations[] = {
    {FUSE_INIT, "init", do_init},
    {FUSE_STATFS, "statfs", do_statfs},
    {FUSE_GETATTR, "getattr", answer_attr},
    {FUSE_SETATTR, "setattr", answer_attr},
    {FUSE_LOOKUP, "lookup", do_lookup},
    {FUSE_ACCESS, "access", do_nothing},
    {FUSE_OPEN, "open", do_open},
    {FUSE_READ, "read", do_read},
    {FUSE_OPENDIR, "opendir", do_open},
    {FUSE_READDIR, "readdir", do_nothing},
    {FUSE_CREATE, "create", do_create},
    {FUSE_WRITE, "write", do_write},
    {FUSE_FLUSH, "flush", do_nothing},
    {FUSE_RELEASE, "release", do_nothing},
    {FUSE_RELEASEDIR, "releasedir", do_nothing},
    {FUSE_UNLINK, "unlink", do_unlink},
    {FUSE_FSYNC, "fsync", do_nothing},
};

static bool hangs(const struct fs *fs, const char *name)
{
    char word[32];

    (void)snprintf(word, sizeof word, "%s ", name);
    return strstr(fs->hanging, word) != NULL;
}

static void serve(struct fs *fs, const struct request *req)
{
    if (req->head.opcode == FUSE_FORGET || req->head.opcode == FUSE_BATCH_FORGET ||
        req->head.opcode == FUSE_INTERRUPT) {
        return; /* not answered */
    }
    for (size_t i = 0; i < ARRAY_LEN(operations); i++) {
        if (operations[i].opcode == req->head.opcode) {
            if (!hangs(fs, operations[i].name)) {
                operations[i].run(fs, req);
            }
            return;
        }
    }
    answer(fs, req, ENOSYS, NULL, 0);
}

/* Reads which operations hang from now on. False: end of input. */
static bool read_orders(struct fs *fs)
{
    char line[NAME_BYTES - 1];
    ssize_t n = read(STDIN_FILENO, line, sizeof line - 1);

    if (n <= 0) {
        return false;
    }
    line[n] = '\0';
    line[strcspn(line, "\n")] = '\0';
    (void)snprintf(fs->hanging, sizeof fs->hanging, "%s ", line);
    (void)puts("done");
    (void)fflush(stdout);
    return true;
}

static void run(struct fs *fs)
{
    static struct request req;
    struct pollfd fds[2] = {{.fd = fs->fd, .events = POLLIN},
                            {.fd = STDIN_FILENO, .events = POLLIN}};

    while (poll(fds, 2, -1) > 0 || errno == EINTR) {
        if (fds[1].revents != 0 && !read_orders(fs)) {
            return;
        }
        if (fds[0].revents != 0 && read(fs->fd, &req, sizeof req) > 0) {
            serve(fs, &req);
        }
        memset(&req, 0, sizeof req.head + NAME_BYTES);
    }
}

int main(int argc, char **argv)
{
    static struct fs fs;
    char options[64];

    if (argc != 2) {
        (void)fputs("usage: hangfs DIR\n", stderr);
        return 2;
    }
    fs.fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
    (void)snprintf(options, sizeof options, "fd=%d,rootmode=40000,user_id=0,group_id=0",
                   fs.fd);
    if (fs.fd < 0 || mount("hangfs", argv[1], "fuse.hangfs", 0, options) != 0) {
        perror("hangfs");
        return 1;
    }
    (void)puts("ready");
    (void)fflush(stdout);
    run(&fs);
    (void)umount2(argv[1], MNT_DETACH);
    (void)close(fs.fd);
    return 0;
}
