/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Checks between options. */
#include <string.h>

#include "shard/base/address.h"

#include "server/base/client.h"
#include "server/base/origin.h"
#include "server/config/config.h"
#include "server/config/config_file.h"
#include "server/config/config_option.h"
#include "server/config/redis.h"
#include "server/config/topology.h"

/* Bytes of a host and its port; no others, since it becomes part of a
 * Content-Security-Policy. */
#define HOST_BYTES "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-_:[]"

static bool check_base_url(const struct config *config, struct errmsg *err)
{
    const char *url = config->base_url;
    size_t scheme = strncmp(url, "http://", 7) == 0    ? 7
                    : strncmp(url, "https://", 8) == 0 ? 8
                                                       : 0;
    size_t len = strlen(url);

    if (len == 0) {
        return true;
    }
    if (scheme == 0 || len == scheme || url[scheme] == '/') {
        return config_fail(err, NULL, 0,
                           "base_url is \"%.100s\": write http://HOST or https://HOST, "
                           "with :PORT and /PATH where needed",
                           url);
    }
    if (url[len - 1] == '/' || strpbrk(url, " \"<>?#\\") != NULL) {
        return config_fail(err, NULL, 0,
                           "base_url is \"%.100s\": leave out the last slash, blanks, "
                           "quotes, ? and #",
                           url);
    }
    size_t host = strspn(url + scheme, HOST_BYTES);
    if (url[scheme + host] != '\0' && url[scheme + host] != '/') {
        return config_fail(
            err, NULL, 0,
            "base_url is \"%.100s\": a host has letters, digits, '.', '-', "
            "'_' and a port only",
            url);
    }
    return true;
}

static bool check_origins(const struct config *config, struct errmsg *err)
{
    const char *word = config->cors_origins;
    const char *fault = origin_list_fault(config->cors_origins, &word);
    size_t len = strcspn(word, ",");

    return fault == NULL || config_fail(err, NULL, 0, "cors_origins has \"%.*s\": %s",
                                        (int)(len < 100 ? len : 100), word, fault);
}

static bool check_listen_host(const struct config *config, struct errmsg *err)
{
    return address_is_numeric(config->listen_host) ||
           config_fail(err, NULL, 0,
                       "listen_host is \"%s\": write a numeric address, 0.0.0.0 or "
                       ":: for all",
                       config->listen_host);
}

static bool check_admin_host(const struct config *config, struct errmsg *err)
{
    return address_is_numeric(config->admin_host) ||
           config_fail(err, NULL, 0,
                       "admin_host is \"%s\": write a numeric address, such as "
                       "127.0.0.1",
                       config->admin_host);
}

static bool check_proxies(const struct config *config, struct errmsg *err)
{
    struct errmsg why;

    return client_list_check(config->trusted_proxies, &why) ||
           config_fail(err, NULL, 0, "trusted_proxies has %s", why.text);
}

static bool check_redis_nodes(const struct config *config, struct errmsg *err)
{
    return redis_nodes_are_valid(config->redis_nodes) ||
           config_fail(err, NULL, 0,
                       "redis_nodes is \"%.200s\": write HOST:PORT, at most 64 of "
                       "them with commas between; IPv6 addresses in brackets",
                       config->redis_nodes);
}

static bool check_ports(const struct config *config, struct errmsg *err)
{
    return config->listen_port == 0 || config->listen_port != config->admin_port ||
           config_fail(err, NULL, 0,
                       "listen_port and admin_port are both %d: the operator's "
                       "listener needs a port of its own",
                       config->listen_port);
}

static bool check_directories(const struct config *config, struct errmsg *err)
{
    return config->media_dir[0] == '\0' ||
           strcmp(config->media_dir, config->upload_dir) != 0 ||
           config_fail(err, NULL, 0,
                       "media_dir and upload_dir are both %.200s: unfinished uploads "
                       "need a directory of their own",
                       config->media_dir);
}

static const struct {
    const char *option; /* whose place in the file is told */
    bool (*check)(const struct config *config, struct errmsg *err);
} checks[] = {
    {"listen_host", check_listen_host}, {"admin_host", check_admin_host},
    {"trusted_proxies", check_proxies}, {"redis_nodes", check_redis_nodes},
    {"admin_port", check_ports},        {"upload_dir", check_directories},
    {"base_url", check_base_url},       {"cors_origins", check_origins},
};

bool config_check_values(const struct config *config, struct config_report *report,
                         struct errmsg *err)
{
    for (size_t i = 0; i < ARRAY_LEN(checks); i++) {
        if (!checks[i].check(config, err) &&
            !config_told_of(report, config, checks[i].option, err)) {
            return false;
        }
    }
    return true;
}
