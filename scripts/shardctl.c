/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The operators' tool for all shards at once: reads the options and runs the command; see
 * the help.
 */
#include "scripts/shardctl.h"

#include <errno.h>
#include <getopt.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shard/base/clock.h"
#include "shard/base/log.h"

#include "shard/dbconn.h"
#include "shard/id.h"
#include "shard/router.h"

#include "server/base/version.h"
#include "server/config/secret.h"
#include "server/config/topology.h"

static const char help_options[] =
    "\n"
    "  --topology=FILE       the shards, as the server reads them (topology_file);\n"
    "                        unless given, topology.conf in the directory of "
    "doushard.conf\n"
    "  --user=NAME           account (doushard_admin; doushard_monitor where that is\n"
    "                        enough)\n"
    "  --password-file=FILE  its password, on the first line\n"
    "  --db-name=NAME        (doushard)\n"
    "  --tls-ca=FILE         certificate authority that must have signed the shards'\n"
    "                        certificates\n"
    "  --help                this help, or that of the command before it\n"
    "  --version             print version and commit\n"
    "\n"
    "Without --topology and --password-file, those of the demo cluster in ./var (or\n"
    "$DOUSHARD_VAR) are used when there is one: after scripts/demo up no option is "
    "needed.\n";

#define DISCOVER_MS 10000
#define TEXT_MAX    256
#define FILE_MAX    4096

/* The options that every command takes; struct shardctl_command has those of each. */
static const char common_options[] =
    "topology user password-file db-name tls-ca help version";

static const struct shardctl_command *const commands[] = {
#define COMMAND(name) &shardctl_##name,
#include "scripts/shardctl.def"
};

/* Where the shards are and the password is. */
struct place {
    const char *demo; /* the directory, when they are a demo's */
    char topology[FILE_MAX];
    char password_file[FILE_MAX];
};

int shardctl_fail(const char *what, const char *why)
{
    (void)fprintf(stderr, "shardctl: %s: %s\n", what, why);
    return 2;
}

const char *shardctl_error_text(void)
{
    return strerror(errno); // NOLINT(concurrency-mt-unsafe): one thread prints
}

uint64_t shardctl_read_id(const char *text)
{
    size_t len = strspn(text, "0123456789");

    if (len == 0 || len > 16 || text[len] != '\0') {
        return 0;
    }
    uint64_t id = strtoull(text, NULL, 10);
    return id_is_valid(id) ? id : 0;
}

uint64_t shardctl_read_number(const char *text, uint64_t max, uint64_t otherwise)
{
    if (text == NULL) {
        return otherwise;
    }
    size_t len = strspn(text, "0123456789");
    if (len == 0 || len > 19 || text[len] != '\0') {
        return 0;
    }
    uint64_t number = strtoull(text, NULL, 10);
    return number <= max ? number : 0;
}

/* ---- The way to the shards ---- */

/* Print why the router does not know the owner of every slot. */
static void explain_shards(struct router *router)
{
    struct router_shard_state state;

    for (size_t i = 0; i < router_n_shards(router); i++) {
        router_shard_state(router, i, &state);
        if (!state.up) {
            (void)shardctl_fail(state.name, state.reason.text);
        }
    }
}

bool shardctl_discover(const struct shardctl *ctl, const char *command)
{
    if (router_discover(ctl->router, clock_mono_ms() + DISCOVER_MS)) {
        return true;
    }
    explain_shards(ctl->router);
    (void)shardctl_fail(command, "not every slot has an owner that answers");
    return false;
}

/* The account that may only read. */
static const char monitor[] = "doushard_monitor";

/* What a shard says of a wrong name or password (ER_ACCESS_DENIED_ERROR). */
static const char denied[] = "1045 ";

/* When a shard refused the account, print which one it was and where its password came
 * from: a wrong password looks like a shard that is down. */
static void explain_account(const struct shardctl *ctl, const char *command,
                            const char *password_file)
{
    struct router_shard_state state;

    for (size_t i = 0; i < router_n_shards(ctl->router); i++) {
        router_shard_state(ctl->router, i, &state);
        if (!state.up && strncmp(state.reason.text, denied, sizeof denied - 1) == 0) {
            (void)fprintf(
                stderr,
                "shardctl: %s logged in as %s with the password in %s, which %s "
                "refused: --password-file=FILE takes that of this account, --user=NAME "
                "another account\n",
                command, ctl->options.user, password_file, state.name);
            return;
        }
    }
}

/* Start a router and run COMMAND with it. */
static int run_with_router(const struct shardctl_command *command, struct shardctl *ctl,
                           const char *password_file)
{
    const struct shardctl_options *options = &ctl->options;
    const struct router_options router_options = {
        .servers = ctl->topology->servers,
        .n_servers = ctl->topology->n_servers,
        .db_name = options->db_name,
        .user = options->user,
        .password = ctl->password,
        .tls_ca = options->tls_ca,
        .pool_size = 2,
        .waiters_max = 4,
        .batch_max = 1,
        .connect_timeout_ms = SHARDCTL_CONNECT_MS,
        .call_timeout_ms = SHARDCTL_CALL_MS,
        .hold_down_ms = 500,
        .is_onlooker = strcmp(command->user, monitor) == 0,
        .idle_ms = 60000};

    ctl->router = router_new(&router_options);
    if (ctl->router == NULL) {
        return shardctl_fail("router", "out of memory");
    }
    int status = command->run(ctl);
    explain_account(ctl, command->name, password_file);
    router_free(&ctl->router);
    return status;
}

/* The demo cluster of this directory, if there is one. */
static bool find_demo(const struct shardctl_options *options, struct place *place)
{
    const char *var = getenv("DOUSHARD_VAR"); // NOLINT(concurrency-mt-unsafe)
    const char *account =
        strncmp(options->user, "doushard_", 9) == 0 ? options->user + 9 : options->user;

    var = var == NULL || var[0] == '\0' ? "var" : var;
    (void)snprintf(place->topology, FILE_MAX, "%s/topology.conf", var);
    (void)snprintf(place->password_file, FILE_MAX, "%s/secrets/%s_password", var,
                   account);
    place->demo = var;
    return access(place->topology, R_OK) == 0;
}

/* False: said on standard error. */
static bool find_place(const struct shardctl_command *command,
                       const struct shardctl_options *options, struct place *place)
{
    if (options->topology == NULL && options->password_file == NULL &&
        find_demo(options, place)) {
        return true;
    }
    place->demo = NULL;
    if (options->password_file == NULL && !command->is_local) {
        (void)shardctl_fail(command->name, "--password-file is missing, and there is no "
                                           "demo cluster in ./var");
        return false;
    }
    (void)snprintf(place->password_file, FILE_MAX, "%s",
                   options->password_file == NULL ? "" : options->password_file);
    if (options->topology != NULL) {
        (void)snprintf(place->topology, FILE_MAX, "%s", options->topology);
    } else {
        (void)snprintf(place->topology, FILE_MAX, "%s/topology.conf",
                       version_sysconfdir());
    }
    return true;
}

static int run(const struct shardctl_command *command,
               const struct shardctl_options *options)
{
    struct place place;
    char password[TEXT_MAX] = "";
    struct topology topology;
    struct errmsg err;

    if (!find_place(command, options, &place)) {
        return 2;
    }
    if (!command->is_local &&
        !secret_read(place.password_file, password, sizeof password, &err)) {
        return shardctl_fail("password", err.text);
    }
    if (!topology_read(&topology, place.topology, &err)) {
        return shardctl_fail("topology", err.text);
    }
    for (size_t i = 0; i < topology.n_servers && !command->must_be_durable; i++) {
        topology.servers[i].durability_exempt = true; /* nothing is written */
    }
    struct shardctl ctl = {.options = *options,
                           .topology = &topology,
                           .topology_file = place.topology,
                           .password = password,
                           .demo = place.demo};
    int status = command->has_router ? run_with_router(command, &ctl, place.password_file)
                                     : command->run(&ctl);
    topology_release(&topology);
    explicit_bzero(password, sizeof password);
    return status;
}

/* ---- Options ---- */

/* What getopt_long() answers for the first of the options; the others follow. */
#define OPTION_FIRST 256

static const struct option_row {
    const char *name;
    bool is_flag;
    size_t offset; /* in struct shardctl_options */
} option_rows[] = {
#define TEXT_OPTION(member, name)                                                        \
    {name, false, offsetof(struct shardctl_options, member)},
#define FLAG_OPTION(member, name) {name, true, offsetof(struct shardctl_options, member)},
#include "scripts/shardctl.def"
};

#define N_OPTIONS ARRAY_LEN(option_rows)

/* The command line as typed. */
struct command_line {
    struct shardctl_options options;
    bool given[N_OPTIONS];
};

static void set_option(struct command_line *line, size_t which, const char *text)
{
    const struct option_row *row = &option_rows[which];
    void *member = (char *)&line->options + row->offset;

    line->given[which] = true;
    if (row->is_flag) {
        *(bool *)member = true;
    } else {
        *(const char **)member = text;
    }
}

/* False: there is an option that shardctl does not know, or one without its value. */
static bool read_options(int argc, char **argv, struct command_line *line)
{
    struct option long_options[N_OPTIONS + 1] = {{NULL}};
    int which;

    for (size_t i = 0; i < N_OPTIONS; i++) {
        long_options[i] = (struct option){
            option_rows[i].name, option_rows[i].is_flag ? no_argument : required_argument,
            NULL, OPTION_FIRST + (int)i};
    }
    // NOLINTNEXTLINE(concurrency-mt-unsafe): before the first thread
    while ((which = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
        if (which < OPTION_FIRST) {
            return false;
        }
        set_option(line, (size_t)(which - OPTION_FIRST), optarg);
    }
    return true;
}

/* The command named WORD; NULL: there is none. */
static const struct shardctl_command *command_named(const char *word)
{
    for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
        if (word != NULL && strcmp(commands[i]->name, word) == 0) {
            return commands[i];
        }
    }
    return NULL;
}

static bool print_usage(const struct shardctl_command *command, const char *head,
                        FILE *file)
{
    return fprintf(file, "%-6s shardctl %s%s%s [OPTION..]\n", head, command->name,
                   command->operands[0] == '\0' ? "" : " ", command->operands) > 0;
}

/* Print the first sentence of the help of COMMAND, with new line breaks. */
static bool print_sentence(const struct shardctl_command *command, FILE *file)
{
    const char *at = command->help + strlen(command->name) + 2;
    const char *const end = at + strcspn(at, ".:;");
    bool good = fprintf(file, "  %-10s", command->name) > 0;
    size_t column = 12;

    while (at < end) {
        size_t len = strcspn(at, " \n.:;");
        if (column + len > 86) {
            good = fprintf(file, "\n%12s", "") > 0 && good;
            column = 12;
        }
        good = fprintf(file, "%s%.*s", column == 12 ? "" : " ", (int)len, at) > 0 && good;
        column += len + 1;
        at += len + 1;
    }
    return putc('\n', file) != EOF && good;
}

/* Print the commands. */
static bool print_commands(FILE *file)
{
    bool good = fputs("usage: shardctl COMMAND [OPERAND..] [OPTION..]\n"
                      "       shardctl COMMAND --help\n\n",
                      file) >= 0;

    for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
        good = print_sentence(commands[i], file) && good;
    }
    return fputs(help_options, file) >= 0 && good;
}

/* Print the help for COMMAND, or, when it is NULL, the list of commands. */
static int print_help(const struct shardctl_command *command, FILE *file)
{
    bool good;

    if (command == NULL) {
        good = print_commands(file);
    } else {
        good = print_usage(command, "usage:", file);
        good = fputs(help_options, file) >= 0 && good;
        good = fprintf(file, "\n%s", command->help) > 0 && good;
    }
    return good && file != stderr ? 0 : 2;
}

/* Is WORD one of WORDS, which are separated by blanks? */
static bool has_word(const char *words, const char *word)
{
    const size_t len = strlen(word);

    for (const char *at = words; *at != '\0'; at += strspn(at, " ")) {
        const size_t n = strcspn(at, " ");
        if (n == len && memcmp(at, word, len) == 0) {
            return true;
        }
        at += n;
    }
    return false;
}

/* Does COMMAND take every option given, and are its operands there? */
static bool line_fits(const struct shardctl_command *command,
                      const struct command_line *line)
{
    const size_t n = line->options.n_operands;

    for (size_t i = 0; i < N_OPTIONS; i++) {
        if (line->given[i] && !has_word(common_options, option_rows[i].name) &&
            !has_word(command->options, option_rows[i].name)) {
            (void)fprintf(stderr, "shardctl: %s takes no --%s\n", command->name,
                          option_rows[i].name);
            return false;
        }
    }
    return n >= command->n_operands_min && n <= command->n_operands_max;
}

int main(int argc, char **argv)
{
    struct command_line line = {.options = {.db_name = "doushard", .tls_ca = ""}};
    struct shardctl_options *options = &line.options;

    if (!read_options(argc, argv, &line)) {
        return 2; /* getopt has said why */
    }
    const struct shardctl_command *command = command_named(argv[optind]);
    if (options->is_help) {
        return print_help(command, stdout);
    }
    if (options->is_version) {
        return printf("shardctl %s (%s)\n", version_text(), version_commit()) > 0 ? 0 : 2;
    }
    if (command == NULL) {
        return shardctl_fail(argv[optind] == NULL ? "what to do" : argv[optind],
                             "no such command; `shardctl --help` lists them");
    }
    options->operands = (const char *const *)&argv[optind + 1];
    options->n_operands = (size_t)(argc - optind - 1);
    options->operand = options->operands[0];
    if (!line_fits(command, &line)) {
        return print_help(command, stderr);
    }
    if (options->user == NULL) {
        options->user = command->user;
    }
    log_set_level(LOG_WARN);
    if (!dbconn_library_init()) {
        return shardctl_fail("client library", "cannot be used");
    }
    return run(command, options);
}
