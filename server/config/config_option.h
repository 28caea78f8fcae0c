/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The rows of config.def as data; for the files config*.c only. */
#ifndef DOUSHARD_CONFIG_CONFIG_OPTION_H
#define DOUSHARD_CONFIG_CONFIG_OPTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/config/config.h"

/* Room for the longest name of an option, flag or variable. */
#define CONFIG_NAME_BYTES 64

enum config_kind {
    KIND_INT,
    KIND_SIZE,
    KIND_TIME_MS,
    KIND_TIME_S,
    KIND_STRING,
    KIND_PATH,
    KIND_ENUM
};

/* CONFIG_FIXED: a change needs a restart. */
enum config_change { CONFIG_FIXED, CONFIG_RELOAD };

enum config_option_id {
#define SECTION(title)
#define OPTION(kind, name, def, min, max, unit, reload, doc) OPTION_##name,
#include "server/config/config.def"
#undef OPTION
#undef SECTION
    OPTION__COUNT
};

struct config_option {
    const char *name;
    const char *def; /* this and the next two are written as in the file */
    const char *min; /* of a number; of a text its length in bytes */
    const char *max;
    const char *unit; /* for KIND_ENUM the words, separated by '|' */
    const char *doc;
    enum config_kind kind;
    enum config_change change;
    size_t offset; /* of the field in struct config */
};

/* Where the value of an option came from. */
enum config_layer {
    LAYER_DEFAULT,
    LAYER_FILE,
    LAYER_ENVIRONMENT,
    LAYER_FLAG,
    LAYER_KEPT
};

struct config_origin {
    enum config_layer layer;
    int line; /* in the file; LAYER_FILE only */
};

/* Row ID of the table, indexed by enum config_option_id. */
const struct config_option *config_option(size_t id);

/* The row called NAME; OPTION__COUNT when there is none. */
size_t config_option_find(const char *name, size_t len);

/* True for options whose value is a text. */
bool config_option_is_text(const struct config_option *option);

/* True for options that are written with a unit: "256M", "30s". */
bool config_option_has_unit(const struct config_option *option);

/* Value of a number, in the unit of its field, or of the word's index; of a text. */
int64_t config_option_integer(const struct config *config,
                              const struct config_option *option);
const char *config_option_text(const struct config *config,
                               const struct config_option *option);

/* Word number INDEX of an ENUM: its length in *LEN; NULL when there is none. */
const char *config_option_word(const struct config_option *option, int64_t index,
                               size_t *len);

/* Where CONFIG, which config_load() made, has the option from. */
struct config_origin config_option_origin(const struct config *config, size_t id);

/* "--listen-port" and "DOUSHARD_LISTEN_PORT" for listen_port, into CONFIG_NAME_BYTES. */
void config_option_flag(const struct config_option *option, char *name);
void config_option_variable(const struct config_option *option, char *name);

/* An ASCII letter as a capital, or as a small one, whatever the locale. */
char config_upper(char c);
char config_lower(char c);

/* config_told() of what the option NAME is set to, with its place in the file. */
bool config_told_of(struct config_report *report, const struct config *config,
                    const char *name, const struct errmsg *err);

/* Values that are right alone but not together. False: *ERR says which. With a REPORT all
 * of them are told there, and the answer is true. */
bool config_check_values(const struct config *config, struct config_report *report,
                         struct errmsg *err) MUST_CHECK;

#endif
