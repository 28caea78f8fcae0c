/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The yardsticks without HTTP. */
#include "tests/bench/probe.h"

#include <fcntl.h>
#include <inttypes.h>
#include <mysql.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shard/base/clock.h"

#include "shard/id.h"
#include "shard/ops.h"
#include "shard/router.h"
#include "shard/user.h"

#define FILE_BYTES   (8 << 20)
#define RECORD_BYTES 512 /* a block of the redo log */
#define OWNERS_MAX   200000
#define OPS_BYTES    128
#define DEADLINE_MS  10000

struct probe {
    const struct probe_options *options;
    bool (*once)(struct probe *probe);
    unsigned long n; /* runs so far */
    MYSQL *db[PROBE_SHARDS_MAX];
    MYSQL_STMT *statement[PROBE_SHARDS_MAX];
    struct router *router;
    uint64_t *owner;      /* owned */
    unsigned char *shard; /* owned: index of each owner's shard */
    size_t n_owners;
    int fd;
};

static void explain(char *why, size_t size, const char *what, const char *detail)
{
    snprintf(why, size, "%s: %s", what, detail);
}

/* ---- Connections ---- */

static bool connect_to(struct probe *probe, size_t i, char *why, size_t size)
{
    const struct probe_options *options = probe->options;

    probe->db[i] = mysql_init(NULL);
    CHECK(probe->db[i] != NULL);
    mysql_options(probe->db[i], MYSQL_READ_DEFAULT_FILE, options->defaults_file);
    if (mysql_real_connect(probe->db[i], "localhost", NULL, NULL, NULL, 0,
                           options->shard[i].socket, CLIENT_MULTI_RESULTS) == NULL) {
        explain(why, size, options->shard[i].name, mysql_error(probe->db[i]));
        return false;
    }
    return true;
}

static bool prepare(struct probe *probe, size_t i, const char *text, char *why,
                    size_t size)
{
    if (!connect_to(probe, i, why, size)) {
        return false;
    }
    probe->statement[i] = mysql_stmt_init(probe->db[i]);
    CHECK(probe->statement[i] != NULL);
    if (mysql_stmt_prepare(probe->statement[i], text, strlen(text)) != 0) {
        explain(why, size, text, mysql_stmt_error(probe->statement[i]));
        return false;
    }
    return true;
}

/* Execute with TEXT as the only parameter, and fetch all result sets. *ROWS is the number
 * of rows in the first one. */
static bool execute(MYSQL_STMT *statement, char *text, unsigned long len, size_t *rows)
{
    MYSQL_BIND bind = {.buffer_type = MYSQL_TYPE_STRING, .buffer_length = len};
    int status;
    bool first = true;

    bind.buffer = text;
    bind.length = &len;
    if (mysql_stmt_bind_param(statement, &bind) || mysql_stmt_execute(statement) != 0) {
        return false;
    }
    do {
        if (mysql_stmt_field_count(statement) > 0) {
            if (mysql_stmt_store_result(statement) != 0) {
                return false;
            }
            *rows = first ? (size_t)mysql_stmt_num_rows(statement) : *rows;
            first = false;
            mysql_stmt_free_result(statement);
        }
        status = mysql_stmt_next_result(statement);
    } while (status == 0);
    return status == -1;
}

/* ---- Reads ---- */

static bool read_owners(struct probe *probe, char *why, size_t size)
{
    char line[64];
    FILE *file = fopen(probe->options->owners, "re");

    probe->owner = calloc(OWNERS_MAX, sizeof *probe->owner);
    probe->shard = calloc(OWNERS_MAX, sizeof *probe->shard);
    CHECK(probe->owner != NULL && probe->shard != NULL);
    while (file != NULL && probe->n_owners < OWNERS_MAX &&
           fgets(line, sizeof line, file) != NULL) {
        probe->owner[probe->n_owners++] = strtoull(line, NULL, 10);
    }
    if (file != NULL) {
        (void)fclose(file);
    }
    if (probe->n_owners == 0) {
        explain(why, size, probe->options->owners, "no ids");
    }
    return probe->n_owners > 0;
}

static struct router *start_router(const struct probe_options *options,
                                   const char *password)
{
    struct router_server servers[PROBE_SHARDS_MAX];
    const struct router_options wanted = {.servers = servers,
                                          .n_servers = options->n_shards,
                                          .db_name = "doushard",
                                          .user = "doushard_app",
                                          .password = password,
                                          .tls_ca = "",
                                          .pool_size = 2,
                                          .waiters_max = 16,
                                          .batch_max = OPS_MAX,
                                          .connect_timeout_ms = 1000,
                                          .call_timeout_ms = 1500,
                                          .hold_down_ms = 100,
                                          .idle_ms = 60000};

    for (size_t i = 0; i < options->n_shards; i++) {
        servers[i] = (struct router_server){.name = options->shard[i].name,
                                            .host = "127.0.0.1",
                                            .socket = options->shard[i].socket};
    }
    struct router *router = router_new(&wanted);
    if (router != NULL && !router_discover(router, clock_mono_ms() + DEADLINE_MS)) {
        router_free(&router);
    }
    return router;
}

/* Both reads have a router. The bare one only asks it beforehand for the owners' shards.
 */
static bool find_owners(struct probe *probe, char *why, size_t size)
{
    char password[128] = "";
    FILE *file = fopen(probe->options->password_file, "re");

    if (file != NULL) {
        if (fgets(password, sizeof password, file) == NULL) {
            password[0] = '\0';
        }
        (void)fclose(file);
    }
    password[strcspn(password, "\r\n")] = '\0';
    probe->router = start_router(probe->options, password);
    if (probe->router == NULL) {
        explain(why, size, "router", "not every slot has a shard");
        return false;
    }
    if (!read_owners(probe, why, size)) {
        return false;
    }
    for (size_t i = 0; i < probe->n_owners; i++) {
        probe->shard[i] =
            (unsigned char)router_owner_shard(probe->router, probe->owner[i]);
        if (probe->shard[i] >= probe->options->n_shards) {
            explain(why, size, probe->options->owners, "an id that no user has");
            return false;
        }
    }
    return true;
}

static bool once_call(struct probe *probe)
{
    char ops[OPS_BYTES];
    size_t rows = 0;
    size_t i = probe->n++ % probe->n_owners;
    int len =
        snprintf(ops, sizeof ops, "[{\"slot\":%u,\"epoch\":1,\"owner\":%" PRIu64 "}]",
                 id_slot(probe->owner[i]), probe->owner[i]);

    return execute(probe->statement[probe->shard[i]], ops, (unsigned long)len, &rows) &&
           rows == 1;
}

static bool begin_call(struct probe *probe, char *why, size_t size)
{
    if (!find_owners(probe, why, size)) {
        return false;
    }
    router_free(&probe->router);
    for (size_t i = 0; i < probe->options->n_shards; i++) {
        if (!prepare(probe, i, "CALL doushard.user_get(?)", why, size)) {
            return false;
        }
    }
    return true;
}

static bool once_router(struct probe *probe)
{
    struct own_call own;
    struct user_card card = {.id = 0};
    uint64_t id = probe->owner[probe->n++ % probe->n_owners];

    own_call_begin(&own, 1U << 20, DEADLINE_MS);
    enum outcome outcome = user_get(probe->router, &own.call, &id, 1, &card);
    own_call_end(&own);
    return outcome == OUTCOME_OK && card.id == id;
}

/* ---- Writes ---- */

static bool once_write(struct probe *probe)
{
    char text[] = "a record as long as those of one half of a like, about";
    size_t rows = 0;

    probe->n++;
    return execute(probe->statement[0], text, sizeof text - 1, &rows) &&
           execute(probe->statement[1 % probe->options->n_shards], text, sizeof text - 1,
                   &rows);
}

static bool begin_write(struct probe *probe, char *why, size_t size)
{
    for (size_t i = 0; i < probe->options->n_shards && i < 2; i++) {
        if (!prepare(probe, i, "INSERT INTO bench.bench_write (text) VALUES (?)", why,
                     size)) {
            return false;
        }
    }
    return true;
}

static bool once_disk(struct probe *probe)
{
    char record[RECORD_BYTES];
    off_t at = (off_t)(probe->n++ % (FILE_BYTES / RECORD_BYTES)) * RECORD_BYTES;

    memset(record, (int)(probe->n & 0xff), sizeof record);
    return pwrite(probe->fd, record, sizeof record, at) == sizeof record &&
           fdatasync(probe->fd) == 0;
}

/* A file with all of its blocks allocated, like a redo log; without a name, so that it
 * disappears with the process. */
static bool begin_disk(struct probe *probe, char *why, size_t size)
{
    char zeros[RECORD_BYTES * 8] = {0};
    bool good;

    probe->fd = open(probe->options->dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    good = probe->fd >= 0;
    for (off_t at = 0; at < FILE_BYTES && good; at += (off_t)sizeof zeros) {
        good = pwrite(probe->fd, zeros, sizeof zeros, at) == sizeof zeros;
    }
    good = good && fsync(probe->fd) == 0;
    if (!good) {
        explain(why, size, probe->options->dir, "cannot be written");
    }
    return good;
}

/* ---- All of them ---- */

static bool begin_router(struct probe *probe, char *why, size_t size)
{
    return find_owners(probe, why, size);
}

static const struct {
    const char *name;
    bool (*begin)(struct probe *probe, char *why, size_t size);
    bool (*once)(struct probe *probe);
} kinds[] = {
    {"call", begin_call, once_call},
    {"router", begin_router, once_router},
    {"write", begin_write, once_write},
    {"disk", begin_disk, once_disk},
};

struct probe *probe_begin(const char *name, const struct probe_options *options,
                          char *why, size_t size)
{
    struct probe *probe = calloc(1, sizeof *probe);

    CHECK(probe != NULL);
    *probe = (struct probe){.options = options, .fd = -1};
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        if (strcmp(kinds[i].name, name) == 0) {
            probe->once = kinds[i].once;
            if (!kinds[i].begin(probe, why, size)) {
                probe_end(&probe);
            }
            return probe;
        }
    }
    explain(why, size, name, "no such probe");
    probe_end(&probe);
    return NULL;
}

bool probe_once(struct probe *probe)
{
    return probe->once(probe);
}

void probe_end(struct probe **probe)
{
    struct probe *p = *probe;

    *probe = NULL;
    if (p == NULL) {
        return;
    }
    for (size_t i = 0; i < PROBE_SHARDS_MAX; i++) {
        if (p->statement[i] != NULL) {
            mysql_stmt_close(p->statement[i]);
        }
        mysql_close(p->db[i]);
    }
    router_free(&p->router);
    if (p->fd >= 0) {
        close(p->fd);
    }
    free(p->owner);
    free(p->shard);
    free(p);
}
