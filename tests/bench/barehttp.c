/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The yardstick for answers from memory: libmicrohttpd alone, with one epoll loop per
 * core like the server, which answers every GET with the same bytes. */
#include <arpa/inet.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "shard/base/check.h"

static const char usage[] =
    "usage: barehttp THREADS BODY [NAME VALUE]..\n"
    "\n"
    "Listens on a free port of 127.0.0.1, and prints its number. Answers every request\n"
    "with BODY and these header fields, until standard input ends.\n";

// NOLINTNEXTLINE(readability-function-size): the parameters are the library's
static enum MHD_Result answer(void *cls, struct MHD_Connection *connection,
                              const char *url, const char *method, const char *version,
                              const char *upload_data, size_t *upload_data_size,
                              void **con_cls)
{
    static int marker;

    (void)url;
    (void)method;
    (void)version;
    (void)upload_data;
    /* The first call comes after the header; an answer in it closes the connection. */
    if (*con_cls == NULL) {
        *con_cls = &marker;
        return MHD_YES;
    }
    *upload_data_size = 0;
    return MHD_queue_response(connection, MHD_HTTP_OK, cls);
}

static struct MHD_Response *make_response(int argc, char **argv)
{
    struct MHD_Response *response =
        MHD_create_response_from_buffer(strlen(argv[2]), argv[2], MHD_RESPMEM_PERSISTENT);

    CHECK(response != NULL);
    for (int i = 3; i + 1 < argc; i += 2) {
        CHECK(MHD_add_response_header(response, argv[i], argv[i + 1]) == MHD_YES);
    }
    return response;
}

static struct MHD_Daemon *start(unsigned threads, struct MHD_Response *response)
{
    const struct sockaddr_in address = {.sin_family = AF_INET,
                                        .sin_addr = {htonl(INADDR_LOOPBACK)}};

    return MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_TURBO, 0, NULL, NULL,
                            answer, response, MHD_OPTION_SOCK_ADDR, &address,
                            MHD_OPTION_THREAD_POOL_SIZE, threads > 1 ? threads : 0U,
                            MHD_OPTION_CONNECTION_LIMIT, 20000U, MHD_OPTION_END);
}

int main(int argc, char **argv)
{
    unsigned threads = argc >= 3 ? (unsigned)strtoul(argv[1], NULL, 10) : 0;
    char byte;

    if (threads == 0 || argc % 2 == 0) {
        fputs(usage, stderr);
        return 2;
    }
    struct MHD_Response *response = make_response(argc, argv);
    struct MHD_Daemon *daemon = start(threads, response);
    if (daemon == NULL) {
        fputs("barehttp: libmicrohttpd does not start\n", stderr);
        MHD_destroy_response(response);
        return 1;
    }
    printf("%u\n", MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_BIND_PORT)->port);
    (void)fflush(stdout);
    while (read(STDIN_FILENO, &byte, 1) > 0) {
    }
    MHD_stop_daemon(daemon);
    MHD_destroy_response(response);
    return 0;
}
