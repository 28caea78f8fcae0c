/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The way from shardctl to Redis: by the options, or to the nodes of the demo. */
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "shard/rcluster.h"

#include "server/config/config.h"
#include "server/config/redis.h"
#include "server/config/secret.h"

#include "scripts/shardctl.h"

#define TIMEOUT_MS     1000
#define FILE_MAX       4096
#define LIST_BYTES     4096
#define PASSWORD_BYTES 512

/* Append "HOST:PORT" to LIST. False: NODE is not valid, or there is no room. */
static bool add_node(const json_t *node, char *list, size_t size)
{
    const char *host = json_string_value(json_object_get(node, "host"));
    size_t len = strlen(list);
    int more = snprintf(list + len, size - len, "%s%s:%lld", len == 0 ? "" : ",",
                        host == NULL ? "" : host,
                        (long long)json_integer_value(json_object_get(node, "port")));

    return host != NULL && more > 0 && (size_t)more < size - len;
}

/* List the nodes of the cluster of scripts/demo in directory DEMO. False: it has none. */
static bool find_demo_nodes(const char *demo, char *list, size_t size)
{
    char name[FILE_MAX];
    size_t i;
    const json_t *node;

    list[0] = '\0';
    (void)snprintf(name, sizeof name, "%s/endpoints.json", demo);
    json_t *all = json_load_file(name, 0, NULL);
    bool is_good = true;
    json_array_foreach(json_object_get(all, "redis"), i, node)
    {
        is_good = is_good && add_node(node, list, size);
    }
    json_decref(all);
    return is_good && list[0] != '\0';
}

/* Where Redis is, and its password. */
struct place {
    const char *nodes;         /* (ref) in demo_nodes, or among the options */
    const char *password_file; /* (ref) likewise; "": none */
    char demo_nodes[LIST_BYTES];
    char demo_password_file[FILE_MAX];
};

/* Find Redis by the options, else in the demo. NULL: found; else why not. */
static const char *find_place(const struct shardctl *ctl, struct place *place)
{
    const struct shardctl_options *options = &ctl->options;
    const char *file = options->redis_password_file;

    place->nodes = options->redis_nodes;
    place->password_file = file == NULL ? "" : file;
    if (options->redis_nodes != NULL) {
        return NULL;
    }
    if (ctl->demo == NULL) {
        return "--redis-nodes is missing: HOST:PORT, .. as redis_nodes of the server";
    }
    if (!find_demo_nodes(ctl->demo, place->demo_nodes, LIST_BYTES)) {
        return "the demo cluster has none; scripts/demo up starts it";
    }
    place->nodes = place->demo_nodes;
    if (file == NULL) {
        (void)snprintf(place->demo_password_file, FILE_MAX, "%s/secrets/redis_password",
                       ctl->demo);
        place->password_file = place->demo_password_file;
    }
    return NULL;
}

struct rcluster *shardctl_redis(const struct shardctl *ctl)
{
    struct place place;
    char password[PASSWORD_BYTES] = "";
    struct errmsg err;
    struct rcluster *redis = NULL;
    const struct shardctl_options *given = &ctl->options;
    const char *problem = find_place(ctl, &place);
    const struct rcluster_options options = {
        .user = given->redis_user == NULL ? "" : given->redis_user,
        .password = password,
        .tls_ca = given->redis_tls_ca == NULL ? "" : given->redis_tls_ca,
        .timeout_ms = TIMEOUT_MS};

    if (problem != NULL) {
        (void)shardctl_fail("redis", problem);
        return NULL;
    }
    if (!secret_read(place.password_file, password, sizeof password, &err)) {
        (void)shardctl_fail("redis", err.text);
        return NULL;
    }
    if (!redis_connect(place.nodes, &options, &redis, &err)) {
        (void)shardctl_fail("redis", err.text);
    } else if (redis == NULL) {
        (void)shardctl_fail("redis", "--redis-nodes names none");
    }
    explicit_bzero(password, sizeof password);
    return redis;
}
