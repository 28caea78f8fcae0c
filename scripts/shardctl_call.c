/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* shardctl call: run one CALL as typed on every shard, and print the answers as one
 * table. The only program that sends SQL text to a shard; it knows no columns. */
#include <mysql.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "shard/base/arena.h"

#include "server/config/topology.h"

#include "scripts/shardctl.h"

static const char help_text[] =
    "call: run one CALL on every shard, one after the other, and print the answers as "
    "one\n"
    "table, the shard first in each line. Each further result set is another table.\n"
    "\n"
    "  --shard=NAME          only on this shard\n"
    "\n"
    "    shardctl call 'slot_where(139264)'\n"
    "    shardctl call 'CALL outbox_status()'\n"
    "    shardctl call 'shard_pause(\"a new disk\")' --shard=shard2\n"
    "\n"
    "config/README.md lists the CALLs. Shards that refuse it, or do not answer within 30 "
    "s,\n"
    "are named on standard error; a shard that did not answer may have done it.\n"
    "\n"
    "Exit status: 0 all answered; 1 some did not; 2 misuse.\n";

/* Limit for everything that is printed. */
#define TABLES_BYTES ((size_t)256 << 20)

#define STATEMENT_MAX 65536

/* One line of a table: a cell per column, the shard first. */
struct line {
    const char **cells;
    struct line *next;
};

/* What shards answered under the same columns as the n-th result set. */
struct table {
    unsigned n; /* of the result set */
    unsigned n_columns;
    struct line *first; /* the names of the columns */
    struct line *last;
    struct table *next;
};

struct run {
    const struct shardctl *ctl;
    char statement[STATEMENT_MAX];
    struct arena arena;
    struct table *tables;
};

/* ---- What they answered ---- */

/* A cell: always one line, never empty; NULL: out of memory. */
static const char *cell(struct run *run, const char *text, size_t len)
{
    char *copy = arena_strndup(&run->arena, len == 0 ? "-" : text, len == 0 ? 1 : len);

    for (size_t i = 0; copy != NULL && i < len; i++) {
        if ((unsigned char)copy[i] < ' ') {
            copy[i] = '?';
        }
    }
    return copy;
}

static struct line *new_line(struct run *run, unsigned n_columns, const char *shard)
{
    struct line *line = arena_alloc(&run->arena, sizeof *line);

    if (line == NULL) {
        return NULL;
    }
    line->cells = arena_calloc(&run->arena, n_columns, sizeof *line->cells);
    if (line->cells == NULL) {
        return NULL;
    }
    line->cells[0] = shard;
    return line;
}

static bool has_columns(const struct table *table, const struct line *names, unsigned n)
{
    bool same = table->n_columns == n;

    for (unsigned i = 0; same && i < n; i++) {
        same = strcmp(table->first->cells[i], names->cells[i]) == 0;
    }
    return same;
}

/* The table for RESULT, the Nth of its CALL; NULL: out of memory. */
static struct table *table_for(struct run *run, MYSQL_RES *result, unsigned n)
{
    const unsigned n_columns = mysql_num_fields(result) + 1;
    const MYSQL_FIELD *fields = mysql_fetch_fields(result);
    struct line *names = new_line(run, n_columns, "shard");
    struct table **end = &run->tables;

    for (unsigned i = 1; names != NULL && i < n_columns; i++) {
        names->cells[i] = cell(run, fields[i - 1].name, strlen(fields[i - 1].name));
        names = names->cells[i] == NULL ? NULL : names;
    }
    if (names == NULL) {
        return NULL;
    }
    for (; *end != NULL; end = &(*end)->next) {
        if ((*end)->n == n && has_columns(*end, names, n_columns)) {
            return *end;
        }
    }
    *end = arena_alloc(&run->arena, sizeof **end);
    if (*end != NULL) {
        **end =
            (struct table){.n = n, .n_columns = n_columns, .first = names, .last = names};
    }
    return *end;
}

/* Add the rows of RESULT; false: out of memory. */
static bool take_rows(struct run *run, const char *shard, MYSQL_RES *result, unsigned n)
{
    struct table *table = table_for(run, result, n);
    MYSQL_ROW row;

    while (table != NULL && (row = mysql_fetch_row(result)) != NULL) {
        const unsigned long *lengths = mysql_fetch_lengths(result);
        struct line *line = new_line(run, table->n_columns, shard);
        for (unsigned i = 1; line != NULL && i < table->n_columns; i++) {
            line->cells[i] =
                row[i - 1] == NULL ? "NULL" : cell(run, row[i - 1], lengths[i - 1]);
            line = line->cells[i] == NULL ? NULL : line;
        }
        if (line == NULL) {
            return false;
        }
        table->last->next = line;
        table->last = line;
    }
    return table != NULL;
}

/* ---- Asking ---- */

/* TLS_CA: NULL for no TLS. */
static bool set_options(MYSQL *mysql, const char *tls_ca)
{
    const unsigned connect_s = SHARDCTL_CONNECT_MS / 1000;
    const unsigned call_s = SHARDCTL_CALL_MS / 1000;
    const unsigned no = 0;
    const my_bool yes = 1;

    return mysql_options(mysql, MYSQL_OPT_CONNECT_TIMEOUT, &connect_s) == 0 &&
           mysql_options(mysql, MYSQL_OPT_READ_TIMEOUT, &call_s) == 0 &&
           mysql_options(mysql, MYSQL_OPT_WRITE_TIMEOUT, &call_s) == 0 &&
           mysql_options(mysql, MYSQL_OPT_LOCAL_INFILE, &no) == 0 &&
           mysql_options(mysql, MYSQL_INIT_COMMAND, "SET time_zone = '+00:00'") == 0 &&
           mysql_options(mysql, MYSQL_SET_CHARSET_NAME, "utf8mb4") == 0 &&
           (tls_ca == NULL ||
            (mysql_options(mysql, MYSQL_OPT_SSL_CA, tls_ca) == 0 &&
             mysql_options(mysql, MYSQL_OPT_SSL_ENFORCE, &yes) == 0 &&
             mysql_options(mysql, MYSQL_OPT_SSL_VERIFY_SERVER_CERT, &yes) == 0));
}

static bool connect_to(const struct run *run, const struct router_server *server,
                       MYSQL *mysql)
{
    const struct shardctl_options *options = &run->ctl->options;
    const bool is_local = server->socket[0] != '\0';
    const bool wants_tls = !is_local && options->tls_ca[0] != '\0';

    return set_options(mysql, wants_tls ? options->tls_ca : NULL) &&
           mysql_real_connect(mysql, is_local ? NULL : server->host, options->user,
                              run->ctl->password, options->db_name, server->port,
                              is_local ? server->socket : NULL,
                              CLIENT_MULTI_RESULTS) != NULL &&
           (!wants_tls || mysql_get_ssl_cipher(mysql) != NULL);
}

/* Run the statement; false: mysql_error() says why, or is empty when out of memory. */
static bool ask(struct run *run, const char *shard, MYSQL *mysql)
{
    unsigned n = 0;
    int more = mysql_real_query(mysql, run->statement, strlen(run->statement));
    bool good = more == 0;

    while (good && more == 0) {
        MYSQL_RES *result = mysql_store_result(mysql);
        good =
            result != NULL ? take_rows(run, shard, result, n++) : mysql_errno(mysql) == 0;
        mysql_free_result(result);
        more = mysql_next_result(mysql); /* -1: there are none */
    }
    return good && more == -1;
}

static bool call_shard(struct run *run, const struct router_server *server)
{
    MYSQL mysql;

    if (mysql_init(&mysql) == NULL) {
        (void)shardctl_fail(server->name, "out of memory");
        return false;
    }
    bool good = connect_to(run, server, &mysql) && ask(run, server->name, &mysql);
    if (!good) {
        const char *why = mysql_error(&mysql);
        (void)shardctl_fail(server->name,
                            why[0] != '\0' ? why : "the answer is too large");
    }
    mysql_close(&mysql);
    return good;
}

/* ---- Printing ---- */

/* Characters, as a terminal counts them. */
static size_t width_of(const char *text)
{
    size_t n = 0;

    for (; *text != '\0'; text++) {
        n += ((unsigned char)*text & 0xc0u) != 0x80u;
    }
    return n;
}

static bool print_line(const struct table *table, const struct line *line,
                       const size_t *widths)
{
    bool good = true;

    for (unsigned i = 0; i < table->n_columns; i++) {
        const size_t gap =
            i + 1 == table->n_columns ? 0 : widths[i] - width_of(line->cells[i]) + 2;
        good = printf("%s%*s", line->cells[i], (int)gap, "") >= 0 && good;
    }
    return putchar('\n') != EOF && good;
}

static bool print_table(struct run *run, const struct table *table)
{
    size_t *widths = arena_calloc(&run->arena, table->n_columns, sizeof *widths);
    bool good = widths != NULL;

    for (const struct line *line = table->first; good && line != NULL;
         line = line->next) {
        for (unsigned i = 0; i < table->n_columns; i++) {
            const size_t width = width_of(line->cells[i]);
            widths[i] = width > widths[i] ? width : widths[i];
        }
    }
    for (const struct line *line = table->first; good && line != NULL;
         line = line->next) {
        good = print_line(table, line, widths);
    }
    return good;
}

static bool print_tables(struct run *run)
{
    bool good = true;

    for (const struct table *table = run->tables; good && table != NULL;
         table = table->next) {
        good = (table == run->tables || putchar('\n') != EOF) && print_table(run, table);
    }
    return fflush(stdout) == 0 && good;
}

/* ---- The run ---- */

/* False: it is too long. */
static bool write_statement(struct run *run, const char *text)
{
    const bool has_call = strncasecmp(text, "CALL ", 5) == 0;
    int n = snprintf(run->statement, sizeof run->statement, "CALL %s",
                     has_call ? text + 5 : text);

    return n > 0 && n < (int)sizeof run->statement;
}

static int call_all(struct run *run)
{
    const struct topology *topology = run->ctl->topology;
    const char *only = run->ctl->options.shard;
    bool found = false;
    bool good = true;

    for (size_t i = 0; i < topology->n_servers; i++) {
        const struct router_server *server = &topology->servers[i];
        if (only == NULL || strcmp(only, server->name) == 0) {
            found = true;
            good = call_shard(run, server) && good;
        }
    }
    if (!found) {
        return shardctl_fail(only, "the topology names no such shard");
    }
    if (!print_tables(run)) {
        return shardctl_fail("standard output", shardctl_error_text());
    }
    return good ? 0 : 1;
}

static int run_call(const struct shardctl *ctl)
{
    static struct run run;

    run.ctl = ctl;
    if (!write_statement(&run, ctl->options.operand)) {
        return shardctl_fail("call", "the statement is too long");
    }
    arena_init(&run.arena, TABLES_BYTES);
    int status = call_all(&run);
    arena_release(&run.arena);
    return status;
}

const struct shardctl_command shardctl_call = {
    .name = "call",
    .operands = "STATEMENT",
    .options = "shard",
    .help = help_text,
    .user = "doushard_admin",
    .n_operands_min = 1,
    .n_operands_max = 1,
    .has_router = false,
    .run = run_call,
};
