/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The topology file: what a good one gives, and the message for each bad one. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "server/config/topology.h"

#include "tests/unit/cmocka_all.h"

static char path[64];

static int setup(void **state)
{
    (void)state;
    snprintf(path, sizeof path, "/tmp/test_topology.XXXXXX");
    int fd = mkstemp(path);
    return fd < 0 ? -1 : close(fd);
}

static int teardown(void **state)
{
    (void)state;
    return unlink(path);
}

static void write_text(const char *text)
{
    int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    assert_int_equal(close(fd), 0);
}

static void test_good(void **state)
{
    struct topology topology;
    struct errmsg err = {""};

    (void)state;
    write_text("servers = (\n"
               "  { name = \"shard1\"; host = \"127.0.0.1\"; port = 4001;\n"
               "    durability_exempt = true; },\n"
               "  { name = \"shard-2\"; host = \"::1\"; port = 65535;\n"
               "    durability_exempt = false; },\n"
               "  { name = \"3\"; socket = \"/run/3.sock\"; host = \"ignored\"; }\n"
               ");\n");
    assert_true(topology_read(&topology, path, &err));
    assert_string_equal(err.text, "");
    assert_int_equal(topology.n_servers, 3);
    assert_string_equal(topology.servers[0].name, "shard1");
    assert_string_equal(topology.servers[0].host, "127.0.0.1");
    assert_string_equal(topology.servers[0].socket, "");
    assert_int_equal(topology.servers[0].port, 4001);
    assert_true(topology.servers[0].durability_exempt);
    assert_string_equal(topology.servers[1].host, "::1");
    assert_false(topology.servers[1].durability_exempt);
    assert_string_equal(topology.servers[2].socket, "/run/3.sock");
    assert_false(topology.servers[2].durability_exempt);
    topology_release(&topology);
    assert_null(topology.servers);
}

static void test_sample(void **state)
{
    struct topology topology;
    struct errmsg err = {""};

    (void)state;
    assert_true(topology_read(&topology, "config/topology.conf", &err));
    assert_int_equal(topology.n_servers, 4);
    topology_release(&topology);
}

static void test_bad(void **state)
{
    static const struct {
        const char *text;
        const char *expected; /* after the file's name */
    } cases[] = {
        {"",
         ": must contain servers = ( { name = ...; host = ...; port = ...; }, ... );"},
        {"servers = 5;", ":1: must contain servers = ( { name = ...; host = ...; port = "
                         "...; }, ... );"},
        {"servers = ( );", ":1: has 0 servers: 1 to 255 are possible"},
        {"\nshards = ( );",
         ":2: shards is not known: this file contains only servers = ( ... );"},
        {"servers = ( \"shard1\" );",
         ":1: a server is a group: { name = \"shard1\"; host = ...; }"},
        {"servers = (\n{ name = \"a\"; host = \"127.0.0.1\"; port = 1;\nprot = 2; } );",
         ":3: prot is not known: a server has name, host, port, socket, "
         "durability_exempt"},
        {"servers = (\n{ name = \"a\"; socket = \"/a\";\ndurability_exempt = 1; } );",
         ":3: durability_exempt is a number: write true or false"},
        {"servers = (\n{ name = \"a\"; socket = \"/a\";\ndurability_exempt = \"yes\"; } "
         ");",
         ":3: durability_exempt is a text in quotes: write true or false"},
        {"servers = (\n{ name = \"a\";\nhost = 127; port = 1; } );",
         ":3: host is a number: write a text in quotes"},
        {"servers = ( { name = \"a\"; host = \"127.0.0.1\";\nport = 0; } );",
         ":2: port must be a whole number from 1 to 65535"},
        {"servers = ( { name = \"a\"; host = \"127.0.0.1\";\nport = 4294967297; } );",
         ":2: 4294967297 is larger than a number can be; a size is written with its "
         "unit: \"4G\""},
        {"servers = ( { name = \"a\"; host = \"127.0.0.1\";\nport = \"1\"; } );",
         ":2: port must be a whole number from 1 to 65535"},
        {"servers = ( { host = \"127.0.0.1\"; port = 1; } );",
         ":1: \"\" is not a server name: write 1 to 31 of a-z, 0-9 and -"},
        {"servers = ( { name = \"Shard\"; host = \"127.0.0.1\"; port = 1; } );",
         ":1: \"Shard\" is not a server name: write 1 to 31 of a-z, 0-9 and -"},
        {"servers = ( { name = \"12345678901234567890123456789012\"; port = 1; } );",
         ":1: \"12345678901234567890123456789012\" is not a server name: write 1 to 31 "
         "of a-z, 0-9 and -"},
        {"servers = ( { name = \"a\"; host = \"db.example.org\"; port = 1; } );",
         ":1: host of a is \"db.example.org\": write a numeric address (names would be "
         "looked up while requests wait), or give a socket"},
        {"servers = ( { name = \"a\"; host = \"127.0.0.1\"; } );",
         ":1: a has neither port nor socket"},
        {"servers = ( { name = \"a\"; socket = \"run/a.sock\"; } );",
         ":1: socket of a must be an absolute path of at most 107 bytes"},
        {"servers = ( { name = \"a\";\nsocket = \"/run/a\\tb\"; } );",
         ":2: socket must have no control characters"},
        {"servers = ( { name = \"a\"; socket = \"/a\";\nhost = \"a\\x0ab\"; } );",
         ":2: host must have no control characters"},
        {"servers = (\n{ name = \"a\"; host = \"127.0.0.1\"; port = 1; },\n"
         "{ name = \"a\"; host = \"127.0.0.1\"; port = 2; } );",
         ":3: the name a is used twice"},
        {"servers = (\n{ name = \"a\"; host = \"127.0.0.1\"; port = 1; },\n"
         "{ name = \"b\"; host = \"127.0.0.1\"; port = 1; } );",
         ":3: a and b are the same address"},
        {"servers = (\n{ name = \"a\"; socket = \"/a\"; },\n"
         "{ name = \"b\"; socket = \"/a\"; } );",
         ":3: a and b are the same address"},
        {"servers = (\n{ name = \"a\"; name = \"b\"; } );", ":2: duplicate setting name"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct topology topology;
        struct errmsg err = {""};
        char expected[sizeof err.text];

        write_text(cases[i].text);
        assert_false(topology_read(&topology, path, &err));
        snprintf(expected, sizeof expected, "%s%s", path, cases[i].expected);
        assert_string_equal(err.text, expected);
        assert_null(topology.servers);
        assert_int_equal(topology.n_servers, 0);
    }
}

static void test_too_many(void **state)
{
    struct topology topology;
    struct errmsg err;
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);

    (void)state;
    fputs("servers = (", out);
    for (int i = 1; i <= 256; i++) {
        fprintf(out, "%s{ name = \"s%d\"; host = \"127.0.0.1\"; port = %d; }",
                i > 1 ? "," : "", i, i);
    }
    fputs(");", out);
    assert_int_equal(fclose(out), 0);
    write_text(text);
    free(text);
    assert_false(topology_read(&topology, path, &err));
    assert_non_null(strstr(err.text, "has 256 servers: 1 to 255 are possible"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_sample),
        cmocka_unit_test(test_bad),
        cmocka_unit_test(test_too_many),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
