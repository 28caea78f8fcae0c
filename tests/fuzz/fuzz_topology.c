/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The topology: what is accepted obeys the rules, and is the same after being written
 * and read again. */
#include <arpa/inet.h>

#include "server/config/topology.h"

#include "tests/fuzz/fuzz_file.h"

#define INPUT_MAX 4096

static void check_server(const struct router_server *server)
{
    unsigned char address[16];

    RIGHT(strlen(server->name) >= 1 && strlen(server->name) <= 31);
    RIGHT(server->name[strspn(server->name, "abcdefghijklmnopqrstuvwxyz0123456789-")] ==
          0);
    if (server->socket[0] != '\0') {
        RIGHT(server->socket[0] == '/' && strlen(server->socket) <= 107);
        return;
    }
    RIGHT(inet_pton(AF_INET, server->host, address) == 1 ||
          inet_pton(AF_INET6, server->host, address) == 1);
    RIGHT(server->port >= 1 && server->port <= 65535);
}

static bool is_same_place(const struct router_server *a, const struct router_server *b)
{
    if (a->socket[0] != '\0' || b->socket[0] != '\0') {
        return strcmp(a->socket, b->socket) == 0;
    }
    return strcmp(a->host, b->host) == 0 && a->port == b->port;
}

static void check_topology(const struct topology *topology)
{
    RIGHT(topology->n_servers >= 1 && topology->n_servers <= TOPOLOGY_SERVERS_MAX);
    for (size_t i = 0; i < topology->n_servers; i++) {
        const struct router_server *server = &topology->servers[i];

        check_server(server);
        for (size_t other = 0; other < i; other++) {
            RIGHT(strcmp(topology->servers[other].name, server->name) != 0);
            RIGHT(!is_same_place(&topology->servers[other], server));
        }
    }
}

static void write_quoted(FILE *out, const char *name, const char *text)
{
    (void)fprintf(out, "%s = \"", name);
    for (; *text != '\0'; text++) {
        (void)fprintf(out, "\\x%02x", (unsigned char)*text);
    }
    (void)fputs("\"; ", out);
}

/* TOPOLOGY as a file; the caller frees it. */
static struct piece write_out(const struct topology *topology)
{
    struct piece text = {NULL, 0};
    char *data = NULL;
    FILE *out = open_memstream(&data, &text.len);

    RIGHT(out != NULL);
    for (size_t i = 0; i < topology->n_servers; i++) {
        const struct router_server *server = &topology->servers[i];

        (void)fputs(i == 0 ? "servers = ( { " : ", { ", out);
        write_quoted(out, "name", server->name);
        write_quoted(out, "host", server->host);
        write_quoted(out, "socket", server->socket);
        if (server->port != 0) {
            (void)fprintf(out, "port = %u; ", server->port);
        }
        (void)fprintf(out, "durability_exempt = %s; }",
                      server->durability_exempt ? "true" : "false");
    }
    (void)fputs(" );", out);
    RIGHT(fclose(out) == 0);
    text.data = data;
    return text;
}

static void check_again(const struct topology *topology)
{
    struct piece text = write_out(topology);
    struct errmsg err = {""};
    struct topology again;

    RIGHT(topology_read(&again, file_of(text), &err));
    RIGHT(again.n_servers == topology->n_servers);
    for (size_t i = 0; i < again.n_servers; i++) {
        const struct router_server *a = &again.servers[i];
        const struct router_server *b = &topology->servers[i];

        RIGHT(strcmp(a->name, b->name) == 0 && strcmp(a->host, b->host) == 0);
        RIGHT(strcmp(a->socket, b->socket) == 0 && a->port == b->port);
        RIGHT(a->durability_exempt == b->durability_exempt);
    }
    topology_release(&again);
    free((void *)(uintptr_t)text.data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct piece text = {(const char *)data, len};
    struct errmsg err = {""};
    struct topology topology;

    if (len <= INPUT_MAX) {
        if (topology_read(&topology, file_of(text), &err)) {
            RIGHT(err.text[0] == '\0');
            check_topology(&topology);
            check_again(&topology);
        } else {
            RIGHT(err.text[0] != '\0' && topology.servers == NULL);
        }
        topology_release(&topology);
    }
    return 0;
}
