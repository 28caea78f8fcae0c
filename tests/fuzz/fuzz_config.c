/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The configuration: what is accepted obeys the table of options, is printed as a file
 * with the same meaning, and has no mistakes when all are asked for; a value means the
 * same in the file and in the environment.
 *
 * Input: NAME=VALUE, a line feed, a file. */
#include "shard/rcluster.h"

#include "server/config/config.h"
#include "server/config/config_file.h"
#include "server/config/config_number.h"
#include "server/config/config_option.h"

#include "tests/fuzz/fuzz_file.h"

#define INPUT_MAX 4096

/* Whether a list of nodes is valid is for the configuration to decide; nothing is
 * connected here. */
// NOLINTNEXTLINE(readability-non-const-parameter): as it is declared
struct rcluster *rcluster_new(const struct rcluster_options *options, struct errmsg *err)
{
    (void)options;
    (void)err;
    return NULL;
}

static struct config_args args_of(struct piece text, char *const *env)
{
    return (struct config_args){.mode = CONFIG_RUN, .file = file_of(text), .env = env};
}

static struct config *load(struct piece text, char *const *env)
{
    struct config_args args = args_of(text, env);
    struct errmsg err = {""};
    struct config *config = config_load(&args, &err);

    RIGHT((config != NULL) == (err.text[0] == '\0'));
    return config;
}

static void check_same(const struct config *a, const struct config *b)
{
    for (size_t id = 0; id < OPTION__COUNT; id++) {
        const struct config_option *option = config_option(id);

        if (config_option_is_text(option)) {
            RIGHT(strcmp(config_option_text(a, option), config_option_text(b, option)) ==
                  0);
        } else {
            RIGHT(config_option_integer(a, option) == config_option_integer(b, option));
        }
    }
}

static bool has_control(const char *text)
{
    for (; *text != '\0'; text++) {
        if ((unsigned char)*text < ' ' || *text == 0x7f) {
            return true;
        }
    }
    return false;
}

/* OPTION as the number that the table's range is about; for a text, its length in
 * bytes. */
static int64_t bound(const struct config_option *option, const char *text)
{
    int64_t value;

    RIGHT(config_number_parse(config_option_has_unit(option) ? option->kind : KIND_INT,
                              text, &value));
    return value;
}

static void check_ranges(const struct config *config)
{
    for (size_t id = 0; id < OPTION__COUNT; id++) {
        const struct config_option *option = config_option(id);
        int64_t value;
        size_t len = 0;

        if (config_option_is_text(option)) {
            value = (int64_t)strlen(config_option_text(config, option));
            RIGHT(!has_control(config_option_text(config, option)));
        } else {
            value = config_option_integer(config, option);
        }
        if (option->kind == KIND_ENUM) {
            RIGHT(config_option_word(option, value, &len) != NULL && len > 0);
        } else {
            RIGHT(value >= bound(option, option->min) &&
                  value <= bound(option, option->max));
        }
    }
}

/* What config_print() prints is the same configuration. */
static void check_print(const struct config *config, struct piece text)
{
    const struct config_args args = args_of(text, NULL);
    struct piece printed = {NULL, 0};
    char *out = NULL;
    FILE *stream = open_memstream(&out, &printed.len);
    struct config *again;

    RIGHT(stream != NULL);
    config_print(&args, config, stream);
    RIGHT(fclose(stream) == 0);
    printed.data = out;
    again = load(printed, NULL);
    RIGHT(again != NULL);
    check_same(config, again);
    config_free(&again);
    free(out);
}

/* Asked for all mistakes, the check returns none for a good configuration, and at
 * least one for a bad one. */
static void check_report(struct piece text, bool is_good)
{
    struct config_args args = args_of(text, NULL);
    char *out = NULL;
    size_t len = 0;
    FILE *stream = open_memstream(&out, &len);
    struct config_report report = {.out = stream, .prefix = "", .file = args.file};
    struct config *config;

    RIGHT(stream != NULL);
    config = config_load_all(&args, &report);
    RIGHT((report.n_errors == 0) == is_good && (config != NULL || !is_good));
    config_free(&config);
    RIGHT(fclose(stream) == 0);
    free(out);
}

/* Whether VALUE is written the same way in a file and in the environment. */
static bool is_plain_number(const char *value)
{
    size_t sign = value[0] == '-' ? 1 : 0;
    size_t digits = strspn(value + sign, "0123456789");

    return digits > 0 && digits <= 40 && value[sign + digits] == '\0';
}

/* A line of a file that sets OPTION to VALUE, with every byte of a text escaped; the
 * caller frees it. NULL: a number that a file writes differently. */
static char *as_line(const struct config_option *option, const char *value)
{
    bool is_text = option->kind != KIND_INT;
    char *line = NULL;
    size_t len = 0;
    FILE *out;

    if (!is_text && !is_plain_number(value)) {
        return NULL;
    }
    out = open_memstream(&line, &len);
    RIGHT(out != NULL);
    (void)fprintf(out, "%s = %s", option->name, is_text ? "\"" : value);
    for (; is_text && *value != '\0'; value++) {
        (void)fprintf(out, "\\x%02x", (unsigned char)*value);
    }
    (void)fputs(is_text ? "\";" : ";", out);
    RIGHT(fclose(out) == 0);
    return line;
}

static void check_layers(struct piece variable)
{
    struct piece value = variable;
    struct piece name = piece_until(&value, '=');
    size_t id = config_option_find(name.data, name.len);
    char *text = text_copy(value);
    char *line = id < OPTION__COUNT ? as_line(config_option(id), text) : NULL;

    if (line != NULL) {
        char known[CONFIG_NAME_BYTES];
        char entry[INPUT_MAX + CONFIG_NAME_BYTES + 2];
        char *env[] = {entry, NULL};
        struct config *in_file;
        struct config *in_env;

        config_option_variable(config_option(id), known);
        (void)snprintf(entry, sizeof entry, "%s=%s", known, text);
        in_file = load((struct piece){line, strlen(line)}, NULL);
        in_env = load((struct piece){"", 0}, env);
        RIGHT((in_file != NULL) == (in_env != NULL));
        if (in_file != NULL) {
            check_same(in_file, in_env);
        }
        config_free(&in_file);
        config_free(&in_env);
    }
    free(line);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct piece text = {(const char *)data, len};
    struct piece variable = piece_until(&text, '\n');
    struct config *config;

    if (len > INPUT_MAX) {
        return 0;
    }
    check_layers(variable);
    config = load(text, NULL);
    check_report(text, config != NULL);
    if (config != NULL) {
        check_ranges(config);
        check_print(config, text);
    }
    config_free(&config);
    return 0;
}
