/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Options: layers, ranges, the message for every kind of bad file, and reloads that
 * change everything or nothing. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shard/base/log.h"

#include "server/config/config.h"
#include "server/config/secret.h"
#include "server/preflight.h"

#include "tests/unit/cmocka_all.h"

/* Paths in a directory of this test run. */
struct fixture {
    char dir[64];
    char file[128];     /* the configuration */
    char topology[128]; /* the files it refers to, all valid */
    char keys[128];
    char password[128];
    char media[128];
    char upload[128];
};

static void write_file(const char *path, const void *data, size_t len)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, data, len), (ssize_t)len);
    assert_int_equal(close(fd), 0);
}

static void write_text(const char *path, const char *text)
{
    write_file(path, text, strlen(text));
}

static int setup(void **state)
{
    struct fixture *fix = calloc(1, sizeof *fix);

    assert_non_null(fix);
    /* There are many refused reloads here, and each would log a line. */
    log_set_level(LOG_ERROR);
    strncpy(fix->dir, "/tmp/test_config.XXXXXX", sizeof fix->dir - 1);
    assert_non_null(mkdtemp(fix->dir));
    snprintf(fix->file, sizeof fix->file, "%s/d.conf", fix->dir);
    snprintf(fix->topology, sizeof fix->topology, "%s/t.conf", fix->dir);
    snprintf(fix->keys, sizeof fix->keys, "%s/keys", fix->dir);
    snprintf(fix->password, sizeof fix->password, "%s/password", fix->dir);
    snprintf(fix->media, sizeof fix->media, "%s/media", fix->dir);
    snprintf(fix->upload, sizeof fix->upload, "%s/upload", fix->dir);
    write_text(fix->topology,
               "servers = ( { name = \"s1\"; host = \"127.0.0.1\"; port = 1; } );\n");
    write_text(fix->keys, "k1 000102030405060708090a0b0c0d0e0f"
                          "101112131415161718191a1b1c1d1e1f\n");
    write_text(fix->password, "secret\n");
    assert_int_equal(mkdir(fix->media, 0700), 0);
    assert_int_equal(mkdir(fix->upload, 0700), 0);
    *state = fix;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fix = *state;

    unlink(fix->file);
    unlink(fix->topology);
    unlink(fix->keys);
    unlink(fix->password);
    rmdir(fix->media);
    rmdir(fix->upload);
    rmdir(fix->dir);
    free(fix);
    return 0;
}

/* Writes a file that preflight_check() accepts, followed by MORE. */
static void write_good(const struct fixture *fix, const char *more)
{
    char text[4096];

    snprintf(text, sizeof text,
             "topology_file = \"%s\";\ntoken_keys_file = \"%s\";\n"
             "db_password_file = \"%s\";\nmedia_dir = \"%s\";\nupload_dir = \"%s\";\n"
             "ffmpeg_path = \"/bin/sh\";\nffprobe_path = \"/bin/sh\";\n"
             "bwrap_path = \"/bin/sh\";\n# more:\n%s",
             fix->topology, fix->keys, fix->password, fix->media, fix->upload, more);
    write_text(fix->file, text);
}

/* Loads FILE with one more flag and one more environment variable (each may be NULL). */
static struct config *load(const char *file, const char *flag, const char *variable,
                           struct errmsg *err)
{
    char *argv[] = {(char *)(uintptr_t) "doushard", (char *)(uintptr_t) "--config",
                    (char *)(uintptr_t)file, (char *)(uintptr_t)flag, NULL};
    char *env[] = {(char *)(uintptr_t)variable, NULL};
    struct config_args args;

    memset(err, 0, sizeof *err);
    if (!config_args(&args, flag == NULL ? 3 : 4, argv, env, err)) {
        return NULL;
    }
    return config_load(&args, err);
}

/* ---- Good files ---- */

static void test_defaults(void **state)
{
    struct fixture *fix = *state;
    struct errmsg err;

    write_text(fix->file, "");
    struct config *config = load(fix->file, NULL, NULL, &err);
    assert_non_null(config);
    assert_int_equal(config->generation, 1);
    assert_int_equal(config->listen_port, 8080);
    assert_string_equal(config->admin_host, "127.0.0.1");
    assert_int_equal(config->upload_limit_bytes, 268435456);
    assert_int_equal(config->log_level, LOG_INFO);
    assert_string_equal(config->db_user, "doushard_app");
    config_free(&config);
    assert_null(config);
}

/* All that config_print_options() writes; the caller frees it. */
static char *options_text(void)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);

    assert_non_null(out);
    config_print_options(out);
    assert_int_equal(fclose(out), 0);
    return text;
}

static void test_sample_file_is_the_table(void **state)
{
    char *expected = options_text();
    char *sample = calloc(1, 100000);
    FILE *in = fopen("config/doushard.conf", "re");

    (void)state;
    assert_non_null(in);
    assert_true(fread(sample, 1, 99999, in) > 0);
    assert_int_equal(fclose(in), 0);
    /* If it differs: build/doushard --help-config >config/doushard.conf */
    assert_string_equal(sample, expected);
    free(sample);
    free(expected);
}

static void test_sample_file_is_the_defaults(void **state)
{
    struct fixture *fix = *state;
    struct errmsg err;
    char *text = options_text();
    char *out = text;

    /* Uncomment the lines that are options. */
    for (const char *in = text; *in != '\0'; in++) {
        if (!(*in == '#' && (in == text || in[-1] == '\n') && in[1] >= 'a')) {
            *out++ = *in;
        }
    }
    *out = '\0';
    write_text(fix->file, text);
    free(text);
    struct config *config = load(fix->file, NULL, NULL, &err);
    assert_string_equal(err.text, "");
    assert_non_null(config);
    assert_int_equal(config->session_idle_s, 604800);
    config_free(&config);
}

/* Numbers, and texts and comments that look like numbers. */
static void test_numbers(void **state)
{
    static const struct {
        const char *text;
        size_t expected;
    } cases[] = {
        {"upload_limit = \"3G\";", (size_t)3 << 30},
        {"upload_limit = \"3000000000\";", 3000000000},
        {"upload_limit = 3000000000L;", 3000000000},
        {"upload_limit = 2147483647;", 2147483647},
        {"upload_limit : 2048", 2048},
        {"upload_limit = 0x800;", 2048},
        {"upload_limit=00000000000000000000000000002048;", 2048},
        {"/* upload_limit = 1; */ upload_limit = 5000; # = 9;", 5000},
        {"// 1x \"\n# 1x @ \"\nupload_limit = /* 1x \" */ 5000;// end", 5000},
        {"db_name = \"a 99999999999999999999 \\\" b\"; upload_limit=5000", 5000},
        {"db_name = \"/*\" \"1x\"; upload_limit=5000;\r\n\r\n", 5000},
    };
    struct fixture *fix = *state;
    struct errmsg err;

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        write_text(fix->file, cases[i].text);
        struct config *config = load(fix->file, NULL, NULL, &err);
        assert_string_equal(err.text, "");
        assert_non_null(config);
        assert_int_equal(config->upload_limit_bytes, cases[i].expected);
        config_free(&config);
    }
}

static void test_layers(void **state)
{
    struct fixture *fix = *state;
    struct errmsg err;
    static const struct {
        const char *flag;
        const char *variable;
        int port;
        const char *origin;
    } cases[] = {
        {NULL, NULL, 1111, "d.conf:2"},
        {NULL, "DOUSHARD_LISTEN_PORT=2222", 2222, "environment DOUSHARD_LISTEN_PORT"},
        {"--listen-port=3333", "DOUSHARD_LISTEN_PORT=2222", 3333, "flag --listen-port"},
        {"--listen-port=3333", NULL, 3333, "flag --listen-port"},
    };

    write_text(fix->file, "# first\nlisten_port = 1111;\n");
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char *argv[] = {(char *)(uintptr_t) "doushard", (char *)(uintptr_t) "--config",
                        fix->file, (char *)(uintptr_t)cases[i].flag, NULL};
        char *env[] = {(char *)(uintptr_t)cases[i].variable, NULL};
        struct config_args args;
        char *text = NULL;
        size_t len = 0;

        assert_true(config_args(&args, cases[i].flag == NULL ? 3 : 4, argv, env, &err));
        struct config *config = config_load(&args, &err);
        assert_non_null(config);
        assert_int_equal(config->listen_port, cases[i].port);
        assert_int_equal(config->admin_port, 8081);
        FILE *out = open_memstream(&text, &len);
        config_print(&args, config, out);
        assert_int_equal(fclose(out), 0);
        const char *line = strstr(text, "\nlisten_port = ");
        assert_non_null(line);
        const char *origin = strstr(line, cases[i].origin);
        assert_non_null(origin);
        assert_true(origin < strchr(line + 1, '\n'));
        assert_non_null(strstr(text, "admin_port = 8081;  # default\n"));
        /* The printed text is a file that means the same. */
        write_text(fix->topology, text);
        free(text);
        struct config *again = load(fix->topology, NULL, NULL, &err);
        assert_string_equal(err.text, "");
        assert_int_equal(again->listen_port, cases[i].port);
        config_free(&again);
        config_free(&config);
    }
}

/* ---- Bad input ---- */

/* A file, and the message about it after the file's name. */
struct bad_file {
    const char *text;
    const char *expected;
};

static void check_bad_files(const struct fixture *fix, const struct bad_file *files,
                            size_t n_files)
{
    for (size_t i = 0; i < n_files; i++) {
        struct errmsg err;
        char expected[sizeof err.text];
        write_text(fix->file, files[i].text);
        struct config *config = load(fix->file, NULL, NULL, &err);
        snprintf(expected, sizeof expected, "%s%s", fix->file, files[i].expected);
        assert_string_equal(err.text, expected);
        assert_null(config);
    }
}

static void test_bad_files(void **state)
{
#define LARGE " is larger than a number can be; a size is written with its unit: \"4G\""
    static const struct bad_file files[] = {
        /* libconfig would read it as 80. */
        {"listen_port = 4294967376;", ":1: 4294967376" LARGE},
        {"listen_port = 2147483648;", ":1: 2147483648" LARGE},
        {"listen_port = 0xFFFFFFFF;", ":1: 0xFFFFFFFF" LARGE},
        {"# x\nlisten_port = 9223372036854775808L;", ":2: 9223372036854775808L" LARGE},
        {"listen_port = 0xFFFFFFFFFFFFFFFFL;", ":1: 0xFFFFFFFFFFFFFFFFL" LARGE},
        {"listen_port = -99999999999;", ":1: 99999999999" LARGE},
        {"\nidle_timeout = 30s;", ":2: 30s is not a number; with a unit it is written in "
                                  "quotes: \"30s\""},
        {"upload_limit = 256M;", ":1: 256M is not a number; with a unit it is written in "
                                 "quotes: \"256M\""},
        {"listen_port = 1listen_host = 2;",
         ":1: 1listen_host is not a number; with a unit it is written in quotes: "
         "\"1listen_host\""},
        {"db_name =\n\"abc;\n", ":2: this text has no end; close it with \" on the same "
                                "line"},
        {"listen_port = 1;\n\"listen_port = 2;",
         ":2: a text cannot stand here; an option is written: name = value;"},
        {"listen_port \"8080\";",
         ":1: a text cannot stand here; an option is written: name = value;"},
        {"db_name = \"abc", ":1: this text has no end; close it with \" on the same "
                            "line"},
        {"db_name = \"abc\\", ":1: this text has no end; close it with \" on the same "
                              "line"},
        {"db_name = \"abc\\\"", ":1: this text has no end; close it with \" on the same "
                                "line"},
        {"listen_port = 1;\nlisten_port = 2;", ":2: duplicate setting name"},
        {"listen_port = 1\n\nlisten_host", ":4: syntax error; an option is written: name "
                                           "= value;"},
        {"listen_port = ;", ":1: syntax error; an option is written: name = value;"},
        {"= 5;", ":1: syntax error; an option is written: name = value;"},
        {"\n\"a\" = 5;",
         ":2: a text cannot stand here; an option is written: name = value;"},
        {"a = { \"b\" };",
         ":1: a text cannot stand here; an option is written: name = value;"},
        {"# a\n/* b\n\n", ":2: this comment has no end; close it with */"},
        {"\n@include \"other.conf\"",
         ":2: @include is not supported: write everything in one file"},
    };

    check_bad_files(*state, files, ARRAY_LEN(files));
#undef LARGE
}

static void test_bad_settings(void **state)
{
    static const struct bad_file files[] = {
        {"listen_port = 1;\nlisten_prot = 2;",
         ":2: listen_prot is not an option, did you mean listen_port; see --help-config"},
        {"zzz = 2;", ":1: zzz is not an option; see --help-config"},
        {"\n\nlisten_port = 70000;",
         ":3: listen_port is 70000: it must be from 0 to 65535 port"},
        {"listen_port = -1;", ":1: listen_port is -1: it must be from 0 to 65535 port"},
        {"listen_port = 5000000000L;",
         ":1: listen_port is 5000000000: it must be from 0 to 65535 port"},
        {"listen_port = \"8080\";", ":1: listen_port is a text in quotes: write a whole "
                                    "number, without quotes"},
        {"listen_port = 80.0;", ":1: listen_port is a number with a fraction: write a "
                                "whole number, without quotes"},
        {"listen_port = true;", ":1: listen_port is true or false: write a whole number, "
                                "without quotes"},
        {"listen_port = [1, 2];", ":1: listen_port is a group or list: write a whole "
                                  "number, without quotes"},
        {"idle_timeout = 60;", ":1: idle_timeout is \"60\": write a time such as 200ms, "
                               "30s, 5min or 2h"},
        {"session_idle = \"900ms\";", ":1: session_idle is \"900ms\": write a time such "
                                      "as 30s, 5min, 2h or 7d"},
        {"\nupload_limit = \"30 parsecs\";", ":2: upload_limit is \"30 parsecs\": write "
                                             "a size such as 512, 64K, 256M or 1G"},
        {"upload_limit = \"1023\";",
         ":1: upload_limit is 1023: it must be from 1K to 16G"},
        {"drain_timeout = \"11min\";",
         ":1: drain_timeout is 11min: it must be from 0 to 10min"},
        {"drain_timeout = 0.5;", ":1: drain_timeout is a number with a fraction: write a "
                                 "time such as 200ms, 30s, 5min or 2h in quotes"},
        {"db_name = 5;", ":1: db_name is a number: write a text in quotes"},
        {"\ndb_name = { a = 1; };",
         ":2: db_name is a group or list: write a text in quotes"},
        {"db_name = \"\";", ":1: db_name is empty: give a name"},
        {"db_name = \"a\\nb\";", ":1: db_name contains a control character"},
        {"log_level = \"loud\";",
         ":1: log_level is \"loud\": it must be one of error|warn|info|debug"},
        {"log_level = 2;", ":1: log_level is a number: write a text in quotes"},
    };

    check_bad_files(*state, files, ARRAY_LEN(files));
}

static void test_missing_and_irregular_files(void **state)
{
    struct fixture *fix = *state;
    struct errmsg err;

    assert_null(load("/nonexistent.conf", NULL, NULL, &err));
    assert_string_equal(err.text,
                        "/nonexistent.conf: cannot be opened: No such file or directory");
    assert_null(load("/dev/null", NULL, NULL, &err));
    assert_string_equal(err.text, "/dev/null: is not a regular file");
    write_file(fix->file, "db_name = \"a\";\n\0", 16);
    assert_null(load(fix->file, NULL, NULL, &err));
    assert_non_null(strstr(err.text, "contains a NUL byte"));

    assert_int_equal(truncate(fix->file, 2 << 20), 0);
    assert_null(load(fix->file, NULL, NULL, &err));
    assert_non_null(strstr(err.text, "is larger than 1048576 bytes"));
}

/* Bad values in flags and variables, and values that are good alone but not together. */
static void test_bad_values(void **state)
{
    static const struct {
        const char *flag;
        const char *variable;
        const char *expected;
    } cases[] = {
        {"--listen-port=http", NULL, "--listen-port is \"http\": write a whole number"},
        {"--listen-port=", NULL, "--listen-port is \"\": write a whole number"},
        {"--listen-port= 5", NULL, "--listen-port is \" 5\": write a whole number"},
        {"--listen-port=5x", NULL, "--listen-port is \"5x\": write a whole number"},
        {"--listen-port=-", NULL, "--listen-port is \"-\": write a whole number"},
        {"--listen-port=99999999999999999999", NULL,
         "--listen-port is 99999999999999999999: it must be from 0 to 65535 port"},
        {NULL, "DOUSHARD_FEED_LIMIT=0",
         "DOUSHARD_FEED_LIMIT is 0: it must be from 1 to 100 videos"},
        {"--header-timeout=10", NULL,
         "--header-timeout is \"10\": write a time such as 200ms, 30s, 5min or 2h"},
        {NULL, "DOUSHARD_CACHE_LOCAL=2000T",
         "DOUSHARD_CACHE_LOCAL is 2000T: it must be from 0 to 1T"},
        {"--log-level=trace", NULL,
         "--log-level is \"trace\": it must be one of error|warn|info|debug"},
        {"--listen-prot=1", NULL,
         "\"--listen-prot\" is not a flag, did you mean --listen-port; see "
         "--help-config"},
        {"--listen-port", NULL, "--listen-port needs a value: --listen-port=VALUE"},
        {"8080", NULL, "\"8080\" is not a flag; see --help"},
        {"--", NULL, "\"--\" is not a flag; see --help"},
        {"--listen-host=localhost", NULL,
         "listen_host is \"localhost\": write a numeric address, 0.0.0.0 or :: for all"},
        {"--trusted-proxies=127.0.0.1, proxy", NULL,
         "trusted_proxies has \"proxy\": write numeric addresses, or ranges such as "
         "10.0.0.0/8 or 2001:db8::/32, with commas between them"},
        {"--trusted-proxies=127.0.0.1, 10.9.0.0/8", NULL,
         "trusted_proxies has \"10.9.0.0/8\": write 10.0.0.0/8 for that range, or the "
         "address without /BITS"},
        {"--admin-port=8080", NULL,
         "listen_port and admin_port are both 8080: the operator's listener needs a port "
         "of its own"},
        {"--base-url=example.org", NULL,
         "base_url is \"example.org\": write http://HOST or https://HOST, with :PORT and "
         "/PATH where needed"},
        {"--base-url=http:///x", NULL,
         "base_url is \"http:///x\": write http://HOST or https://HOST, with :PORT and "
         "/PATH where needed"},
        {"--base-url=http://a/", NULL,
         "base_url is \"http://a/\": leave out the last slash, blanks, quotes, ? and #"},
        {"--base-url=http://a;b/c", NULL,
         "base_url is \"http://a;b/c\": a host has letters, digits, '.', '-', '_' and a "
         "port only"},
        {"--base-url=https://u:p@a", NULL,
         "base_url is \"https://u:p@a\": a host has letters, digits, '.', '-', '_' and a "
         "port only"},
        {"--base-url=http://*", NULL,
         "base_url is \"http://*\": a host has letters, digits, '.', '-', '_' and a port "
         "only"},
        {"--cors-origins=https://a.example, https://b.example/", NULL,
         "cors_origins has \"https://b.example/\": an origin has no path and no slash at "
         "its end"},
        {"--media-dir=/var/lib/doushard/upload", NULL,
         "media_dir and upload_dir are both /var/lib/doushard/upload: unfinished uploads "
         "need a directory of their own"},
    };
    struct fixture *fix = *state;

    write_text(fix->file, "");
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct errmsg err;
        struct config *config = load(fix->file, cases[i].flag, cases[i].variable, &err);
        assert_string_equal(err.text, cases[i].expected);
        assert_null(config);
    }
}

static void test_modes(void **state)
{
    static const struct {
        const char *flag;
        enum config_mode mode;
    } cases[] = {
        {"--check-config", CONFIG_CHECK},
        {"--print-config", CONFIG_PRINT},
        {"--help", CONFIG_HELP},
        {"-h", CONFIG_HELP},
        {"--help-config", CONFIG_HELP_CONFIG},
        {"--version", CONFIG_VERSION},
        {"--routes", CONFIG_ROUTES},
        {"--listen-port=1", CONFIG_RUN},
    };
    struct errmsg err;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char *argv[] = {(char *)(uintptr_t) "doushard", (char *)(uintptr_t)cases[i].flag};
        struct config_args args;
        assert_true(config_args(&args, 2, argv, NULL, &err));
        assert_int_equal(args.mode, cases[i].mode);
    }
}

/* ---- Files that the options name ---- */

static void test_secrets(void **state)
{
    struct fixture *fix = *state;
    struct errmsg err;
    char secret[16];

    assert_true(secret_read(fix->password, secret, sizeof secret, &err));
    assert_string_equal(secret, "secret");
    assert_true(secret_read("", secret, sizeof secret, &err));
    assert_string_equal(secret, "");
    write_text(fix->password, "two words\r\nsecond line");
    assert_true(secret_read(fix->password, secret, sizeof secret, &err));
    assert_string_equal(secret, "two words");
    write_text(fix->password, "123456789012345");
    assert_true(secret_read(fix->password, secret, sizeof secret, &err));
    assert_string_equal(secret, "123456789012345");
    static const char *const empty[] = {"", "\n", "\r\n", "\nsecret\n"};
    for (size_t i = 0; i < ARRAY_LEN(empty); i++) {
        write_text(fix->password, empty[i]);
        assert_false(secret_read(fix->password, secret, sizeof secret, &err));
        assert_non_null(strstr(err.text, fix->password));
        assert_non_null(strstr(err.text, "its first line is empty"));
    }
    write_text(fix->password, "1234567890123456");
    assert_false(secret_read(fix->password, secret, sizeof secret, &err));
    assert_null(strstr(err.text, "1234"));
    assert_int_equal(chmod(fix->password, 0640), 0);
    assert_false(secret_read(fix->password, secret, sizeof secret, &err));
    assert_non_null(strstr(err.text, "others may read this secret (mode 0640)"));
    assert_int_equal(unlink(fix->password), 0);
    assert_false(secret_read(fix->password, secret, sizeof secret, &err));
    assert_non_null(strstr(err.text, "No such file"));
}

static void test_check_files(void **state)
{
    struct fixture *fix = *state;
    struct errmsg err;

    write_good(fix, "");
    struct config *config = load(fix->file, NULL, NULL, &err);
    assert_non_null(config);
    assert_true(preflight_check(config, NULL, &err));
    config_free(&config);
}

/* The messages about the file: each line begins with the place of the mistake. */
static void test_all_mistakes_are_reported(void **state)
{
    static const char *const more = "listen_prot = 1;\n"            /* 10 */
                                    "feed_limit = 5000000;\n"       /* 11 */
                                    "admin_host = \"localhost\";\n" /* 12 */
                                    "words_file = \"/nowhere/w\";\n"
                                    "redis_password_file = 7;\n"
                                    "log_level = \"loud\";\n"
                                    "media_memory = 1.5;\n";
    static const char *const expected[] = {
        ":10: listen_prot is not an option, did you mean listen_port; see --help-config",
        ":11: feed_limit is 5000000: it must be from ",
        ":14: redis_password_file is a number: write a text in quotes",
        ":15: log_level is \"loud\": it must be one of ",
        ":16: media_memory is a number with a fraction: write ",
        "DOUSHARD_WORKERS_MAX is \"x\": write a whole number",
        "--db-pool-size is \"many\": write a whole number",
        ":12: admin_host is \"localhost\": write a numeric address",
        ":3: /", /* the password is gone */
        ":13: /nowhere/w: words_file: ",
    };
    struct fixture *fix = *state;
    char *argv[] = {(char *)(uintptr_t) "doushard", (char *)(uintptr_t) "--config",
                    fix->file, (char *)(uintptr_t) "--db-pool-size=many", NULL};
    char *env[] = {(char *)(uintptr_t) "DOUSHARD_WORKERS_MAX=x", NULL};
    struct config_args args;
    struct errmsg err;
    char *text = NULL;
    size_t len = 0;

    write_good(fix, more);
    assert_int_equal(unlink(fix->password), 0);
    assert_true(config_args(&args, 4, argv, env, &err));
    struct config_report report = {
        .out = open_memstream(&text, &len), .prefix = "", .file = args.file};
    assert_non_null(report.out);
    struct config *config = config_load_all(&args, &report);
    assert_non_null(config);
    assert_true(preflight_check(config, &report, &err));
    assert_int_equal(fclose(report.out), 0);
    const char *line = text;
    for (size_t i = 0; i < ARRAY_LEN(expected); i++) {
        const bool has_place = expected[i][0] == ':';
        const size_t place = has_place ? strlen(fix->file) : 0;
        assert_memory_equal(line, fix->file, place);
        assert_memory_equal(line + place, expected[i], strlen(expected[i]));
        line = strchr(line, '\n') + 1;
    }
    assert_string_equal(line, "");
    assert_int_equal(report.n_errors, ARRAY_LEN(expected));
    free(text);
    config_free(&config);

    /* A refused reload reports the first of them. */
    assert_null(load(fix->file, NULL, NULL, &err));
    assert_non_null(strstr(err.text, ":10: listen_prot is not an option"));
    write_text(fix->password, "secret\n");
}

static void test_only_the_unreadable_file_is_reported(void **state)
{
    struct fixture *fix = *state;
    char *argv[] = {(char *)(uintptr_t) "doushard", (char *)(uintptr_t) "--config",
                    fix->file, NULL};
    struct config_args args;
    struct errmsg err;
    char *text = NULL;
    size_t len = 0;

    write_text(fix->file, "listen_port = 1\nadmin_port 2;\n");
    assert_true(config_args(&args, 3, argv, NULL, &err));
    struct config_report report = {
        .out = open_memstream(&text, &len), .prefix = "", .file = args.file};
    assert_null(config_load_all(&args, &report));
    assert_int_equal(fclose(report.out), 0);
    assert_int_equal(report.n_errors, 1);
    assert_non_null(strstr(text, ":2: syntax error"));
    free(text);
}

static void test_check_words(void **state)
{
    static const struct {
        const char *words;
        const char *expected;
    } cases[] = {
        {"", NULL},
        {"one\n\n  two \r\n\xe6\x95\x8f\xe6\x84\x9f", NULL},
        {"one\n\xff\n", "words_file: line 2: the line is not UTF-8"},
        {"one\ntwo\n"
         "0123456789012345678901234567890123456789012345678901234567890123456789\n",
         "words_file: line 3: the word is too long"},
    };
    struct fixture *fix = *state;
    struct errmsg err;
    char words[160];
    char flag[192];

    (void)snprintf(words, sizeof words, "%s/words", fix->media);
    (void)snprintf(flag, sizeof flag, "--words-file=%s", words);
    write_good(fix, "");
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        write_text(words, cases[i].words);
        struct config *config = load(fix->file, flag, NULL, &err);
        assert_non_null(config);
        assert_int_equal(preflight_check(config, NULL, &err), cases[i].expected == NULL);
        assert_true(cases[i].expected == NULL ||
                    (strstr(err.text, words) == err.text &&
                     strstr(err.text, cases[i].expected) != NULL));
        config_free(&config);
    }
    unlink(words);
}

static void test_check_files_names_the_culprit(void **state)
{
    struct fixture *fix = *state;
    const struct {
        const char *flag;
        const char *expected;
        bool is_directory; /* a reload keeps the old value, and does not look */
    } cases[] = {
        {"--topology-file=/nonexistent", "/nonexistent: cannot be opened", false},
        {"--db-password-file=/nonexistent", "/nonexistent: cannot be opened", false},
        {"--token-keys-file=/nonexistent", "/nonexistent", false},
        {"--media-dir=/nonexistent/media", "/nonexistent/media: media_dir does not exist",
         true},
        {"--upload-dir=/dev/null", "/dev/null: upload_dir is not a directory", true},
        {"--ffprobe-path=/nonexistent", "/nonexistent: ffprobe_path cannot be run",
         false},
        {"--words-file=/nonexistent",
         "/nonexistent: words_file: cannot be opened: No such file", false},
        {"--words-file=/dev/null", "/dev/null: words_file: is not a regular file", false},
    };

    write_good(fix, "");
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct errmsg err;
        struct config *config = load(fix->file, cases[i].flag, NULL, &err);
        assert_non_null(config);
        assert_false(preflight_check(config, NULL, &err));
        assert_non_null(strstr(err.text, cases[i].expected));
        assert_int_equal(preflight_check_reload(config, &err), cases[i].is_directory);
        config_free(&config);
    }
}

/* ---- Reload ---- */

static struct config_args file_args(struct fixture *fix, char *argv[3])
{
    struct config_args args;
    struct errmsg err;

    argv[0] = (char *)(uintptr_t) "doushard";
    argv[1] = (char *)(uintptr_t) "--config";
    argv[2] = fix->file;
    assert_true(config_args(&args, 3, argv, NULL, &err));
    return args;
}

/* What SIGHUP does; NULL: nothing changes. */
static struct config *reload(const struct config_args *args, struct config *current,
                             struct errmsg *err)
{
    struct config *next = config_load(args, err);

    if (next == NULL || !preflight_check_reload(next, err) ||
        !config_replace(next, current, err)) {
        config_free(&next);
    }
    return next;
}

static void test_reload(void **state)
{
    struct fixture *fix = *state;
    struct errmsg err;
    char *argv[3];
    struct config_args args = file_args(fix, argv);

    write_good(fix, "feed_limit = 10; listen_port = 1000; db_name = \"one\";");
    struct config *first = config_load(&args, &err);
    assert_non_null(first);
    write_good(fix, "feed_limit = 20; listen_port = 2000; db_name = \"two\";");
    struct config *second = reload(&args, first, &err);
    assert_non_null(second);
    assert_int_equal(second->generation, 2);
    assert_int_equal(second->feed_limit, 20);
    /* These take effect only after a restart. */
    assert_int_equal(second->listen_port, 1000);
    assert_string_equal(second->db_name, "one");
    /* Requests that began with the first snapshot still use it. */
    assert_int_equal(first->feed_limit, 10);
    assert_string_equal(first->db_name, "one");
    assert_ptr_equal(second->older, first);
    config_free(&second);
}

static void test_bad_reload_changes_nothing(void **state)
{
    struct fixture *fix = *state;
    struct errmsg err;
    char *argv[3];
    struct config_args args = file_args(fix, argv);

    write_good(fix, "feed_limit = 10;");
    struct config *config = config_load(&args, &err);
    assert_non_null(config);
    write_good(fix, "feed_limit = 20; workers_max = 0;");
    assert_null(reload(&args, config, &err));
    assert_non_null(strstr(err.text, ":10: workers_max is 0"));
    write_good(fix, "feed_limit = 20; words_file = \"/dev/null\";");
    assert_null(reload(&args, config, &err));
    assert_non_null(strstr(err.text, "/dev/null: words_file: is not a regular file"));
    assert_int_equal(unlink(fix->file), 0);
    assert_null(reload(&args, config, &err));
    assert_int_equal(config->feed_limit, 10);
    assert_int_equal(config->generation, 1);
    assert_null(config->older);
    config_free(&config);
}

/* A generator of our own, so that a failure can be repeated. */
static uint32_t next_random(uint32_t *seed)
{
    *seed = *seed * 1664525 + 1013904223;
    return *seed >> 8;
}

/* Damages TEXT (LEN bytes of SIZE) in one to four places; returns the new length. */
static size_t mutate(char *text, size_t len, size_t size, uint32_t *seed)
{
    static const char *const splinters[] = {
        "\"", "/*", "9999999999999", "{",  "(",  "\\x00", "@include",
        ";",  "=",  "listen_port",   "\n", "0x", "-",     "1e400",
        ")",  "#"};

    for (uint32_t n = 1 + next_random(seed) % 4; n > 0 && len > 1; n--) {
        size_t at = next_random(seed) % len;
        const char *splinter = splinters[next_random(seed) % ARRAY_LEN(splinters)];
        size_t more = strlen(splinter);

        switch (next_random(seed) % 4) {
        case 0:
            text[at] = (char)(next_random(seed) & 0xff);
            break;
        case 1:
            len = at + 1;
            break;
        case 2:
            memmove(text + at, text + at + 1, len - at - 1);
            len--;
            break;
        default:
            if (len + more < size) {
                memmove(text + at + more, text + at, len - at);
                /* These are the bytes of a file, not a string. */
                memcpy(text + at, splinter, more); // NOLINT(bugprone-not-null-*)
                len += more;
            }
            break;
        }
    }
    return len;
}

static void test_mutated_files_apply_whole_or_not_at_all(void **state)
{
    struct fixture *fix = *state;
    struct errmsg err;
    char *argv[3];
    struct config_args args = file_args(fix, argv);
    uint32_t seed = 42;
    unsigned n_refused = 0;
    char original[4096];

    write_good(fix, "feed_limit = 10;\nlist_limit = 0x14; // twenty\n"
                    "upload_limit = \"3G\";\n/* note */ log_level = \"warn\";\n"
                    "base_url = \"https://example.org\";\nscrypt_ln = 12;\n");
    int fd = open(fix->file, O_RDONLY | O_CLOEXEC);
    ssize_t len = read(fd, original, sizeof original);
    assert_true(len > 0);
    close(fd);
    struct config *config = config_load(&args, &err);
    assert_non_null(config);
    for (unsigned i = 0; i < 200; i++) {
        char text[8192];
        struct config before;
        memcpy(text, original, (size_t)len);
        size_t mutated_len = mutate(text, (size_t)len, sizeof text, &seed);
        write_file(fix->file, text, mutated_len);
        memcpy(&before, config, sizeof before);
        memset(&err, 0, sizeof err);
        struct config *next = reload(&args, config, &err);
        /* The snapshot in use is never changed. */
        assert_memory_equal(&before, config, sizeof before);
        if (next == NULL) {
            n_refused++;
            assert_int_not_equal(err.text[0], '\0');
        } else {
            assert_in_range(next->feed_limit, 1, 100);
            assert_in_range(next->scrypt_ln, 10, 20);
            assert_string_equal(next->db_name, config->db_name);
            config = next;
        }
    }
    assert_in_range(n_refused, 50, 199);
    config_free(&config);
}

int main(void)
{
#define WITH_FILES(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        WITH_FILES(test_defaults),
        cmocka_unit_test(test_sample_file_is_the_table),
        WITH_FILES(test_sample_file_is_the_defaults),
        WITH_FILES(test_numbers),
        WITH_FILES(test_layers),
        WITH_FILES(test_bad_files),
        WITH_FILES(test_bad_settings),
        WITH_FILES(test_missing_and_irregular_files),
        WITH_FILES(test_bad_values),
        cmocka_unit_test(test_modes),
        WITH_FILES(test_secrets),
        WITH_FILES(test_check_files),
        WITH_FILES(test_all_mistakes_are_reported),
        WITH_FILES(test_only_the_unreadable_file_is_reported),
        WITH_FILES(test_check_words),
        WITH_FILES(test_check_files_names_the_culprit),
        WITH_FILES(test_reload),
        WITH_FILES(test_bad_reload_changes_nothing),
        WITH_FILES(test_mutated_files_apply_whole_or_not_at_all),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
