/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The Redis Cluster that the options name. */
#include "server/config/redis.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shard/rcluster.h"

#include "server/config/config.h"
#include "server/config/secret.h"

/* How many nodes an option may name: enough to find one that is up. */
#define NODES_MAX 64

#define PASSWORD_BYTES 512

struct nodes {
    struct rcluster_node node[NODES_MAX];
    size_t n;
    char text[4096]; /* the hosts, each with a NUL */
};

/* "PORT" of 1 to 65535, and nothing else? */
static bool read_port(const char *text, unsigned *port)
{
    size_t digits = strspn(text, "0123456789");

    *port = digits > 0 && digits <= 5 ? (unsigned)strtoul(text, NULL, 10) : 0;
    return text[digits] == '\0' && *port > 0 && *port <= 65535;
}

/* Read "HOST:PORT"; it writes NULs into WORD. */
static bool read_node(char *word, struct rcluster_node *node)
{
    char *colon = strrchr(word, ':');

    if (colon == NULL || colon == word || !read_port(colon + 1, &node->port)) {
        return false;
    }
    *colon = '\0';
    if (word[0] == '[') {
        if (colon - word < 3 || colon[-1] != ']') {
            return false;
        }
        colon[-1] = '\0';
        word++;
    } else if (strchr(word, ':') != NULL) {
        return false;
    }
    node->host = word;
    return true;
}

static bool read_nodes(const char *list, struct nodes *nodes)
{
    char *rest = NULL;

    nodes->n = 0;
    if ((size_t)snprintf(nodes->text, sizeof nodes->text, "%s", list) >=
        sizeof nodes->text) {
        return false;
    }
    for (char *word = strtok_r(nodes->text, ", ", &rest); word != NULL;
         word = strtok_r(NULL, ", ", &rest)) {
        if (nodes->n == NODES_MAX || !read_node(word, &nodes->node[nodes->n++])) {
            return false;
        }
    }
    return true;
}

bool redis_nodes_are_valid(const char *list)
{
    struct nodes nodes;

    return read_nodes(list, &nodes);
}

bool redis_connect(const char *list, const struct rcluster_options *options,
                   struct rcluster **cluster, struct errmsg *err)
{
    struct nodes nodes;
    struct rcluster_options all = *options;

    *cluster = NULL;
    if (!read_nodes(list, &nodes)) {
        return errmsg_set(err, "the list of nodes cannot be read: write HOST:PORT, ..");
    }
    if (nodes.n == 0) {
        return true;
    }
    all.nodes = nodes.node;
    all.n_nodes = nodes.n;
    *cluster = rcluster_new(&all, err);
    return *cluster != NULL;
}

bool redis_start(const struct config *config, struct rcluster **cluster,
                 struct errmsg *err)
{
    char password[PASSWORD_BYTES];
    const struct rcluster_options options = {.user = config->redis_user,
                                             .password = password,
                                             .tls_ca = config->redis_tls_ca,
                                             .timeout_ms = config->redis_timeout_ms};

    *cluster = NULL;
    if (!secret_read(config->redis_password_file, password, sizeof password, err)) {
        return false;
    }
    bool is_good = redis_connect(config->redis_nodes, &options, cluster, err);
    explicit_bzero(password, sizeof password);
    return is_good;
}
