/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Idle connections. */
#include "tests/bench/hold.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/bench/dial.h"

#define PATIENCE_MS  10000
#define ANSWER_BYTES ((size_t)256 * 1024)

/* Send one request and read its answer; IN has ANSWER_BYTES bytes. */
static bool ask(const struct load_options *options, struct script *script, size_t line,
                int fd, char *in)
{
    char out[SCRIPT_REQUEST_MAX];
    size_t out_len = script_write(script, line, out);
    struct pollfd readable = {.fd = fd, .events = POLLIN};
    enum verdict verdict = ANSWER_PART;
    bool closes = false;
    int code = 0;

    if (send(fd, out, out_len, MSG_NOSIGNAL) != (ssize_t)out_len) {
        return false;
    }
    for (size_t len = 0; verdict == ANSWER_PART;) {
        if (len + 1 == ANSWER_BYTES || poll(&readable, 1, PATIENCE_MS) != 1) {
            return false;
        }
        ssize_t n = recv(fd, in + len, ANSWER_BYTES - 1 - len, 0);
        if (n <= 0) {
            return false;
        }
        len += (size_t)n;
        in[len] = '\0';
        verdict = answer_judge(&options->wanted, in, len, true, &closes, &code);
    }
    return verdict == ANSWER_RIGHT && !closes;
}

static bool open_one(const struct load_options *options, struct script *script, size_t i,
                     long requests, int *fd)
{
    bool good;
    char *in = malloc(ANSWER_BYTES);

    CHECK(in != NULL);
    *fd = dial(options->port);
    good = *fd >= 0;
    for (long r = 0; r < requests && good; r++) {
        good = ask(options, script, i % script->n, *fd, in);
    }
    free(in);
    return good;
}

/* Until standard input ends. */
static void wait_for_end(void)
{
    char byte;

    while (read(STDIN_FILENO, &byte, 1) > 0) {
    }
}

int hold(const struct load_options *options, struct script *script, long requests)
{
    int *fd = calloc(options->connections, sizeof *fd);
    size_t n = 0;
    int status = 0;

    CHECK(fd != NULL);
    while (n < options->connections && status == 0) {
        if (!open_one(options, script, n, requests, &fd[n])) {
            fprintf(stderr,
                    "benchload: connection %zu was refused or got a wrong answer\n",
                    n + 1);
            status = 1;
        }
        n++;
    }
    if (status == 0) {
        printf("{\"held\":%zu}\n", n);
        (void)fflush(stdout);
        wait_for_end();
    }
    for (size_t i = 0; i < n; i++) {
        if (fd[i] >= 0) {
            close(fd[i]);
        }
    }
    free(fd);
    return status;
}
