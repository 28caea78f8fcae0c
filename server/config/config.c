/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Options: one table, four layers (flag, environment, file, default), and immutable
 * snapshots that SIGHUP replaces. */
#include "server/config/config.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shard/base/log.h"

#include "server/base/version.h"
#include "server/config/config_file.h"
#include "server/config/config_number.h"
#include "server/config/config_option.h"

/* Snapshots are not freed while the process serves; this limits how much memory endless
 * reloads can take. */
#define GENERATIONS_MAX 10000

/* The prefix of the variables of options; one more variable names the file. */
#define VARIABLE_PREFIX      "DOUSHARD_"
#define CONFIG_FILE_VARIABLE VARIABLE_PREFIX "CONFIG"

/* The object that config_load() makes; the rest of the program sees its first member. */
struct snapshot {
    struct config config;
    struct config_origin origins[OPTION__COUNT];
};

/* Where a value comes from, for errors. */
struct place {
    enum config_layer layer;
    const char *file; /* LAYER_FILE */
    int line;
    char name[CONFIG_NAME_BYTES]; /* what the user wrote: listen_port, --listen-port, ...
                                   */
};

/* A snapshot while it is made. */
struct loading {
    struct snapshot *snapshot;
    struct config_report *report; /* (ref) NULL: the first mistake is the end */
    struct errmsg *err;           /* (ref) */
};

struct config_origin config_option_origin(const struct config *config, size_t id)
{
    CHECK(id < OPTION__COUNT);
    return ((const struct snapshot *)(const void *)config)->origins[id];
}

bool config_told_of(struct config_report *report, const struct config *config,
                    const char *name, const struct errmsg *err)
{
    const size_t id = config_option_find(name, strlen(name));
    const struct config_origin origin = config_option_origin(config, id);
    struct errmsg placed = *err;

    if (report != NULL && report->file != NULL && origin.layer == LAYER_FILE) {
        config_fail(&placed, report->file, origin.line, "%s", err->text);
    }
    return config_told(report, &placed);
}

static void *field_mut(struct config *config, const struct config_option *option)
{
    return (char *)config + option->offset;
}

/* ---- One value ---- */

static bool fail_at(struct errmsg *err, const struct place *place, const char *fmt, ...)
    PRINTF_LIKE(3, 4);

static bool fail_at(struct errmsg *err, const struct place *place, const char *fmt, ...)
{
    char what[sizeof err->text / 2];
    va_list args;

    va_start(args, fmt);
    vsnprintf(what, sizeof what, fmt, args);
    va_end(args);
    return config_fail(err, place->layer == LAYER_FILE ? place->file : NULL, place->line,
                       "%s %s", place->name, what);
}

/* Read a number of the option table. */
static int64_t bound(enum config_kind kind, const char *text)
{
    int64_t value;

    CHECK(config_number_parse(kind, text, &value));
    return value;
}

static void store_integer(struct snapshot *snapshot, size_t id, int64_t value)
{
    const struct config_option *option = config_option(id);

    if (option->kind == KIND_SIZE) {
        *(config_SIZE *)field_mut(&snapshot->config, option) = (size_t)value;
    } else {
        *(config_INT *)field_mut(&snapshot->config, option) = (int)value;
    }
}

static bool set_number(struct snapshot *snapshot, size_t id, const char *text,
                       const struct place *place, struct errmsg *err)
{
    const struct config_option *option = config_option(id);
    const char *unit = config_option_has_unit(option) ? NULL : option->unit;
    int64_t value;

    if (!config_number_parse(option->kind, text, &value)) {
        return fail_at(err, place, "is \"%.40s\": write %s", text,
                       config_number_form(option->kind));
    }
    if (value < bound(option->kind, option->min) ||
        value > bound(option->kind, option->max)) {
        return fail_at(err, place, "is %.40s: it must be from %s to %s%s%s", text,
                       option->min, option->max, unit == NULL ? "" : " ",
                       unit == NULL ? "" : unit);
    }
    store_integer(snapshot, id, value);
    return true;
}

static bool has_control_byte(const char *text)
{
    for (; *text != '\0'; text++) {
        if ((unsigned char)*text < 0x20 || *text == 0x7f) {
            return true;
        }
    }
    return false;
}

static bool set_string(struct snapshot *snapshot, size_t id, const char *text,
                       const struct place *place, struct errmsg *err)
{
    const struct config_option *option = config_option(id);
    config_STRING *value = field_mut(&snapshot->config, option);
    int64_t len = (int64_t)strlen(text);
    char *duplicate;

    if (len < bound(KIND_INT, option->min)) {
        return fail_at(err, place, "is empty: give a %s", option->unit);
    }
    if (len > bound(KIND_INT, option->max)) {
        return fail_at(err, place, "has %lld bytes: at most %s are allowed",
                       (long long)len, option->max);
    }
    if (has_control_byte(text)) {
        return fail_at(err, place, "contains a control character");
    }
    duplicate = strdup(text);
    if (duplicate == NULL) {
        return fail_at(err, place, "cannot be stored: out of memory");
    }
    free((void *)(uintptr_t)*value);
    *value = duplicate;
    return true;
}

static bool set_word(struct snapshot *snapshot, size_t id, const char *text,
                     const struct place *place, struct errmsg *err)
{
    const char *word;
    size_t len = 0;

    for (int64_t i = 0; (word = config_option_word(config_option(id), i, &len)) != NULL;
         i++) {
        if (strlen(text) == len && memcmp(text, word, len) == 0) {
            store_integer(snapshot, id, i);
            return true;
        }
    }
    return fail_at(err, place, "is \"%.40s\": it must be one of %s", text,
                   config_option(id)->unit);
}

/* A value of any kind that is written as text: flag, variable or default. */
static bool set_text(struct snapshot *snapshot, size_t id, const char *text,
                     const struct place *place, struct errmsg *err)
{
    if (config_option_is_text(config_option(id))) {
        return set_string(snapshot, id, text, place, err);
    }
    if (config_option(id)->kind == KIND_ENUM) {
        return set_word(snapshot, id, text, place, err);
    }
    return set_number(snapshot, id, text, place, err);
}

/* A value from the file, which has a type of its own. */
static bool set_setting(struct snapshot *snapshot, size_t id,
                        const config_setting_t *setting, const struct place *place,
                        struct errmsg *err)
{
    const struct config_option *option = config_option(id);
    bool is_text = config_option_is_text(option) || option->kind == KIND_ENUM;
    char number[CONFIG_NUMBER_BYTES];
    int64_t value;

    if (option->kind != KIND_INT && config_setting_type(setting) == CONFIG_TYPE_STRING) {
        return set_text(snapshot, id, config_setting_get_string(setting), place, err);
    }
    if (!is_text && config_file_integer(setting, &value)) {
        return set_text(snapshot, id, config_number_text(KIND_INT, value, number), place,
                        err);
    }
    return fail_at(err, place, "is %s: write %s%s", config_file_type(setting),
                   is_text ? "a text" : config_number_form(option->kind),
                   option->kind == KIND_INT ? ", without quotes" : " in quotes");
}

/* ---- The layers ---- */

/* Report the mistake in option ID, which is in err. False: stop. A path that was refused
 * becomes empty, so that the default is not checked instead. */
static bool go_on(struct loading *loading, size_t id)
{
    const struct config_option *option = config_option(id);

    if (!config_told(loading->report, loading->err)) {
        return false;
    }
    if (option->kind == KIND_PATH) {
        char *none = strdup("");
        config_STRING *value = field_mut(&loading->snapshot->config, option);
        if (none == NULL) {
            return config_fail(loading->err, NULL, 0, "out of memory");
        }
        free((void *)(uintptr_t)*value);
        *value = none;
    }
    return true;
}

static bool apply(struct loading *loading, size_t id, const char *text,
                  const struct place *place)
{
    loading->snapshot->origins[id] = (struct config_origin){.layer = place->layer};
    return set_text(loading->snapshot, id, text, place, loading->err) ||
           go_on(loading, id);
}

static bool load_defaults(struct loading *loading)
{
    for (size_t id = 0; id < OPTION__COUNT; id++) {
        struct place place = {.layer = LAYER_DEFAULT};
        snprintf(place.name, sizeof place.name, "%s", config_option(id)->name);
        if (!apply(loading, id, config_option(id)->def, &place)) {
            return false;
        }
    }
    return true;
}

/* Single-character edits between two names. */
static unsigned distance(const char *a, const char *b)
{
    unsigned row[CONFIG_NAME_BYTES + 1];
    size_t n = strlen(b);

    if (n > CONFIG_NAME_BYTES) {
        return CONFIG_NAME_BYTES;
    }
    for (unsigned j = 0; j <= n; j++) {
        row[j] = j;
    }
    for (size_t i = 0; a[i] != '\0'; i++) {
        unsigned diagonal = row[0];
        row[0] = (unsigned)i + 1;
        for (size_t j = 1; j <= n; j++) {
            unsigned cost = diagonal + (a[i] != b[j - 1]);
            diagonal = row[j];
            unsigned edit = 1 + (row[j] < row[j - 1] ? row[j] : row[j - 1]);
            row[j] = cost < edit ? cost : edit;
        }
    }
    return row[n];
}

/* The option that NAME may have meant; NULL when none is near. */
static const struct config_option *nearest(const char *name)
{
    const struct config_option *best = NULL;
    unsigned best_distance = 4;

    for (size_t i = 0; i < OPTION__COUNT; i++) {
        unsigned edits = distance(name, config_option(i)->name);
        if (edits < best_distance) {
            best_distance = edits;
            best = config_option(i);
        }
    }
    return best;
}

static bool load_setting(struct loading *loading, const char *file,
                         const config_setting_t *setting)
{
    const char *name = config_setting_name(setting);
    const size_t id = config_option_find(name, strlen(name));
    struct place place = {
        .layer = LAYER_FILE, .file = file, .line = config_file_line(setting)};

    snprintf(place.name, sizeof place.name, "%.60s", name);
    if (id == OPTION__COUNT) {
        const struct config_option *near = nearest(place.name);
        return fail_at(loading->err, &place, "is not an option%s%s; see --help-config",
                       near == NULL ? "" : ", did you mean ",
                       near == NULL ? "" : near->name) ||
               config_told(loading->report, loading->err);
    }
    loading->snapshot->origins[id] =
        (struct config_origin){.layer = LAYER_FILE, .line = place.line};
    return set_setting(loading->snapshot, id, setting, &place, loading->err) ||
           go_on(loading, id);
}

static bool load_file(struct loading *loading, const char *file)
{
    config_t parsed;
    bool ok = true;

    if (file == NULL) {
        return true;
    }
    if (!config_file_read(&parsed, file, loading->err)) {
        return false;
    }
    const config_setting_t *root = config_root_setting(&parsed);
    for (int i = 0; ok && i < config_setting_length(root); i++) {
        ok = load_setting(loading, file, config_setting_get_elem(root, (unsigned)i));
    }
    config_destroy(&parsed);
    return ok;
}

/* Value of the variable NAME in ENV; NULL when it is not set. */
static const char *find_variable(char *const *env, const char *name)
{
    size_t len = strlen(name);

    for (; env != NULL && *env != NULL; env++) {
        if (strncmp(*env, name, len) == 0 && (*env)[len] == '=') {
            return *env + len + 1;
        }
    }
    return NULL;
}

static bool load_environment(struct loading *loading, char *const *env)
{
    for (size_t id = 0; id < OPTION__COUNT; id++) {
        struct place place = {.layer = LAYER_ENVIRONMENT};
        config_option_variable(config_option(id), place.name);
        const char *value = find_variable(env, place.name);
        if (value != NULL && !apply(loading, id, value, &place)) {
            return false;
        }
    }
    return true;
}

/* Does the server read the variable NAME (LEN bytes)? */
static bool is_variable(const char *name, size_t len)
{
    char known[CONFIG_NAME_BYTES];

    for (size_t id = 0; id < OPTION__COUNT; id++) {
        config_option_variable(config_option(id), known);
        if (strlen(known) == len && memcmp(known, name, len) == 0) {
            return true;
        }
    }
    return len == strlen(CONFIG_FILE_VARIABLE) &&
           memcmp(name, CONFIG_FILE_VARIABLE, len) == 0;
}

static void warn_of_variable(const char *name, size_t len)
{
    char option[CONFIG_NAME_BYTES];
    char meant[CONFIG_NAME_BYTES] = "";
    const struct config_option *near;

    (void)snprintf(option, sizeof option, "%.*s", (int)(len - strlen(VARIABLE_PREFIX)),
                   name + strlen(VARIABLE_PREFIX));
    for (char *c = option; *c != '\0'; c++) {
        *c = config_lower(*c);
    }
    near = nearest(option);
    if (near != NULL) {
        config_option_variable(near, meant);
    }
    log_write(LOG_WARN, "variable_unknown",
              "name=\"%.*s\" detail=\"is not an option%s%s\"",
              (int)(len < CONFIG_NAME_BYTES ? len : CONFIG_NAME_BYTES), name,
              near == NULL ? "; see --help-config" : ", did you mean ", meant);
}

void config_warn_variables(const struct config_args *args)
{
    for (char *const *env = args->env; env != NULL && *env != NULL; env++) {
        size_t len = strcspn(*env, "=");

        if (strncmp(*env, VARIABLE_PREFIX, strlen(VARIABLE_PREFIX)) == 0 &&
            !is_variable(*env, len)) {
            warn_of_variable(*env, len);
        }
    }
}

/* ---- The command line ---- */

/* One word of the command line, or two: "--name=value", "--name value", "--mode". */
struct word {
    enum config_mode mode; /* other than CONFIG_RUN: a mode, no option */
    bool is_file;          /* --config */
    size_t id;             /* else: the option */
    const char *value;
};

static const struct {
    const char *flag;
    enum config_mode mode;
} modes[] = {
    {"--check-config", CONFIG_CHECK},
    {"--print-config", CONFIG_PRINT},
    {"--help", CONFIG_HELP},
    {"-h", CONFIG_HELP},
    {"--help-config", CONFIG_HELP_CONFIG},
    {"--version", CONFIG_VERSION},
    {"-V", CONFIG_VERSION},
    {"--routes", CONFIG_ROUTES},
};

/* The option name that a flag of LEN bytes stands for: "--listen-port" is listen_port. */
static void option_name(const char *flag, size_t len, char *name)
{
    (void)snprintf(name, CONFIG_NAME_BYTES, "%.*s", (int)len - 2, flag + 2);
    for (char *c = name; *c != '\0'; c++) {
        if (*c == '-') {
            *c = '_';
        }
    }
}

/* Read argv[*AT] and move *AT past it. */
static bool next_word(const struct config_args *args, int *at, struct word *word,
                      struct errmsg *err)
{
    const char *flag = args->argv[(*at)++];
    size_t len = strcspn(flag, "=");
    char name[CONFIG_NAME_BYTES];

    *word = (struct word){.mode = CONFIG_RUN};
    for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
        if (strcmp(flag, modes[i].flag) == 0) {
            word->mode = modes[i].mode;
            return true;
        }
    }
    if (strncmp(flag, "--", 2) != 0 || len == 2) {
        return config_fail(err, NULL, 0, "\"%.60s\" is not a flag; see --help", flag);
    }
    option_name(flag, len, name);
    word->is_file = strcmp(name, "config") == 0;
    word->id = config_option_find(name, strlen(name));
    if (word->id == OPTION__COUNT && !word->is_file) {
        const struct config_option *near = nearest(name);
        char meant[CONFIG_NAME_BYTES] = "";
        if (near != NULL) {
            config_option_flag(near, meant);
        }
        return config_fail(err, NULL, 0, "\"%.*s\" is not a flag%s%s; see --help-config",
                           (int)(len < 60 ? len : 60), flag,
                           near == NULL ? "" : ", did you mean ", meant);
    }
    if (flag[len] == '=') {
        word->value = flag + len + 1;
    } else if (*at < args->argc) {
        word->value = args->argv[(*at)++];
    } else {
        return config_fail(err, NULL, 0, "%.60s needs a value: %.60s=VALUE", flag, flag);
    }
    return true;
}

bool config_args(struct config_args *args, int argc, char *const *argv, char *const *env,
                 struct errmsg *err)
{
    *args =
        (struct config_args){.mode = CONFIG_RUN, .argc = argc, .argv = argv, .env = env};
    for (int at = 1; at < argc;) {
        struct word word;
        if (!next_word(args, &at, &word, err)) {
            return false;
        }
        if (word.mode != CONFIG_RUN) {
            args->mode = word.mode;
        } else if (word.is_file) {
            args->file = word.value;
        }
    }
    if (args->file == NULL) {
        args->file = find_variable(env, CONFIG_FILE_VARIABLE);
    }
    if (args->file == NULL) {
        snprintf(args->installed, sizeof args->installed, "%s/doushard.conf",
                 version_sysconfdir());
        args->file = access(args->installed, F_OK) == 0 ? args->installed : NULL;
    }
    return true;
}

static bool load_flags(struct loading *loading, const struct config_args *args)
{
    for (int at = 1; at < args->argc;) {
        struct word word;
        if (!next_word(args, &at, &word, loading->err)) {
            return false;
        }
        if (word.mode != CONFIG_RUN || word.is_file) {
            continue;
        }
        struct place place = {.layer = LAYER_FLAG};
        config_option_flag(config_option(word.id), place.name);
        if (!apply(loading, word.id, word.value, &place)) {
            return false;
        }
    }
    return true;
}

/* ---- Snapshots ---- */

static void free_one(struct config *config)
{
    for (size_t i = 0; i < OPTION__COUNT; i++) {
        if (config_option_is_text(config_option(i))) {
            free((void *)(uintptr_t)config_option_text(config, config_option(i)));
        }
    }
    free(config);
}

void config_free(struct config **config)
{
    while (*config != NULL) {
        struct config *older = (*config)->older;
        free_one(*config);
        *config = older;
    }
}

unsigned config_threads(int wanted)
{
    long n_cores = sysconf(_SC_NPROCESSORS_ONLN);

    return wanted > 0 ? (unsigned)wanted : n_cores > 0 ? (unsigned)n_cores : 1;
}

unsigned config_hashes(const struct config *config)
{
    const unsigned n_cores = config_threads(0);

    return config->scrypt_concurrency > 0 ? (unsigned)config->scrypt_concurrency
                                          : (n_cores + 1) / 2;
}

/* Read all layers, without checks between options. NULL: err says why. */
static struct config *load_layers(const struct config_args *args,
                                  struct config_report *report, struct errmsg *err)
{
    struct loading loading = {
        .snapshot = calloc(1, sizeof *loading.snapshot), .report = report, .err = err};

    if (loading.snapshot == NULL) {
        config_fail(err, NULL, 0, "out of memory");
        return NULL;
    }
    if (load_defaults(&loading) && load_file(&loading, args->file) &&
        load_environment(&loading, args->env) && load_flags(&loading, args)) {
        loading.snapshot->config.generation = 1;
        return &loading.snapshot->config;
    }
    free_one(&loading.snapshot->config);
    return NULL;
}

struct config *config_load(const struct config_args *args, struct errmsg *err)
{
    struct config *config = load_layers(args, NULL, err);

    if (config != NULL && !config_check_values(config, NULL, err)) {
        free_one(config);
        return NULL;
    }
    return config;
}

struct config *config_load_all(const struct config_args *args,
                               struct config_report *report)
{
    struct errmsg err;
    struct config *config = load_layers(args, report, &err);

    if (config == NULL) {
        (void)config_told(report, &err);
    } else {
        (void)!config_check_values(config, report, &err); /* all mistakes are reported */
    }
    return config;
}

static bool is_equal(const struct config *a, const struct config *b,
                     const struct config_option *option)
{
    if (config_option_is_text(option)) {
        return strcmp(config_option_text(a, option), config_option_text(b, option)) == 0;
    }
    return config_option_integer(a, option) == config_option_integer(b, option);
}

/* Take back the changes that need a restart. */
static bool keep_fixed(struct snapshot *next, const struct config *current,
                       struct errmsg *err)
{
    for (size_t id = 0; id < OPTION__COUNT; id++) {
        const struct config_option *option = config_option(id);
        struct place place = {.layer = LAYER_KEPT};

        if (option->change == CONFIG_RELOAD || is_equal(&next->config, current, option)) {
            continue;
        }
        log_write(LOG_WARN, "config_kept",
                  "option=%s detail=\"the new value takes effect at the next start\"",
                  option->name);
        snprintf(place.name, sizeof place.name, "%s", option->name);
        next->origins[id] = (struct config_origin){.layer = LAYER_KEPT};
        if (!config_option_is_text(option)) {
            store_integer(next, id, config_option_integer(current, option));
        } else if (!set_string(next, id, config_option_text(current, option), &place,
                               err)) {
            return false;
        }
    }
    return true;
}

bool config_replace(struct config *next, struct config *current, struct errmsg *err)
{
    if (current->generation >= GENERATIONS_MAX) {
        return config_fail(err, NULL, 0, "reloaded %d times: restart the server first",
                           GENERATIONS_MAX);
    }
    if (!keep_fixed((struct snapshot *)(void *)next, current, err)) {
        return false;
    }
    next->older = current;
    next->generation = current->generation + 1;
    return true;
}
