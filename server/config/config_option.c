/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The rows of config.def as data: finding one, reading its value, naming it. */
#include "server/config/config_option.h"

#include <stdio.h>
#include <string.h>

static const struct config_option options[] = {
#define SECTION(title)
#define OPTION(kind_, name_, def_, min_, max_, unit_, change_, doc_)                     \
    {.name = #name_,                                                                     \
     .def = (def_),                                                                      \
     .min = (min_),                                                                      \
     .max = (max_),                                                                      \
     .unit = (unit_),                                                                    \
     .doc = (doc_),                                                                      \
     .kind = KIND_##kind_,                                                               \
     .change = (change_),                                                                \
     .offset = offsetof(struct config, CONFIG_FIELD_##kind_(name_))},
#include "server/config/config.def"
#undef OPTION
#undef SECTION
};

const struct config_option *config_option(size_t id)
{
    CHECK(id < OPTION__COUNT);
    return &options[id];
}

size_t config_option_find(const char *name, size_t len)
{
    for (size_t i = 0; i < ARRAY_LEN(options); i++) {
        if (strlen(options[i].name) == len && memcmp(options[i].name, name, len) == 0) {
            return i;
        }
    }
    return OPTION__COUNT;
}

bool config_option_is_text(const struct config_option *option)
{
    return option->kind == KIND_STRING || option->kind == KIND_PATH;
}

bool config_option_has_unit(const struct config_option *option)
{
    return option->kind == KIND_SIZE || option->kind == KIND_TIME_MS ||
           option->kind == KIND_TIME_S;
}

static const void *field(const struct config *config, const struct config_option *option)
{
    return (const char *)config + option->offset;
}

int64_t config_option_integer(const struct config *config,
                              const struct config_option *option)
{
    if (option->kind == KIND_SIZE) {
        return (int64_t) * (const config_SIZE *)field(config, option);
    }
    return *(const config_INT *)field(config, option);
}

const char *config_option_text(const struct config *config,
                               const struct config_option *option)
{
    return *(const config_STRING *)field(config, option);
}

const char *config_option_word(const struct config_option *option, int64_t index,
                               size_t *len)
{
    const char *word = option->unit;

    for (; index > 0 && word != NULL; index--) {
        word = strchr(word, '|');
        word = word == NULL ? NULL : word + 1;
    }
    if (word != NULL) {
        *len = strcspn(word, "|");
    }
    return word;
}

char config_upper(char c)
{
    if (c >= 'a' && c <= 'z') {
        c = (char)(c - 'a' + 'A');
    }
    return c;
}

char config_lower(char c)
{
    if (c >= 'A' && c <= 'Z') {
        c = (char)(c - 'A' + 'a');
    }
    return c;
}

void config_option_flag(const struct config_option *option, char *name)
{
    (void)snprintf(name, CONFIG_NAME_BYTES, "--%s", option->name);
    for (char *c = name; *c != '\0'; c++) {
        if (*c == '_') {
            *c = '-';
        }
    }
}

void config_option_variable(const struct config_option *option, char *name)
{
    (void)snprintf(name, CONFIG_NAME_BYTES, "DOUSHARD_%s", option->name);
    for (char *c = name; *c != '\0'; c++) {
        *c = config_upper(*c);
    }
}
