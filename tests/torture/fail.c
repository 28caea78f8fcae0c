/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Replaces the C library's calls that can fail, in a server in whose tests one of them
 * must fail: the n-th of all calls from a moment on, in all threads and libraries.
 *
 * The test maps the same file, which TORTURE_CONTROL names: it writes `kinds` and then
 * `countdown`, and reads which call failed. This file is linked into the program, so
 * that its functions come before the sanitizer's, which they call. */
#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shard/base/check.h"

/* Kinds of calls; bits. */
#define MEMORY 1u
#define SYSTEM 2u

/* How many callers are reported, and how many are in this file. */
#define FRAMES         9
#define FRAMES_OF_OURS 3

/* The mapped file; tests/lib/torture.js knows its layout. */
struct control {
    _Atomic int64_t countdown; /* calls until one fails, from 1; 0 or less: none fails */
    _Atomic uint32_t kinds;    /* which calls count */
    _Atomic uint32_t has_failed; /* 1: one has failed, and WHAT is complete */
    char what[496];              /* "send on port 8080 in libmicrohttpd.so.12+0x1f2" */
};

// NOLINTBEGIN(readability-inconsistent-declaration-parameter-name,bugprone-macro-parentheses)
// Names in the C library's declarations are reserved, and a type cannot have
// parentheses.

static struct control *control; /* NULL: nothing ever fails */

__attribute__((constructor)) static void torture_begin(void)
{
    const char *path = getenv("TORTURE_CONTROL"); /* NOLINT(concurrency-mt-unsafe) */
    int fd = path != NULL ? open(path, O_RDWR | O_CLOEXEC) : -1;
    void *at = MAP_FAILED;
    void *caller;

    (void)backtrace(&caller, 1); /* the first call allocates memory */
    if (fd >= 0) {
        at = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        (void)close(fd);
    }
    if (at != MAP_FAILED) {
        control = at;
    }
}

/* The local port of FD; 0: not a TCP socket. */
static unsigned port_of(int fd)
{
    struct sockaddr_in6 address;
    socklen_t len = sizeof address;

    if (fd < 0 || getsockname(fd, (struct sockaddr *)&address, &len) != 0 ||
        (address.sin6_family != AF_INET && address.sin6_family != AF_INET6)) {
        return 0;
    }
    return ntohs(address.sin6_port);
}

/* Appends FORMAT to the description of the call. */
static void say(size_t *len, const char *format, ...) PRINTF_LIKE(2, 3);

static void say(size_t *len, const char *format, ...)
{
    va_list args;
    int n;

    va_start(args, format);
    n = vsnprintf(control->what + *len, sizeof control->what - *len, format, args);
    va_end(args);
    if (n > 0 && (size_t)n < sizeof control->what - *len) {
        *len += (size_t)n;
    }
}

/* Describes the call NAME on FD (-1: none), and its callers, the nearest first. */
static void describe(const char *name, int fd)
{
    void *callers[FRAMES];
    size_t len = 0;
    int n = backtrace(callers, FRAMES);

    say(&len, "%s on port %u in ", name, port_of(fd));
    for (int i = FRAMES_OF_OURS; i < n; i++) {
        Dl_info info = {.dli_fname = "?"};
        const char *file;

        (void)dladdr(callers[i], &info);
        file = strrchr(info.dli_fname, '/');
        say(&len, "%s%s+0x%zx %s", i > FRAMES_OF_OURS ? " < " : "",
            file != NULL ? file + 1 : info.dli_fname,
            (size_t)((const char *)callers[i] - (const char *)info.dli_fbase),
            info.dli_sname != NULL ? info.dli_sname : "");
    }
}

/* Whether a call on FD can fail at all. Those that wake up a loop cannot. */
static bool may_fail(int fd)
{
    struct stat st;

    return fd < 0 || fstatat(fd, "", &st, AT_EMPTY_PATH) != 0 ||
           (st.st_mode & S_IFMT) != 0;
}

/* Whether the call NAME on FD (-1: none) is the one that must fail. */
__attribute__((noinline)) static bool fails(unsigned kind, const char *name, int fd)
{
    if (control == NULL || atomic_load(&control->countdown) <= 0 ||
        (atomic_load(&control->kinds) & kind) == 0 || !may_fail(fd) ||
        atomic_fetch_sub(&control->countdown, 1) != 1) {
        return false;
    }
    describe(name, fd);
    atomic_store(&control->has_failed, 1);
    return true;
}

/* ---- Memory ---- */

/* Libraries that crash without memory: libconfig 1.5 in a reload, and libmariadb 3.3 when
 * it stores an INIT_COMMAND (a copy, in a list whose functions are before all symbols),
 * when it begins a connection (calloc) and in the login. Those two functions have no
 * symbols of their own: the symbols before them in the library are compared. */
static bool is_heedless(const char *name, const void *caller)
{
    Dl_info info = {.dli_fname = ""};

    if (control == NULL || atomic_load(&control->countdown) <= 0 ||
        dladdr(caller, &info) == 0) {
        return false;
    }
    if (strstr(info.dli_fname, "/libmariadb.") != NULL) {
        return info.dli_sname == NULL ||
               (strcmp(info.dli_sname, "mysql_optionsv") == 0 &&
                strcmp(name, "strdup") == 0) ||
               strcmp(info.dli_sname, "mysql_list_processes") == 0 ||
               (strcmp(info.dli_sname, "mariadb_convert_string") == 0 &&
                strcmp(name, "calloc") == 0);
    }
    return strstr(info.dli_fname, "/libconfig.") != NULL;
}

__attribute__((always_inline)) static inline bool is_short(const char *name,
                                                           const void *caller)
{
    return !is_heedless(name, caller) && fails(MEMORY, name, -1);
}

/* The dynamic linker forgets some memory when it cannot open a library. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:/ld-linux";
}

/* The sanitizer's, if there is one; its dlsym() would call us for memory. */
extern void *__interceptor_malloc(size_t size) __attribute__((weak));
extern void *__interceptor_calloc(size_t count, size_t size) __attribute__((weak));
extern void *__interceptor_realloc(void *old, size_t size) __attribute__((weak));
extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *old, size_t size);

static void *no_memory(void)
{
    errno = ENOMEM;
    return NULL;
}

static void *take(size_t size)
{
    return __interceptor_malloc != NULL ? __interceptor_malloc(size)
                                        : __libc_malloc(size);
}

void *malloc(size_t size)
{
    return is_short("malloc", __builtin_return_address(0)) ? no_memory() : take(size);
}

void *calloc(size_t count, size_t size)
{
    if (is_short("calloc", __builtin_return_address(0))) {
        return no_memory();
    }
    return __interceptor_calloc != NULL ? __interceptor_calloc(count, size)
                                        : __libc_calloc(count, size);
}

void *realloc(void *old, size_t size)
{
    if (is_short("realloc", __builtin_return_address(0))) {
        return no_memory();
    }
    return __interceptor_realloc != NULL ? __interceptor_realloc(old, size)
                                         : __libc_realloc(old, size);
}

__attribute__((noinline)) static char *copy_of(const char *text, size_t len,
                                               const void *caller)
{
    char *copy = is_short("strdup", caller) ? no_memory() : take(len + 1);

    if (copy != NULL) {
        memcpy(copy, text, len);
        copy[len] = '\0';
    }
    return copy;
}

char *strdup(const char *text)
{
    return copy_of(text, strlen(text), __builtin_return_address(0));
}

char *strndup(const char *text, size_t max)
{
    return copy_of(text, strnlen(text, max), __builtin_return_address(0));
}

/* ---- System calls ---- */

/* The next function of this name, looked up once. */
#define NEXT(name)                                                                       \
    static __typeof__(&name) next;                                                       \
    if (next == NULL) {                                                                  \
        next = (__typeof__(&name))(uintptr_t)dlsym(RTLD_NEXT, #name);                    \
    }

/* A function that can fail with ERROR and then returns BAD. FD is the descriptor that
 * it uses, or -1. */
#define CALL(type, name, params, args, fd, bad, error)                                   \
    type name params                                                                     \
    {                                                                                    \
        NEXT(name)                                                                       \
        if (fails(SYSTEM, #name, (fd))) {                                                \
            errno = (error);                                                             \
            return (bad);                                                                \
        }                                                                                \
        return next args;                                                                \
    }

/* Files. */
CALL(ssize_t, pread, (int fd, void *data, size_t len, off_t at), (fd, data, len, at), -1,
     -1, EIO)
CALL(ssize_t, pwrite, (int fd, const void *data, size_t len, off_t at),
     (fd, data, len, at), -1, -1, ENOSPC)
CALL(int, fsync, (int fd), (fd), -1, -1, EIO)
CALL(int, fdatasync, (int fd), (fd), -1, -1, EIO)
CALL(int, fchmod, (int fd, mode_t mode), (fd, mode), -1, -1, EIO)
CALL(int, ftruncate, (int fd, off_t len), (fd, len), -1, -1, EIO)
CALL(int, rename, (const char *from, const char *to), (from, to), -1, -1, ENOSPC)
CALL(int, renameat, (int from_fd, const char *from, int to_fd, const char *to),
     (from_fd, from, to_fd, to), -1, -1, ENOSPC)
CALL(int, link, (const char *from, const char *to), (from, to), -1, -1, ENOSPC)
CALL(int, linkat, (int from_fd, const char *from, int to_fd, const char *to, int flags),
     (from_fd, from, to_fd, to, flags), -1, -1, ENOSPC)
CALL(int, mkdir, (const char *path, mode_t mode), (path, mode), -1, -1, ENOSPC)
CALL(int, mkdirat, (int fd, const char *path, mode_t mode), (fd, path, mode), -1, -1,
     ENOSPC)
CALL(int, unlinkat, (int fd, const char *path, int flags), (fd, path, flags), -1, -1, EIO)
CALL(int, fstatvfs, (int fd, struct statvfs *room), (fd, room), -1, -1, EIO)
CALL(int, fstat, (int fd, struct stat *st), (fd, st), -1, -1, EIO)
CALL(int, stat, (const char *path, struct stat *st), (path, st), -1, -1, EIO)
CALL(int, access, (const char *path, int mode), (path, mode), -1, -1, EIO)
CALL(FILE *, fopen, (const char *path, const char *mode), (path, mode), -1, NULL, EMFILE)
CALL(int, memfd_create, (const char *name, unsigned flags), (name, flags), -1, -1, EMFILE)
CALL(int, mkostemp, (char *path, int flags), (path, flags), -1, -1, EMFILE)

/* Calls on a file or a connection. */
CALL(ssize_t, read, (int fd, void *data, size_t len), (fd, data, len), fd, -1, EIO)
CALL(ssize_t, write, (int fd, const void *data, size_t len), (fd, data, len), fd, -1, EIO)
CALL(ssize_t, writev, (int fd, const struct iovec *parts, int n), (fd, parts, n), fd, -1,
     EIO)

CALL(int, poll, (struct pollfd * fds, nfds_t n, int timeout_ms), (fds, n, timeout_ms), -1,
     -1, ENOMEM)

/* Connections. */
CALL(int, socket, (int family, int type, int protocol), (family, type, protocol), -1, -1,
     EMFILE)
CALL(int, connect, (int fd, __CONST_SOCKADDR_ARG address, socklen_t len),
     (fd, address, len), -1, -1, ENETUNREACH)
/* Without a free descriptor (EMFILE), the HTTP library accepts no connection until one
 * of its own has ended, which may be long after this request. */
CALL(int, accept4, (int fd, __SOCKADDR_ARG address, socklen_t *len, int flags),
     (fd, address, len, flags), fd, -1, ECONNABORTED)
CALL(ssize_t, recv, (int fd, void *data, size_t len, int flags), (fd, data, len, flags),
     fd, -1, ECONNRESET)
CALL(ssize_t, send, (int fd, const void *data, size_t len, int flags),
     (fd, data, len, flags), fd, -1, EPIPE)
CALL(ssize_t, sendmsg, (int fd, const struct msghdr *message, int flags),
     (fd, message, flags), fd, -1, EPIPE)
CALL(ssize_t, sendfile, (int to, int from, off_t *at, size_t len), (to, from, at, len),
     to, -1, EIO)
CALL(int, setsockopt, (int fd, int level, int name, const void *value, socklen_t len),
     (fd, level, name, value, len), fd, -1, ENOBUFS)
CALL(int, getsockopt, (int fd, int level, int name, void *value, socklen_t *len),
     (fd, level, name, value, len), fd, -1, ENOBUFS)
CALL(int, epoll_create1, (int flags), (flags), -1, -1, EMFILE)

/* Removing from a set needs no resource that could run out. */
int epoll_ctl(int set, int op, int fd, struct epoll_event *event)
{
    NEXT(epoll_ctl)
    if (op == EPOLL_CTL_ADD && fails(SYSTEM, "epoll_ctl", fd)) {
        errno = ENOMEM;
        return -1;
    }
    return next(set, op, fd, event);
}

/* Memory, threads and processes. */
CALL(void *, mmap, (void *at, size_t len, int prot, int flags, int fd, off_t offset),
     (at, len, prot, flags, fd, offset), -1, MAP_FAILED, ENOMEM)
CALL(int, mprotect, (void *at, size_t len, int prot), (at, len, prot), -1, -1, ENOMEM)
CALL(int, pidfd_open, (pid_t pid, unsigned flags), (pid, flags), -1, -1, EMFILE)
CALL(int, pipe2, (int ends[2], int flags), (ends, flags), -1, -1, EMFILE)
CALL(int, pthread_create,
     (pthread_t * thread, const pthread_attr_t *attr, void *(*run)(void *), void *cls),
     (thread, attr, run, cls), -1, EAGAIN, EAGAIN)
CALL(int, posix_spawn,
     (pid_t * pid, const char *path, const posix_spawn_file_actions_t *actions,
      const posix_spawnattr_t *attr, char *const argv[], char *const env[]),
     (pid, path, actions, attr, argv, env), -1, EAGAIN, EAGAIN)

CALL(int, waitid, (idtype_t type, id_t id, siginfo_t *info, int options),
     (type, id, info, options), -1, -1, ECHILD)

/* The mode is passed if the call may create a file. */
static mode_t mode_of(int flags, va_list args)
{
    return (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(args, mode_t) : 0;
}

int open(const char *path, int flags, ...)
{
    NEXT(open)
    va_list args;

    va_start(args, flags);
    mode_t mode = mode_of(flags, args);
    va_end(args);
    if (fails(SYSTEM, "open", -1)) {
        errno = EMFILE;
        return -1;
    }
    return next(path, flags, mode);
}

/* Only duplicating a descriptor needs one more. */
int fcntl(int fd, int command, ...)
{
    NEXT(fcntl)
    va_list args;

    va_start(args, command);
    void *argument = va_arg(args, void *); /* whatever its type: as the kernel does */
    va_end(args);
    if (command == F_DUPFD_CLOEXEC && fails(SYSTEM, "fcntl", -1)) {
        errno = EMFILE;
        return -1;
    }
    return next(fd, command, argument);
}

int ioctl(int fd, unsigned long request, ...)
{
    NEXT(ioctl)
    va_list args;

    va_start(args, request);
    void *argument = va_arg(args, void *); /* as above */
    va_end(args);
    if (fails(SYSTEM, "ioctl", fd)) {
        errno = EIO;
        return -1;
    }
    return next(fd, request, argument);
}

int openat(int fd, const char *path, int flags, ...)
{
    NEXT(openat)
    va_list args;

    va_start(args, flags);
    mode_t mode = mode_of(flags, args);
    va_end(args);
    if (fails(SYSTEM, "openat", -1)) {
        errno = EMFILE;
        return -1;
    }
    return next(fd, path, flags, mode);
}

// NOLINTEND(readability-inconsistent-declaration-parameter-name,bugprone-macro-parentheses)
