/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
#include "scripts/shardctl_policy.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "server/config/config_file.h"

static const struct {
    const char *name;
    int64_t least, most;
    size_t offset;
} settings[] = {
    {"promote_above", 0, 100, offsetof(struct mover_policy, percent)},
    {"promote_per_hour", 1, 1000, offsetof(struct mover_policy, per_hour)},
    {"promote_slots", 1, 10000, offsetof(struct mover_policy, slots_max)},
};

static bool read_setting(struct mover_policy *policy, const config_setting_t *setting,
                         const char *file, struct errmsg *err)
{
    const char *name = config_setting_name(setting);
    int64_t value;
    size_t i = 0;

    while (i < ARRAY_LEN(settings) && strcmp(settings[i].name, name) != 0) {
        i++;
    }
    if (i == ARRAY_LEN(settings)) {
        return config_fail(err, file, config_file_line(setting),
                           "%.60s is not known: a mover has promote_above, "
                           "promote_per_hour, promote_slots",
                           name);
    }
    if (!config_file_integer(setting, &value) || value < settings[i].least ||
        value > settings[i].most) {
        return config_fail(err, file, config_file_line(setting),
                           "%s must be a whole number from %d to %d", name,
                           (int)settings[i].least, (int)settings[i].most);
    }
    *(unsigned *)(void *)((char *)policy + settings[i].offset) = (unsigned)value;
    return true;
}

bool policy_read(struct mover_policy *policy, const char *file, struct errmsg *err)
{
    struct mover_policy read = *policy;
    config_t parsed;
    bool good = true;

    if (!config_file_read(&parsed, file, err)) {
        return false;
    }
    const config_setting_t *root = config_root_setting(&parsed);
    for (int i = 0; good && i < config_setting_length(root); i++) {
        good = read_setting(&read, config_setting_get_elem(root, (unsigned)i), file, err);
    }
    config_destroy(&parsed);
    if (good) {
        *policy = read;
    }
    return good;
}
