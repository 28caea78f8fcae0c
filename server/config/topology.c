/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The topology file: the database servers and their settings. */
#include "server/config/topology.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "shard/base/address.h"

#include "server/config/config_file.h"

/* Longest name of a server: what the procedures store. */
#define NAME_MAX_BYTES 31

/* sockaddr_un holds 108 bytes with the NUL. */
#define SOCKET_MAX_BYTES 107

/* What is being read, for errors. */
struct reader {
    const char *file;
    int line;
    struct errmsg *err;
};

static bool is_server_name(const char *name)
{
    size_t len = strlen(name);

    return len >= 1 && len <= NAME_MAX_BYTES &&
           strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == len;
}

static bool has_control(const char *text)
{
    for (; *text != '\0'; text++) {
        if ((unsigned char)*text < 0x20 || *text == 0x7f) {
            return true;
        }
    }
    return false;
}

/* The text in SETTING, copied to *VALUE. */
static bool read_text(const struct reader *reader, const config_setting_t *setting,
                      const char **value)
{
    if (config_setting_type(setting) != CONFIG_TYPE_STRING) {
        return config_fail(reader->err, reader->file, config_file_line(setting),
                           "%s is %s: write a text in quotes",
                           config_setting_name(setting), config_file_type(setting));
    }
    const char *text = config_setting_get_string(setting);
    if (has_control(text)) { /* tabs and line feeds separate fields in lists of servers */
        return config_fail(reader->err, reader->file, config_file_line(setting),
                           "%s must have no control characters",
                           config_setting_name(setting));
    }
    free((void *)(uintptr_t)*value);
    *value = strdup(text);
    return *value != NULL || config_fail(reader->err, reader->file, 0, "out of memory");
}

static bool read_port(const struct reader *reader, const config_setting_t *setting,
                      unsigned *port)
{
    int64_t value;

    if (!config_file_integer(setting, &value) || value < 1 || value > 65535) {
        return config_fail(reader->err, reader->file, config_file_line(setting),
                           "port must be a whole number from 1 to 65535");
    }
    *port = (unsigned)value;
    return true;
}

static bool read_bool(const struct reader *reader, const config_setting_t *setting,
                      bool *value)
{
    if (config_setting_type(setting) != CONFIG_TYPE_BOOL) {
        return config_fail(reader->err, reader->file, config_file_line(setting),
                           "%s is %s: write true or false", config_setting_name(setting),
                           config_file_type(setting));
    }
    *value = config_setting_get_bool(setting) == CONFIG_TRUE;
    return true;
}

static bool read_member(const struct reader *reader, const config_setting_t *setting,
                        struct router_server *server)
{
    const char *name = config_setting_name(setting);

    if (strcmp(name, "name") == 0) {
        return read_text(reader, setting, &server->name);
    }
    if (strcmp(name, "host") == 0) {
        return read_text(reader, setting, &server->host);
    }
    if (strcmp(name, "socket") == 0) {
        return read_text(reader, setting, &server->socket);
    }
    if (strcmp(name, "port") == 0) {
        return read_port(reader, setting, &server->port);
    }
    if (strcmp(name, "durability_exempt") == 0) {
        return read_bool(reader, setting, &server->durability_exempt);
    }
    return config_fail(reader->err, reader->file, config_file_line(setting),
                       "%.60s is not known: a server has name, host, port, socket, "
                       "durability_exempt",
                       name);
}

static bool check_server(const struct reader *reader, const struct router_server *server)
{
    if (!is_server_name(server->name)) {
        return config_fail(reader->err, reader->file, reader->line,
                           "\"%.60s\" is not a server name: write 1 to %d of a-z, 0-9 "
                           "and -",
                           server->name, NAME_MAX_BYTES);
    }
    if (server->socket[0] != '\0') {
        return (server->socket[0] == '/' && strlen(server->socket) <= SOCKET_MAX_BYTES) ||
               config_fail(reader->err, reader->file, reader->line,
                           "socket of %s must be an absolute path of at most %d bytes",
                           server->name, SOCKET_MAX_BYTES);
    }
    if (!address_is_numeric(server->host)) {
        return config_fail(
            reader->err, reader->file, reader->line,
            "host of %s is \"%.60s\": write a numeric address (names would "
            "be looked up while requests wait), or give a socket",
            server->name, server->host);
    }
    return server->port != 0 ||
           config_fail(reader->err, reader->file, reader->line,
                       "%s has neither port nor socket", server->name);
}

static bool read_server(struct reader *reader, const config_setting_t *group,
                        struct router_server *server)
{
    reader->line = config_file_line(group);
    server->name = strdup("");
    server->host = strdup("");
    server->socket = strdup("");
    if (server->name == NULL || server->host == NULL || server->socket == NULL) {
        return config_fail(reader->err, reader->file, 0, "out of memory");
    }
    if (config_setting_type(group) != CONFIG_TYPE_GROUP) {
        return config_fail(reader->err, reader->file, reader->line,
                           "a server is a group: { name = \"shard1\"; host = ...; }");
    }
    for (int i = 0; i < config_setting_length(group); i++) {
        if (!read_member(reader, config_setting_get_elem(group, (unsigned)i), server)) {
            return false;
        }
    }
    return check_server(reader, server);
}

/* No other server has this name or address. */
static bool check_unique(const struct reader *reader, const struct topology *topology,
                         const struct router_server *server)
{
    for (const struct router_server *other = topology->servers; other != server;
         other++) {
        if (strcmp(other->name, server->name) == 0) {
            return config_fail(reader->err, reader->file, reader->line,
                               "the name %s is used twice", server->name);
        }
        bool is_same_place = server->socket[0] != '\0'
                                 ? strcmp(other->socket, server->socket) == 0
                                 : other->socket[0] == '\0' &&
                                       strcmp(other->host, server->host) == 0 &&
                                       other->port == server->port;
        if (is_same_place) {
            return config_fail(reader->err, reader->file, reader->line,
                               "%s and %s are the same address", other->name,
                               server->name);
        }
    }
    return true;
}

static bool read_servers(struct topology *topology, const config_setting_t *list,
                         struct reader *reader)
{
    size_t count = (size_t)config_setting_length(list);

    topology->servers = calloc(count, sizeof *topology->servers);
    if (topology->servers == NULL) {
        return config_fail(reader->err, reader->file, 0, "out of memory");
    }
    for (size_t i = 0; i < count; i++) {
        struct router_server *server = &topology->servers[i];
        /* Counted first, so that a half-read server is released, too. */
        topology->n_servers = i + 1;
        if (!read_server(reader, config_setting_get_elem(list, (unsigned)i), server) ||
            !check_unique(reader, topology, server)) {
            return false;
        }
    }
    return true;
}

/* Find the list of servers; the file may contain nothing else. */
static const config_setting_t *find_list(const config_t *parsed, struct reader *reader)
{
    const config_setting_t *root = config_root_setting(parsed);
    const config_setting_t *list = NULL;

    for (int i = 0; i < config_setting_length(root); i++) {
        const config_setting_t *setting = config_setting_get_elem(root, (unsigned)i);
        reader->line = config_file_line(setting);
        if (strcmp(config_setting_name(setting), "servers") != 0) {
            config_fail(reader->err, reader->file, reader->line,
                        "%.60s is not known: this file contains only servers = ( ... );",
                        config_setting_name(setting));
            return NULL;
        }
        list = setting;
    }
    if (list == NULL || config_setting_type(list) != CONFIG_TYPE_LIST) {
        config_fail(reader->err, reader->file, list == NULL ? 0 : reader->line,
                    "must contain servers = ( { name = ...; host = ...; port = ...; }, "
                    "... );");
        return NULL;
    }
    if (config_setting_length(list) < 1 ||
        config_setting_length(list) > TOPOLOGY_SERVERS_MAX) {
        config_fail(reader->err, reader->file, reader->line,
                    "has %d servers: 1 to %d are possible", config_setting_length(list),
                    TOPOLOGY_SERVERS_MAX);
        return NULL;
    }
    return list;
}

bool topology_read(struct topology *topology, const char *file, struct errmsg *err)
{
    struct reader reader = {.file = file, .err = err};
    config_t parsed;
    const config_setting_t *list;
    bool ok;

    *topology = (struct topology){0};
    if (!config_file_read(&parsed, file, err)) {
        return false;
    }
    list = find_list(&parsed, &reader);
    ok = list != NULL && read_servers(topology, list, &reader);
    config_destroy(&parsed);
    if (!ok) {
        topology_release(topology);
    }
    return ok;
}

void topology_release(struct topology *topology)
{
    for (size_t i = 0; i < topology->n_servers; i++) {
        free((void *)(uintptr_t)topology->servers[i].name);
        free((void *)(uintptr_t)topology->servers[i].host);
        free((void *)(uintptr_t)topology->servers[i].socket);
    }
    free(topology->servers);
    *topology = (struct topology){0};
}
