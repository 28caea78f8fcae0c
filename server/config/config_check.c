/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* What the options say together. */
#include <string.h>

#include "shard/base/address.h"

#include "server/base/client.h"
#include "server/base/origin.h"
#include "server/config/config.h"
#include "server/config/config_file.h"
#include "server/config/config_option.h"
#include "server/config/redis.h"
#include "server/config/topology.h"

/* Most memory that one password hash may take. */
#define SCRYPT_MAX_BYTES ((uint64_t)1 << 30)

/* Bytes of a host and its port; no others, since it becomes a part of policies. */
#define HOST_BYTES "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-_:[]"

static bool check_base_url(const char *url, struct config_error *err)
{
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

static bool check_origins(const char *list, struct config_error *err)
{
    const char *word = list;
    const char *fault = origin_list_fault(list, &word);
    size_t len = strcspn(word, ",");

    return fault == NULL || config_fail(err, NULL, 0, "cors_origins has \"%.*s\": %s",
                                        (int)(len < 100 ? len : 100), word, fault);
}

bool config_check_values(const struct config *config, struct config_error *err)
{
    uint64_t scrypt_bytes = (uint64_t)128 * (uint64_t)config->scrypt_r
                            << (unsigned)config->scrypt_ln;

    if (!address_is_numeric(config->listen_host)) {
        return config_fail(err, NULL, 0,
                           "listen_host is \"%s\": write a numeric address, 0.0.0.0 or "
                           ":: for all",
                           config->listen_host);
    }
    if (!address_is_numeric(config->admin_host)) {
        return config_fail(err, NULL, 0,
                           "admin_host is \"%s\": write a numeric address, such as "
                           "127.0.0.1",
                           config->admin_host);
    }
    if (!client_list_is_valid(config->trusted_proxies)) {
        return config_fail(err, NULL, 0,
                           "trusted_proxies is \"%.200s\": write numeric addresses with "
                           "commas between them",
                           config->trusted_proxies);
    }
    if (!redis_nodes_are_valid(config->redis_nodes)) {
        return config_fail(err, NULL, 0,
                           "redis_nodes is \"%.200s\": write HOST:PORT, at most 64 of "
                           "them with commas between; IPv6 addresses in brackets",
                           config->redis_nodes);
    }
    if (config->listen_port != 0 && config->listen_port == config->admin_port) {
        return config_fail(err, NULL, 0,
                           "listen_port and admin_port are both %d: the operator's "
                           "listener needs a port of its own",
                           config->listen_port);
    }
    if (scrypt_bytes > SCRYPT_MAX_BYTES) {
        return config_fail(err, NULL, 0,
                           "scrypt_ln = %d with scrypt_r = %d takes %llu MiB for each "
                           "password: at most 1024 are allowed",
                           config->scrypt_ln, config->scrypt_r,
                           (unsigned long long)(scrypt_bytes >> 20));
    }
    if (strcmp(config->media_dir, config->upload_dir) == 0) {
        return config_fail(err, NULL, 0,
                           "media_dir and upload_dir are both %.200s: unfinished uploads "
                           "need a directory of their own",
                           config->media_dir);
    }
    return check_base_url(config->base_url, err) &&
           check_origins(config->cors_origins, err);
}
