/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Checks the contents of the files that the options name, and whether directories and
 * programs can be used. */
#include "server/preflight.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "server/api/words.h"
#include "server/auth/token_keys.h"
#include "server/config/config.h"
#include "server/config/config_file.h"
#include "server/config/config_option.h"
#include "server/config/secret.h"
#include "server/config/topology.h"
#include "server/media/jail.h"

static bool check_secret(const char *file, struct errmsg *err)
{
    char secret[512];
    bool ok = secret_read(file, secret, sizeof secret, err);

    explicit_bzero(secret, sizeof secret);
    return ok;
}

static bool check_db_password(const struct config *config, struct errmsg *err)
{
    return check_secret(config->db_password_file, err);
}

static bool check_redis_password(const struct config *config, struct errmsg *err)
{
    return check_secret(config->redis_password_file, err);
}

static bool check_token_keys(const struct config *config, struct errmsg *err)
{
    struct jwt_keys keys;
    bool ok = token_keys_load(config->token_keys_file, &keys, err);

    explicit_bzero(&keys, sizeof keys);
    return ok;
}

static bool check_topology(const struct config *config, struct errmsg *err)
{
    struct topology topology;
    bool ok = topology_read(&topology, config->topology_file, err);

    topology_release(&topology);
    return ok;
}

static bool check_words(const struct config *config, struct errmsg *err)
{
    struct errmsg why;
    struct words_list *list = words_list_read(config->words_file, &why);

    if (list == NULL) {
        return config_fail(err, config->words_file, 0, "words_file: %.200s", why.text);
    }
    words_list_unref(&list);
    return true;
}

static bool check_program(const char *option, const char *path, struct errmsg *err)
{
    return access(path, X_OK) == 0 || config_fail(err, path, 0, "%s cannot be run: %s",
                                                  option, strerrordesc_np(errno));
}

static bool check_ffmpeg(const struct config *config, struct errmsg *err)
{
    return check_program("ffmpeg_path", config->ffmpeg_path, err);
}

static bool check_ffprobe(const struct config *config, struct errmsg *err)
{
    return check_program("ffprobe_path", config->ffprobe_path, err);
}

static bool check_bwrap(const struct config *config, struct errmsg *err)
{
    return check_program("bwrap_path", config->bwrap_path, err) &&
           check_program("prlimit (util-linux)", JAIL_PRLIMIT, err);
}

/* DIR can be written, or is missing and can be made where it should be. */
static bool check_directory(const char *option, const char *dir, struct errmsg *err)
{
    char parent[PATH_MAX];
    struct stat st;

    if (stat(dir, &st) == 0) {
        return (S_ISDIR(st.st_mode) && access(dir, R_OK | W_OK | X_OK) == 0) ||
               config_fail(err, dir, 0, "%s is not a directory that we may write",
                           option);
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

static bool check_media_dir(const struct config *config, struct errmsg *err)
{
    return check_directory("media_dir", config->media_dir, err);
}

static bool check_upload_dir(const struct config *config, struct errmsg *err)
{
    return check_directory("upload_dir", config->upload_dir, err);
}

/* What is checked, and the option that names it. */
static const struct {
    const char *option;
    bool (*check)(const struct config *config, struct errmsg *err);
    bool is_at_start; /* and not in a reload */
} checks[] = {
    {"topology_file", check_topology, false},
    {"db_password_file", check_db_password, false},
    {"redis_password_file", check_redis_password, false},
    {"token_keys_file", check_token_keys, false},
    {"words_file", check_words, false},
    {"media_dir", check_media_dir, true},
    {"upload_dir", check_upload_dir, true},
    {"ffmpeg_path", check_ffmpeg, false},
    {"ffprobe_path", check_ffprobe, false},
    {"bwrap_path", check_bwrap, false},
};

/* Is the option empty because a mistake in it was reported? */
static bool is_told(const struct config *config, const char *name,
                    const struct config_report *report)
{
    const size_t id = config_option_find(name, strlen(name));

    return report != NULL && config_option_text(config, config_option(id))[0] == '\0';
}

bool preflight_check(const struct config *config, struct config_report *report,
                     struct errmsg *err)
{
    for (size_t i = 0; i < ARRAY_LEN(checks); i++) {
        if (!is_told(config, checks[i].option, report) && !checks[i].check(config, err) &&
            !config_told_of(report, config, checks[i].option, err)) {
            return false;
        }
    }
    return true;
}

bool preflight_check_reload(const struct config *config, struct errmsg *err)
{
    for (size_t i = 0; i < ARRAY_LEN(checks); i++) {
        if (!checks[i].is_at_start && !checks[i].check(config, err)) {
            return false;
        }
    }
    return true;
}
