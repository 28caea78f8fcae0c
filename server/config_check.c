/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* What the options say together, and what the files they name contain, checked before a
 * start or a reload relies on it. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "server/client.h"
#include "server/config.h"
#include "server/config_file.h"
#include "server/config_option.h"
#include "server/origin.h"
#include "server/redis.h"
#include "server/token_keys.h"
#include "server/topology.h"
#include "server/words.h"

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

    if (!topology_is_address(config->listen_host)) {
        return config_fail(err, NULL, 0,
                           "listen_host is \"%s\": write a numeric address, 0.0.0.0 or "
                           ":: for all",
                           config->listen_host);
    }
    if (!topology_is_address(config->admin_host)) {
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

/* Open a file that only we and root may read. -1: *ERR says why not. */
static int open_secret(const char *file, struct config_error *err)
{
    int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat st;

    if (fd < 0) {
        config_fail(err, file, 0, "cannot be opened: %s", strerrordesc_np(errno));
        return -1;
    }
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        config_fail(err, file, 0, "is not a regular file");
    } else if ((st.st_mode & 077) != 0) {
        config_fail(err, file, 0, "others may read this secret (mode %04o): chmod 600",
                    (unsigned)st.st_mode & 07777U);
    } else if (st.st_uid != 0 && st.st_uid != geteuid()) {
        config_fail(err, file, 0, "belongs to user %u: it must be ours (%u) or root's",
                    (unsigned)st.st_uid, (unsigned)geteuid());
    } else {
        return fd;
    }
    close(fd);
    return -1;
}

bool config_read_secret(const char *file, char *secret, size_t size,
                        struct config_error *err)
{
    int fd;
    ssize_t n;

    secret[0] = '\0';
    if (file[0] == '\0') {
        return true;
    }
    fd = open_secret(file, err);
    if (fd < 0) {
        return false;
    }
    /* A local file of some bytes comes in one read. */
    n = read(fd, secret, size);
    close(fd);
    if (n < 0) {
        return config_fail(err, file, 0, "cannot be read: %s", strerrordesc_np(errno));
    }
    char *eol = memchr(secret, '\n', (size_t)n);
    size_t len = eol != NULL ? (size_t)(eol - secret) : (size_t)n;
    len -= len > 0 && secret[len - 1] == '\r';
    if (len == 0) {
        return config_fail(err, file, 0,
                           "its first line is empty: write the secret there, or name no "
                           "file if there is none");
    }
    if (len >= size || memchr(secret, '\0', len) != NULL) {
        explicit_bzero(secret, size);
        return config_fail(err, file, 0,
                           "the first line is no secret: at most %zu bytes of text",
                           size - 1);
    }
    explicit_bzero(secret + len, size - len);
    return true;
}

static bool check_password(const char *file, struct config_error *err)
{
    char secret[512];
    bool ok = config_read_secret(file, secret, sizeof secret, err);

    explicit_bzero(secret, sizeof secret);
    return ok;
}

static bool check_token_keys(const struct config *config, struct config_error *err)
{
    struct jwt_keys keys;
    char why[sizeof err->text];
    bool ok = token_keys_load(config->token_keys_file, &keys, why, sizeof why);

    explicit_bzero(&keys, sizeof keys);
    return ok || config_fail(err, NULL, 0, "%s", why);
}

static bool check_topology(const struct config *config, struct config_error *err)
{
    struct topology topology;
    bool ok =
        topology_read(&topology, config->topology_file, config->durability_exempt, err);

    topology_release(&topology);
    return ok;
}

static bool check_words(const struct config *config, struct config_error *err)
{
    char why[WORDS_WHY_BYTES];
    struct words_list *list = words_list_read(config->words_file, why);

    if (list == NULL) {
        return config_fail(err, config->words_file, 0, "words_file: %s", why);
    }
    words_list_unref(&list);
    return true;
}

static bool check_program(const char *option, const char *path, struct config_error *err)
{
    return access(path, X_OK) == 0 || config_fail(err, path, 0, "%s cannot be run: %s",
                                                  option, strerrordesc_np(errno));
}

/* DIR can be written, or is missing and can be made where it should be. */
static bool check_directory(const char *option, const char *dir, struct config_error *err)
{
    char parent[PATH_MAX];
    struct stat st;

    if (stat(dir, &st) == 0) {
        return (S_ISDIR(st.st_mode) && access(dir, R_OK | W_OK | X_OK) == 0) ||
               config_fail(err, dir, 0, "%s is no directory that we may write", option);
    }
    (void)snprintf(parent, sizeof parent, "%s", dir);
    char *slash = strrchr(parent, '/');
    if (slash != NULL) {
        slash[slash == parent] = '\0';
    }
    return (errno == ENOENT && access(slash != NULL ? parent : ".", W_OK | X_OK) == 0) ||
           config_fail(err, dir, 0, "%s does not exist and cannot be made: %s", option,
                       strerrordesc_np(errno));
}

bool config_check_files(const struct config *config, struct config_error *err)
{
    return check_topology(config, err) && check_password(config->db_password_file, err) &&
           check_password(config->redis_password_file, err) &&
           check_token_keys(config, err) && check_words(config, err) &&
           check_directory("media_dir", config->media_dir, err) &&
           check_directory("upload_dir", config->upload_dir, err) &&
           check_program("ffmpeg_path", config->ffmpeg_path, err) &&
           check_program("ffprobe_path", config->ffprobe_path, err) &&
           check_program("bwrap_path", config->bwrap_path, err) &&
           check_program("prlimit_path", config->prlimit_path, err);
}
