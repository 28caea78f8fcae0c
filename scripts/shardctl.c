/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The operators' tool for all shards at once: options, and which command; see the help.
 */
#include "scripts/shardctl.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shard/base/clock.h"
#include "shard/base/log.h"

#include "shard/dbconn.h"
#include "shard/id.h"
#include "shard/router.h"

#include "server/topology.h"
#include "server/version.h"

static const char help_head[] =
    "usage: shardctl audit [OPTION..]\n"
    "       shardctl export ID [OPTION..]\n"
    "       shardctl call STATEMENT [OPTION..]\n"
    "       shardctl cache ID [OPTION..]\n"
    "\n"
    "  --topology=FILE       the shards, as the server reads them (topology_file);\n"
    "                        unless given, topology.conf in the directory of "
    "doushard.conf\n"
    "  --user=NAME           account (of audit doushard_monitor, of the others\n"
    "                        doushard_admin)\n"
    "  --password-file=FILE  its password, on the first line\n"
    "  --db-name=NAME        (doushard)\n"
    "  --tls-ca=FILE         the shards must prove themselves against this\n"
    "  --help                this, or after a command what concerns that one\n"
    "\n"
    "With neither --topology nor --password-file, both are those of the demo cluster in\n"
    "./var (or $DOUSHARD_VAR) when there is one: scripts/demo up, and no option is "
    "needed.\n";

#define DISCOVER_MS 10000
#define TEXT_MAX    256
#define FILE_MAX    4096

static const struct command {
    const char *name;
    const char *help;
    const char *user; /* unless another is given */
    bool has_operand;
    bool has_router;
    int (*run)(const struct shardctl *ctl);
} commands[] = {
    {"audit", shardctl_audit_help, "doushard_monitor", false, true, shardctl_audit},
    {"export", shardctl_export_help, "doushard_admin", true, true, shardctl_export},
    {"call", shardctl_call_help, "doushard_admin", true, false, shardctl_call},
    {"cache", shardctl_cache_help, "doushard_admin", true, true, shardctl_cache},
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

/* --- The way to the shards --- */

bool shardctl_read_secret(const char *name, char *secret, size_t size)
{
    FILE *file = fopen(name, "r");
    bool good = file != NULL && fgets(secret, (int)size, file) != NULL;

    if (file != NULL) {
        (void)fclose(file);
    }
    if (good) {
        secret[strcspn(secret, "\r\n")] = '\0';
    }
    return good && secret[0] != '\0';
}

/* Why the router does not know the owner of every slot. */
static void explain_shards(struct router *router)
{
    struct router_shard_state state;

    for (size_t i = 0; i < router_n_shards(router); i++) {
        router_shard_state(router, i, &state);
        if (!state.up) {
            (void)shardctl_fail(state.name, state.reason);
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

/* Start a router, and run COMMAND with it. */
static int run_with_router(const struct command *command, struct shardctl *ctl)
{
    const struct shardctl_options *options = &ctl->options;
    const struct router_options router_options = {.servers = ctl->topology->servers,
                                                  .n_servers = ctl->topology->n_servers,
                                                  .db_name = options->db_name,
                                                  .user = options->user,
                                                  .password = ctl->password,
                                                  .tls_ca = options->tls_ca,
                                                  .pool_size = 2,
                                                  .waiters_max = 4,
                                                  .batch_max = 1,
                                                  .connect_timeout_ms =
                                                      SHARDCTL_CONNECT_MS,
                                                  .call_timeout_ms = SHARDCTL_CALL_MS,
                                                  .hold_down_ms = 500,
                                                  .idle_ms = 60000};

    ctl->router = router_new(&router_options);
    if (ctl->router == NULL) {
        return shardctl_fail("router", "out of memory");
    }
    int status = command->run(ctl);
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
static bool find_place(const struct command *command,
                       const struct shardctl_options *options, struct place *place)
{
    if (options->topology == NULL && options->password_file == NULL &&
        find_demo(options, place)) {
        return true;
    }
    place->demo = NULL;
    if (options->password_file == NULL) {
        (void)shardctl_fail(command->name, "--password-file is missing, and there is no "
                                           "demo cluster in ./var");
        return false;
    }
    (void)snprintf(place->password_file, FILE_MAX, "%s", options->password_file);
    if (options->topology != NULL) {
        (void)snprintf(place->topology, FILE_MAX, "%s", options->topology);
    } else {
        (void)snprintf(place->topology, FILE_MAX, "%s/topology.conf",
                       version_sysconfdir());
    }
    return true;
}

static int run(const struct command *command, const struct shardctl_options *options)
{
    struct place place;
    char password[TEXT_MAX];
    struct topology topology;
    struct config_error err;

    if (!find_place(command, options, &place)) {
        return 2;
    }
    if (!shardctl_read_secret(place.password_file, password, sizeof password)) {
        return shardctl_fail(place.password_file, "cannot be read, or is empty");
    }
    if (!topology_read(&topology, place.topology, "", &err)) {
        return shardctl_fail("topology", err.text);
    }
    for (size_t i = 0; i < topology.n_servers; i++) {
        topology.servers[i].durability_exempt = true; /* nothing is written */
    }
    struct shardctl ctl = {.options = *options,
                           .topology = &topology,
                           .password = password,
                           .demo = place.demo};
    int status =
        command->has_router ? run_with_router(command, &ctl) : command->run(&ctl);
    topology_release(&topology);
    explicit_bzero(password, sizeof password);
    return status;
}

/* --- Options --- */

static const struct option long_options[] = {
    {"topology", required_argument, NULL, 't'},
    {"user", required_argument, NULL, 'u'},
    {"password-file", required_argument, NULL, 'p'},
    {"db-name", required_argument, NULL, 'd'},
    {"tls-ca", required_argument, NULL, 'a'},
    {"shard", required_argument, NULL, 's'},
    {"checkpoint", required_argument, NULL, 'c'},
    {"json", no_argument, NULL, 'j'},
    {"output", required_argument, NULL, 'o'},
    {"redis-nodes", required_argument, NULL, 'n'},
    {"redis-user", required_argument, NULL, 'U'},
    {"redis-password-file", required_argument, NULL, 'P'},
    {"redis-tls-ca", required_argument, NULL, 'A'},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0}};

/* Where the text of an option goes; NULL: it has none, or there is no such option. */
static const char **text_option(struct shardctl_options *options, int which)
{
    switch (which) {
    case 't':
        return &options->topology;
    case 'u':
        return &options->user;
    case 'p':
        return &options->password_file;
    case 'd':
        return &options->db_name;
    case 'a':
        return &options->tls_ca;
    case 's':
        return &options->shard;
    case 'c':
        return &options->checkpoint;
    case 'o':
        return &options->output;
    case 'n':
        return &options->redis_nodes;
    case 'U':
        return &options->redis_user;
    case 'P':
        return &options->redis_password_file;
    case 'A':
        return &options->redis_tls_ca;
    default:
        return NULL;
    }
}

/* False: misuse. */
static bool read_options(int argc, char **argv, struct shardctl_options *options,
                         bool *help)
{
    int which;

    // NOLINTNEXTLINE(concurrency-mt-unsafe): before the first thread
    while ((which = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
        const char **text = text_option(options, which);
        if (text != NULL) {
            *text = optarg;
        } else if (which == 'j') {
            options->is_json = true;
        } else if (which == 'h') {
            *help = true;
        } else {
            return false;
        }
    }
    return true;
}

/* The command that WORD names; NULL: none. */
static const struct command *command_named(const char *word)
{
    for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
        if (word != NULL && strcmp(commands[i].name, word) == 0) {
            return &commands[i];
        }
    }
    return NULL;
}

/* The help for COMMAND, or for all of them. */
static int print_help(const struct command *command, FILE *file)
{
    bool good = fputs(help_head, file) >= 0;

    for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
        if (command == NULL || command == &commands[i]) {
            good = fprintf(file, "\n%s", commands[i].help) > 0 && good;
        }
    }
    return good && file != stderr ? 0 : 2;
}

/* Does every option concern this command, and is its operand there? */
static bool options_fit(const struct command *command, int n_operands,
                        const struct shardctl_options *options)
{
    const bool is_audit = command->run == shardctl_audit;
    const bool is_cache = command->run == shardctl_cache;
    const bool names_redis =
        options->redis_nodes != NULL || options->redis_user != NULL ||
        options->redis_password_file != NULL || options->redis_tls_ca != NULL;

    return n_operands == (command->has_operand ? 1 : 0) &&
           (options->shard == NULL || is_audit || command->run == shardctl_call) &&
           (options->checkpoint == NULL || is_audit) &&
           (!options->is_json || is_audit || is_cache) &&
           (options->output == NULL || command->run == shardctl_export) &&
           (!names_redis || is_cache);
}

int main(int argc, char **argv)
{
    struct shardctl_options options = {.db_name = "doushard", .tls_ca = ""};
    bool help = false;

    if (!read_options(argc, argv, &options, &help)) {
        return print_help(NULL, stderr);
    }
    const struct command *command = command_named(argv[optind]);
    if (help) {
        return print_help(command, stdout);
    }
    if (command == NULL || !options_fit(command, argc - optind - 1, &options)) {
        return print_help(command, stderr);
    }
    options.operand = argv[optind + 1];
    if (options.user == NULL) {
        options.user = command->user;
    }
    log_set_level(LOG_WARN);
    if (!dbconn_library_init()) {
        return shardctl_fail("client library", "cannot be used");
    }
    return run(command, &options);
}
