/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Run one program in a jail: build the command line of prlimit and bubblewrap, start it,
 * and read its output until the end, the deadline or the limit. */
#include "server/media/jail.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shard/base/buf.h"
#include "shard/base/clock.h"

/* Descriptor of the filter in the child; 0, 1 and 2 are the standard ones. */
#define CHILD_SECCOMP_FD 3

/* Descriptors are moved to this number or above, away from those of the child. */
#define SPARE_FD 16

/* How long to wait for a killed run before giving up on its output. */
#define GRACE_MS 2000

/* Lower limit of the file size limit; not 0, because bubblewrap itself writes some bytes
 * to /proc. */
#define FILE_BYTES_MIN 65536

/* A system call filter. */
struct filter {
    void *program; /* owned */
    size_t len;
};

struct jail {
    struct filter reads;
    struct filter writes; /* for runs with an output */
};

/* One run. Descriptors are -1 when closed. */
struct run {
    pid_t pid;
    int pidfd;
    int stdin_fd;
    int seccomp_fd;
    int out[2]; /* standard output: our end, the child's end */
    int err[2];
    struct buf output;
    struct jail_result *result;
    size_t errors_len;
    int64_t deadline_ms; /* monotonic; once killed: when to stop waiting for it */
    bool killed;         /* by us */
};

struct jail *jail_new(void)
{
    struct jail *jail = calloc(1, sizeof *jail);
    if (jail == NULL) {
        return NULL;
    }
    jail->reads.program = jail_seccomp_program(false, &jail->reads.len);
    jail->writes.program = jail_seccomp_program(true, &jail->writes.len);
    if (jail->reads.program == NULL || jail->writes.program == NULL) {
        jail_free(&jail);
    }
    return jail;
}

void jail_free(struct jail **jail)
{
    if (*jail != NULL) {
        free((*jail)->reads.program);
        free((*jail)->writes.program);
        free(*jail);
        *jail = NULL;
    }
}

static void close_fd(int *fd)
{
    if (*fd >= 0) {
        (void)close(*fd);
        *fd = -1;
    }
}

/* Move *FD out of the way of the numbers that the child uses. */
static bool move_up(int *fd)
{
    int high = *fd < 0 ? -1 : fcntl(*fd, F_DUPFD_CLOEXEC, SPARE_FD);
    close_fd(fd);
    *fd = high;
    return high >= 0;
}

static bool make_pipe(int ends[2])
{
    if (pipe2(ends, O_CLOEXEC) != 0) {
        ends[0] = ends[1] = -1;
        return false;
    }
    return fcntl(ends[0], F_SETFL, O_NONBLOCK) == 0 && move_up(&ends[1]);
}

/* A memory file that bubblewrap reads the filter from; one per run, because all users of
 * a file share its position. */
static bool make_seccomp_fd(const struct filter *filter, int *fd)
{
    *fd = memfd_create("seccomp", MFD_CLOEXEC);
    return move_up(fd) &&
           pwrite(*fd, filter->program, filter->len, 0) == (ssize_t)filter->len;
}

/* Where standard output goes: into a pipe that we read, or the file OUTPUT_FD. */
static bool make_stdout(struct run *run, int output_fd)
{
    if (output_fd < 0) {
        return make_pipe(run->out);
    }
    run->out[1] = fcntl(output_fd, F_DUPFD_CLOEXEC, SPARE_FD);
    return run->out[1] >= 0;
}

/* The input, opened again for reading only: the descriptor that we were given may be
 * writable, and has a position of its own. */
static bool make_stdin_fd(int input_fd, int *fd)
{
    char path[32] = "/dev/null";
    if (input_fd >= 0) {
        (void)snprintf(path, sizeof path, "/proc/self/fd/%d", input_fd);
    }
    *fd = open(path, O_RDONLY | O_CLOEXEC);
    return move_up(fd);
}

/* ---- Command line ---- */

/* Arguments of prlimit and bubblewrap apart from the program's. */
#define WRAPPER_ARGS_MAX 80

struct command {
    const char *args[WRAPPER_ARGS_MAX + JAIL_ARGS_MAX + 1];
    size_t n;
    char memory[48];
    char cpu[48];
    char file[48];
};

static void command_add(struct command *command, const char *const *args, size_t n)
{
    CHECK(command->n + n < ARRAY_LEN(command->args));
    memcpy(command->args + command->n, args, n * sizeof *args);
    command->n += n;
    command->args[command->n] = NULL;
}

static void command_make(struct command *command, const struct jail_limits *limits,
                         const char *const argv[])
{
    (void)snprintf(command->memory, sizeof command->memory, "--as=%zu",
                   limits->memory_bytes);
    /* SIGXCPU at the first, SIGKILL at the second number. */
    (void)snprintf(command->cpu, sizeof command->cpu, "--cpu=%d:%d", limits->cpu_s,
                   limits->cpu_s + 1);
    (void)snprintf(command->file, sizeof command->file, "--fsize=%" PRIu64,
                   limits->file_bytes > FILE_BYTES_MIN ? limits->file_bytes
                                                       : (uint64_t)FILE_BYTES_MIN);
    // clang-format off
    const char *const wrappers[] = {
        limits->prlimit_path, command->memory, command->cpu,
        command->file, "--nofile=64", "--core=0", "--",
        limits->bwrap_path,
        /* --disable-userns needs an explicit --unshare-user */
        "--unshare-user", "--unshare-all", "--disable-userns",
        "--uid", "65534", "--gid", "65534", "--cap-drop", "ALL",
        "--die-with-parent", "--clearenv", "--hostname", "jail",
        "--ro-bind", argv[0], argv[0],
        "--ro-bind-try", "/usr/lib", "/usr/lib",
        "--ro-bind-try", "/usr/lib64", "/usr/lib64",
        "--ro-bind-try", "/usr/local/lib", "/usr/local/lib",
        "--ro-bind-try", "/lib", "/lib",
        "--ro-bind-try", "/lib64", "/lib64",
        /* Debian finds its linear algebra libraries there */
        "--ro-bind-try", "/etc/alternatives", "/etc/alternatives",
        "--ro-bind-try", "/etc/ld.so.cache", "/etc/ld.so.cache",
        "--dev-bind", "/dev/null", "/dev/null",
        /* for JAIL_INPUT alone: an upload has no name in any directory */
        "--proc", "/proc",
        "--remount-ro", "/", "--chdir", "/",
        "--seccomp", "3", "--",
    };
    // clang-format on
    _Static_assert(CHILD_SECCOMP_FD == 3, "the number after --seccomp");
    command->n = 0;
    command_add(command, wrappers, ARRAY_LEN(wrappers));
    size_t n = 0;
    while (argv[n] != NULL) {
        n++;
    }
    CHECK(n > 0 && n <= JAIL_ARGS_MAX);
    command_add(command, argv, n);
}

/* ---- Start ---- */

/* Kill the whole session, not only bubblewrap: its first process in the new namespace
 * asks to die with it (--die-with-parent) only after it has started the program, and
 * asking after the parent's death has no effect (PR_SET_PDEATHSIG(2const)). That process
 * is in the group, too, and its end ends the namespace. */
static void kill_run(struct run *run, enum jail_end why)
{
    if (!run->killed) {
        run->killed = true;
        run->result->end = why;
        run->deadline_ms = clock_mono_ms() + GRACE_MS;
        (void)kill(-run->pid, SIGKILL);
    }
}

static void keep_errors(struct run *run, const char *data, size_t len)
{
    size_t room = JAIL_STDERR_BYTES - run->errors_len;
    if (len > room) {
        len = room;
    }
    memcpy(run->result->errors + run->errors_len, data, len);
    run->errors_len += len;
}

/* We cannot go on, for the reason WHY. */
static void give_up(struct run *run, const char *why)
{
    keep_errors(run, why, strlen(why));
    kill_run(run, JAIL_BROKEN);
}

/* Arrange the child's descriptors: 0 input, 1 and 2 pipes, 3 filter, no other. */
static int set_files(posix_spawn_file_actions_t *actions, const struct run *run)
{
    int error = posix_spawn_file_actions_adddup2(actions, run->stdin_fd, 0);
    if (error == 0) {
        error = posix_spawn_file_actions_adddup2(actions, run->out[1], 1);
    }
    if (error == 0) {
        error = posix_spawn_file_actions_adddup2(actions, run->err[1], 2);
    }
    if (error == 0) {
        error =
            posix_spawn_file_actions_adddup2(actions, run->seccomp_fd, CHILD_SECCOMP_FD);
    }
    if (error == 0) {
        error = posix_spawn_file_actions_addclosefrom_np(actions, CHILD_SECCOMP_FD + 1);
    }
    return error;
}

/* The child starts with no signal blocked and none ignored, whatever the server does, in
 * a session of its own: no terminal to write to, and one group to kill. */
static int set_session(posix_spawnattr_t *attr)
{
    sigset_t none;
    sigset_t all;
    (void)sigemptyset(&none);
    (void)sigfillset(&all);
    int error = posix_spawnattr_setsigmask(attr, &none);
    if (error == 0) {
        error = posix_spawnattr_setsigdefault(attr, &all);
    }
    if (error == 0) {
        error = posix_spawnattr_setflags(
            attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSID);
    }
    return error;
}

static int spawn(struct run *run, const struct command *command)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attr;
    char *const env[] = {NULL};
    int error = posix_spawn_file_actions_init(&actions);
    if (error != 0) {
        return error;
    }
    error = posix_spawnattr_init(&attr);
    if (error != 0) {
        (void)posix_spawn_file_actions_destroy(&actions);
        return error;
    }
    error = set_files(&actions, run);
    if (error == 0) {
        error = set_session(&attr);
    }
    if (error == 0) {
        /* posix_spawn() takes char *const[] but changes nothing. */
        union {
            const char *const *in;
            char *const *out;
        } args = {.in = command->args};
        error = posix_spawn(&run->pid, command->args[0], &actions, &attr, args.out, env);
    }
    (void)posix_spawnattr_destroy(&attr);
    (void)posix_spawn_file_actions_destroy(&actions);
    return error;
}

/* The descriptors of RUN. False: there are too few. */
static bool make_fds(struct run *run, const struct jail *jail,
                     const struct jail_limits *limits, int input_fd)
{
    bool has_output = limits->file_bytes > 0;

    return make_stdin_fd(input_fd, &run->stdin_fd) &&
           make_seccomp_fd(has_output ? &jail->writes : &jail->reads, &run->seccomp_fd) &&
           make_stdout(run, has_output ? limits->output_fd : -1) && make_pipe(run->err);
}

static bool start(struct run *run, const struct jail *jail,
                  const struct jail_limits *limits, const struct command *command,
                  int input_fd)
{
    if (!make_fds(run, jail, limits, input_fd)) {
        (void)snprintf(run->result->errors, sizeof run->result->errors,
                       "no descriptors: %s", strerrordesc_np(errno));
        return false;
    }
    int error = spawn(run, command);
    if (error != 0) {
        run->pid = -1;
        (void)snprintf(run->result->errors, sizeof run->result->errors, "%s: %s",
                       command->args[0], strerrordesc_np(error));
        return false;
    }
    close_fd(&run->out[1]);
    close_fd(&run->err[1]);
    run->pidfd = pidfd_open(run->pid, 0);
    if (run->pidfd < 0) {
        give_up(run, strerrordesc_np(errno));
    }
    return true;
}

/* ---- Watch ---- */

/* Read what there is on one pipe; it is closed at its end. */
static void drain(struct run *run, int *fd, bool is_output)
{
    char chunk[16384];
    ssize_t n = read(*fd, chunk, sizeof chunk);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    if (n < 0) {
        give_up(run, strerrordesc_np(errno));
    }
    if (n <= 0) {
        close_fd(fd);
    } else if (!is_output) {
        keep_errors(run, chunk, (size_t)n);
    } else if (run->output.max - run->output.len < (size_t)n) {
        kill_run(run, JAIL_TOO_LOUD);
    } else if (!buf_add(&run->output, chunk, (size_t)n)) {
        give_up(run, "out of memory");
    }
}

/* Read both pipes to their ends: then every process that could write has ended. */
static void watch(struct run *run)
{
    while (run->out[0] >= 0 || run->err[0] >= 0) {
        int64_t left = run->deadline_ms - clock_mono_ms();
        if (left <= 0) {
            if (run->killed) {
                return; /* a process outlives SIGKILL for now: the kernel will end it */
            }
            kill_run(run, JAIL_TIMED_OUT);
            continue;
        }
        /* A closed pipe is -1, which poll() skips. */
        struct pollfd fds[2] = {{.fd = run->out[0], .events = POLLIN},
                                {.fd = run->err[0], .events = POLLIN}};
        int n = poll(fds, 2, left > INT_MAX ? INT_MAX : (int)left);
        if (n < 0 && errno != EINTR) {
            give_up(run, strerrordesc_np(errno));
        }
        if (n <= 0) {
            continue;
        }
        if (fds[0].revents != 0) {
            drain(run, &run->out[0], true);
        }
        if (fds[1].revents != 0) {
            drain(run, &run->err[0], false);
        }
    }
}

/* Derive the program's end from bubblewrap's: bubblewrap exits like a shell, and prints a
 * message under its own name when it could not start the program. */
static void judge(struct jail_result *result, bool exited, int status)
{
    static const char *const wrappers[] = {"bwrap: ", "prlimit: "};
    result->exit_status = status;
    result->end = JAIL_EXITED;
    if (!exited || (status > 128 && status < 128 + 32)) {
        result->end = JAIL_KILLED;
    } else if (status == 127) {
        result->end = JAIL_BROKEN; /* the loader did not find a library */
    }
    for (size_t i = 0; status != 0 && i < ARRAY_LEN(wrappers); i++) {
        if (strncmp(result->errors, wrappers[i], strlen(wrappers[i])) == 0) {
            result->end = JAIL_BROKEN;
        }
    }
}

/* Wait until the process has ended, which may have closed its output before, or kill it
 * at the deadline. */
static void await_end(struct run *run)
{
    struct pollfd exited = {.fd = run->pidfd, .events = POLLIN};
    int n = 0;
    do {
        int64_t left = run->deadline_ms - clock_mono_ms();
        left = left > 0 ? left : 0;
        n = poll(&exited, 1, left > INT_MAX ? INT_MAX : (int)left);
    } while (n < 0 && errno == EINTR);
    if (n < 0) {
        give_up(run, strerrordesc_np(errno));
    } else if (n == 0) {
        kill_run(run, JAIL_TIMED_OUT);
    }
}

/* Learn how the process ended. */
static void reap(struct run *run)
{
    if (!run->killed) {
        await_end(run);
    }
    siginfo_t info = {0};
    int rc = 0;
    do {
        rc = waitid(P_PID, (id_t)run->pid, &info, WEXITED);
    } while (rc != 0 && errno == EINTR);
    if (rc != 0) {
        const char *why = strerrordesc_np(errno);
        keep_errors(run, why, strlen(why));
        run->result->end = JAIL_BROKEN;
    } else if (!run->killed) {
        judge(run->result, info.si_code == CLD_EXITED, info.si_status);
    }
}

void jail_run(const struct jail *jail, const struct jail_limits *limits,
              const char *const argv[], int input_fd, struct jail_result *result)
{
    struct command command;
    struct run run = {.pid = -1,
                      .pidfd = -1,
                      .stdin_fd = -1,
                      .seccomp_fd = -1,
                      .out = {-1, -1},
                      .err = {-1, -1},
                      .result = result,
                      .deadline_ms = limits->deadline_ms};
    *result = (struct jail_result){.end = JAIL_BROKEN};
    buf_init(&run.output, limits->stdout_bytes);
    command_make(&command, limits, argv);
    if (start(&run, jail, limits, &command, input_fd)) {
        watch(&run);
        reap(&run);
        result->output = buf_detach(&run.output, &result->output_len);
    }
    buf_clear(&run.output);
    close_fd(&run.pidfd);
    close_fd(&run.stdin_fd);
    close_fd(&run.seccomp_fd);
    for (size_t i = 0; i < 2; i++) {
        close_fd(&run.out[i]);
        close_fd(&run.err[i]);
    }
}

void jail_result_release(struct jail_result *result)
{
    free(result->output);
    result->output = NULL;
    result->output_len = 0;
}
