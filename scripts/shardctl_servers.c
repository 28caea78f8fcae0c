/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* shardctl servers: the contents of the topology file, for scripts. */
#include <stdio.h>

#include "shard/router.h"

#include "server/config/topology.h"

#include "scripts/shardctl.h"

static const char help_text[] =
    "servers: print name, host, port and socket of each server in the topology file. No\n"
    "shard is asked, and no password is needed.\n"
    "\n"
    "One line per server, in the order of the file, with tabs between the columns, and "
    "-\n"
    "for what the file leaves out. With a socket, host and port are not used.\n"
    "\n"
    "  shard1\t10.0.0.11\t3306\t-\n"
    "  shard2\t-\t-\t/run/mysqld/mysqld.sock\n"
    "\n"
    "    shardctl servers --topology=/etc/doushard/topology.conf\n"
    "\n"
    "Exit status: 0 the file is right; 2 it is wrong, with file and line, or misuse.\n";

static const char *given(const char *text)
{
    return text[0] == '\0' ? "-" : text;
}

static bool print_server(const struct router_server *server)
{
    char port[16] = "";

    if (server->port != 0) {
        (void)snprintf(port, sizeof port, "%u", server->port);
    }
    return printf("%s\t%s\t%s\t%s\n", server->name, given(server->host), given(port),
                  given(server->socket)) > 0;
}

static int run_servers(const struct shardctl *ctl)
{
    bool good = true;

    for (size_t i = 0; i < ctl->topology->n_servers && good; i++) {
        good = print_server(&ctl->topology->servers[i]);
    }
    return good && fflush(stdout) == 0
               ? 0
               : shardctl_fail("standard output", shardctl_error_text());
}

const struct shardctl_command shardctl_servers = {
    .name = "servers",
    .operands = "",
    .options = "",
    .help = help_text,
    .user = "doushard_monitor",
    .is_local = true,
    .run = run_servers,
};
