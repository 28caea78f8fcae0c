/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* What the program says about its options: --help, --help-config, --print-config. */
#include <string.h>

#include "server/config/config.h"
#include "server/config/config_number.h"
#include "server/config/config_option.h"

/* Width of an explanation, without the "# " before it. */
#define WRAP_COLUMNS 76

/* One line of the reference: a heading or an option. */
struct entry {
    const char *section; /* NULL for an option */
    size_t id;
};

static const struct entry entries[] = {
#define SECTION(title)                                        {.section = (title)},
#define OPTION(kind, name_, def, min, max, unit, change, doc) {.id = OPTION_##name_},
#include "server/config/config.def"
#undef OPTION
#undef SECTION
};

/* TEXT in quotes, as libconfig wants it. */
static void print_quoted(FILE *out, const char *text)
{
    fputc('"', out);
    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\\') {
            fputc('\\', out);
        }
        fputc(*text, out);
    }
    fputc('"', out);
}

/* TEXT as a sentence in comment lines of at most WRAP_COLUMNS. */
static void print_sentence(FILE *out, const char *text)
{
    size_t left = strlen(text);

    for (bool is_first = true; left > 0; is_first = false) {
        size_t len = left;
        if (len > WRAP_COLUMNS - 1) {
            len = WRAP_COLUMNS - 1;
            while (len > 1 && text[len] != ' ') {
                len--;
            }
        }
        char first = is_first ? config_upper(*text) : *text;
        fprintf(out, "# %c%.*s%s\n", first, (int)len - 1, text + 1,
                len == left ? "." : "");
        text += len;
        left -= len;
        while (*text == ' ') {
            text++;
            left--;
        }
    }
}

/* "0 to 65535 port; needs a restart" */
static void print_rule(FILE *out, const struct config_option *option)
{
    const char *when = option->change == CONFIG_RELOAD ? "SIGHUP is enough to change it"
                                                       : "a change needs a restart";

    if (option->kind == KIND_ENUM) {
        fprintf(out, "# One of %s; %s.\n", option->unit, when);
    } else if (config_option_is_text(option)) {
        fprintf(out, "# A %s; %s.\n", option->unit, when);
    } else if (config_option_has_unit(option)) {
        fprintf(out, "# A %s, %s to %s; %s.\n", option->unit, option->min, option->max,
                when);
    } else {
        fprintf(out, "# %s to %s %s; %s.\n", option->min, option->max, option->unit,
                when);
    }
}

static void print_default(FILE *out, const struct config_option *option)
{
    fprintf(out, "#%s = ", option->name);
    if (option->kind == KIND_INT) {
        fputs(option->def, out);
    } else {
        print_quoted(out, option->def);
    }
    fputs(";\n", out);
}

void config_print_options(FILE *out)
{
    fputs(
        "# SPDX-License-Identifier: MIT\n"
        "# SPDX-FileCopyrightText: Doushard contributors\n#\n"
        "# Options of doushard, each at its default; `doushard --help-config` prints this"
        "\n# text. Flags (--listen-port=8080) win over environment variables\n"
        "# (DOUSHARD_LISTEN_PORT), these over this file, and this file over the "
        "defaults.\n"
        "# A size is a number of bytes, or has a unit of 1024 bytes and its powers: "
        "\"64K\",\n"
        "# \"256M\", \"1G\", \"1T\". A time always has a unit: \"200ms\", \"30s\", "
        "\"5min\", \"2h\", \"7d\".\n"
        "# Check a change with `doushard --check-config`, bring it into force with "
        "SIGHUP.\n",
        out);
    for (size_t i = 0; i < ARRAY_LEN(entries); i++) {
        if (entries[i].section != NULL) {
            fprintf(out, "\n# ---- %s ----\n", entries[i].section);
            continue;
        }
        const struct config_option *option = config_option(entries[i].id);
        fputc('\n', out);
        print_sentence(out, option->doc);
        print_rule(out, option);
        print_default(out, option);
    }
}

void config_print_usage(FILE *out)
{
    fputs(
        "Usage: doushard [--config FILE] [--OPTION=VALUE ...]\n"
        "       doushard --check-config | --print-config | --help-config\n"
        "       doushard --routes | --version | --help\n"
        "\n"
        "Serves short videos over HTTP from sharded MySQL/MariaDB servers.\n"
        "\n"
        "  --config FILE     read options from FILE; without it from the file named by\n"
        "                    DOUSHARD_CONFIG, else from the installed doushard.conf\n"
        "  --OPTION=VALUE    set one option; it wins over DOUSHARD_OPTION in the\n"
        "                    environment, which wins over the file\n"
        "  --check-config    check the options and every file they name, then exit:\n"
        "                    0 when the server would start with them, 1 when not\n"
        "  --print-config    print every option, its value and where it comes from\n"
        "  --help-config     print every option, what it does, its range and default\n"
        "  --routes          print every path that the server answers\n"
        "  --version         print version and commit\n"
        "\n"
        "A first start needs three files and two directories:\n"
        "  topology_file     names and addresses of the shards, see "
        "config/topology.conf\n"
        "  token_keys_file   printf 'k1 %s\\n' \"$(openssl rand -hex 32)\" >token.keys\n"
        "  db_password_file  the password of db_user; both with chmod 600\n"
        "  media_dir, upload_dir   writable, on one file system\n"
        "\n"
        "Signals: TERM or INT finishes running requests and exits, a second one exits "
        "at\n"
        "once; HUP reads options and token keys again, and keeps the old ones when\n"
        "anything is wrong with the new.\n"
        "\n"
        "Exit status: 0 stopped as asked, 1 could not start, 2 wrong command line.\n",
        out);
}

/* "default", "environment DOUSHARD_X", "doushard.conf:12", "flag --x" */
static void print_origin(FILE *out, const struct config_args *args,
                         const struct config *config, size_t id)
{
    struct config_origin origin = config_option_origin(config, id);
    char name[CONFIG_NAME_BYTES];

    switch (origin.layer) {
    case LAYER_DEFAULT:
        fputs("default", out);
        break;
    case LAYER_FILE:
        fprintf(out, "%s:%d", args->file, origin.line);
        break;
    case LAYER_ENVIRONMENT:
        config_option_variable(config_option(id), name);
        fprintf(out, "environment %s", name);
        break;
    case LAYER_FLAG:
        config_option_flag(config_option(id), name);
        fprintf(out, "flag %s", name);
        break;
    case LAYER_KEPT:
        fputs("kept until the next start", out);
        break;
    }
}

/* The value as it is written in a file. */
static void print_value(FILE *out, const struct config *config,
                        const struct config_option *option)
{
    char number[CONFIG_NUMBER_BYTES];

    if (config_option_is_text(option)) {
        print_quoted(out, config_option_text(config, option));
        return;
    }
    const int64_t value = config_option_integer(config, option);
    if (option->kind == KIND_ENUM) {
        size_t len = 0;
        const char *word = config_option_word(option, value, &len);
        fprintf(out, "\"%.*s\"", (int)len, word);
    } else if (config_option_has_unit(option)) {
        print_quoted(out, config_number_text(option->kind, value, number));
    } else {
        fputs(config_number_text(option->kind, value, number), out);
    }
}

void config_print(const struct config_args *args, const struct config *config, FILE *out)
{
    for (size_t id = 0; id < OPTION__COUNT; id++) {
        const struct config_option *option = config_option(id);
        fprintf(out, "%s = ", option->name);
        print_value(out, config, option);
        fputs(";  # ", out);
        print_origin(out, args, config, id);
        fputc('\n', out);
    }
}
