/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Options: one table (config.def), four layers (flag, environment, file, default), and
 * immutable snapshots that SIGHUP replaces. */
#ifndef DOUSHARD_CONFIG_CONFIG_H
#define DOUSHARD_CONFIG_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "shard/base/check.h"
#include "shard/base/errmsg.h"

/* The C type of each kind of option. Texts belong to the snapshot. */
typedef int config_INT;
typedef size_t config_SIZE;
typedef int config_TIME_MS;
typedef int config_TIME_S;
typedef const char *config_STRING;
typedef const char *config_PATH;
typedef int config_ENUM;

/* Field of each kind: the name of the option, and the unit where it has one. */
#define CONFIG_FIELD_INT(name)     name
#define CONFIG_FIELD_SIZE(name)    name##_bytes
#define CONFIG_FIELD_TIME_MS(name) name##_ms
#define CONFIG_FIELD_TIME_S(name)  name##_s
#define CONFIG_FIELD_STRING(name)  name
#define CONFIG_FIELD_PATH(name)    name
#define CONFIG_FIELD_ENUM(name)    name

/* One snapshot: every option in a field of its own. It never changes after it is
 * returned, and any thread may read it. Snapshots live until config_free() of the newest
 * one, so that a request may finish with the one it began with. */
struct config {
#define SECTION(title)
#define OPTION(kind, name, def, min, max, unit, reload, doc)                             \
    config_##kind CONFIG_FIELD_##kind(name);
#include "server/config/config.def"
#undef OPTION
#undef SECTION
    struct config *older; /* the snapshot this one replaced, owned; NULL for the first */
    unsigned generation;  /* 1 for the first, one more per reload that was accepted */
};

/* Where all mistakes are told, when the first is not to be the end. */
struct config_report {
    FILE *out;          /* (ref) a line for each */
    const char *prefix; /* (ref) of each line */
    const char *file;   /* (ref) the configuration; or NULL */
    unsigned n_errors;
};

/* Tell ERR. True: go on and look for more; false: REPORT is NULL, *ERR is the end. */
bool config_told(struct config_report *report, const struct errmsg *err);

/* What the command line asks for. */
enum config_mode {
    CONFIG_RUN,
    CONFIG_CHECK,       /* --check-config */
    CONFIG_PRINT,       /* --print-config */
    CONFIG_HELP,        /* --help */
    CONFIG_HELP_CONFIG, /* --help-config */
    CONFIG_VERSION,     /* --version */
    CONFIG_ROUTES       /* --routes */
};

/* The command line and the environment, both borrowed for the life of the process. Not to
 * be copied: FILE may point into it. */
struct config_args {
    enum config_mode mode;
    const char *file; /* --config, else DOUSHARD_CONFIG, else INSTALLED if there is such a
                       * file, else NULL */
    char installed[256]; /* where `make install` puts the file */
    int argc;            /* of main() */
    char *const *argv;   /* of main(); option flags are read from here again at reload */
    char *const *env;    /* "NAME=value", ended by NULL */
};

/* Understand the command line. False: an unknown flag, a missing or bad value, *ERR says
 * which; option values are range-checked by config_load(). */
bool config_args(struct config_args *args, int argc, char *const *argv, char *const *env,
                 struct errmsg *err) MUST_CHECK;

/* Log each variable DOUSHARD_... that is not an option and would be overlooked. It is not
 * refused as it is in the file, because others also set variables (a Kubernetes service
 * called doushard, for example, sets some in every process). */
void config_warn_variables(const struct config_args *args);

/* Read all layers into a new snapshot. NULL: *ERR says what is wrong and where. Values
 * are checked one by one and against each other; files they name are not opened, see
 * preflight_check(). */
struct config *config_load(const struct config_args *args, struct errmsg *err) MUST_CHECK;

/* The same, but reports every mistake in REPORT, and leaves that value as it was. NULL:
 * there is nothing for preflight_check() to check: a file was unreadable, or out of
 * memory. After mistakes the snapshot is good only for preflight_check(): wrong paths are
 * empty. */
struct config *config_load_all(const struct config_args *args,
                               struct config_report *report) MUST_CHECK;

/* NEXT, of config_load(), replaces CURRENT, and owns it from then on. Options that cannot
 * change while running keep their value of CURRENT, with a warning in the log. False,
 * with *ERR: not replaced, and both are still the caller's. */
bool config_replace(struct config *next, struct config *current,
                    struct errmsg *err) MUST_CHECK;

/* Free CONFIG and all older snapshots; *CONFIG becomes NULL. NULL is allowed. No thread
 * may still read one of them. */
void config_free(struct config **config);

/* The number of threads that WANTED means: 0 is one per core. */
unsigned config_threads(int wanted);

/* How many passwords are hashed at the same time, as scrypt_concurrency means it. */
unsigned config_hashes(const struct config *config);

/* Every option with its value and where it came from, as a valid file. Secrets are paths
 * of files; what those contain is never shown. */
void config_print(const struct config_args *args, const struct config *config, FILE *out);

void config_print_usage(FILE *out);   /* --help */
void config_print_options(FILE *out); /* --help-config */

#endif
