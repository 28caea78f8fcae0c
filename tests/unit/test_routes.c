/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The route table is consistent, and paths and methods find their row. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shard/base/check.h"

#include "server/api/routes.h"

#include "tests/unit/cmocka_all.h"

static void test_find(void **state)
{
    static const struct {
        enum route_listener listener;
        const char *method;
        const char *path;
        enum route_result result;
        const char *found; /* path of the row */
        const char *rest;  /* or the value of Allow */
    } cases[] = {
        {LISTENER_PUBLIC, "GET", "/douyin/feed/", ROUTE_FOUND, "/douyin/feed/", ""},
        {LISTENER_PUBLIC, "GET", "/douyin/feed", ROUTE_FOUND, "/douyin/feed/", ""},
        {LISTENER_PUBLIC, "HEAD", "/douyin/feed", ROUTE_FOUND, "/douyin/feed/", ""},
        {LISTENER_PUBLIC, "GET", "/douyin/user", ROUTE_FOUND, "/douyin/user/", ""},
        {LISTENER_PUBLIC, "POST", "/douyin/user/login", ROUTE_FOUND,
         "/douyin/user/login/", ""},
        {LISTENER_PUBLIC, "GET", "/ping", ROUTE_FOUND, "/ping/", ""},
        {LISTENER_PUBLIC, "GET", "/static/a/b.mp4", ROUTE_FOUND, "/static/", "a/b.mp4"},
        {LISTENER_PUBLIC, "GET", "/static/", ROUTE_FOUND, "/static/", ""},
        {LISTENER_PUBLIC, "GET", "/static", ROUTE_FOUND, "/static/", ""},
        {LISTENER_PUBLIC, "GET", "/static//", ROUTE_FOUND, "/static/", "/"},
        {LISTENER_PUBLIC, "GET", "/staticx", ROUTE_NO_PATH, NULL, NULL},
        {LISTENER_PUBLIC, "GET", "/douyin/feed//", ROUTE_NO_PATH, NULL, NULL},
        {LISTENER_PUBLIC, "GET", "//douyin/feed", ROUTE_NO_PATH, NULL, NULL},
        {LISTENER_PUBLIC, "GET", "/douyin/feedx", ROUTE_NO_PATH, NULL, NULL},
        {LISTENER_PUBLIC, "GET", "/douyin/feed/x", ROUTE_NO_PATH, NULL, NULL},
        {LISTENER_PUBLIC, "GET", "/Douyin/feed", ROUTE_NO_PATH, NULL, NULL},
        {LISTENER_PUBLIC, "GET", "/", ROUTE_FOUND, "/", ""},
        {LISTENER_PUBLIC, "GET", "", ROUTE_FOUND, "/", ""},
        {LISTENER_PUBLIC, "GET", "//", ROUTE_NO_PATH, NULL, NULL},
        {LISTENER_PUBLIC, "GET", "/x", ROUTE_NO_PATH, NULL, NULL},
        {LISTENER_PUBLIC, "POST", "/", ROUTE_NO_METHOD, "/", "GET, HEAD"},
        {LISTENER_ADMIN, "GET", "/", ROUTE_NO_PATH, NULL, NULL},
        {LISTENER_PUBLIC, "GET", "/robots.txt", ROUTE_FOUND, "/robots.txt/", ""},
        {LISTENER_PUBLIC, "GET", "/robots.txt/x", ROUTE_NO_PATH, NULL, NULL},
        {LISTENER_PUBLIC, "GET", "/openapi.json", ROUTE_FOUND, "/openapi.json/", ""},
        {LISTENER_PUBLIC, "GET", "/metrics", ROUTE_NO_PATH, NULL, NULL},
        {LISTENER_ADMIN, "GET", "/metrics", ROUTE_FOUND, "/metrics/", ""},
        {LISTENER_ADMIN, "GET", "/douyin/feed", ROUTE_NO_PATH, NULL, NULL},
        {LISTENER_PUBLIC, "POST", "/douyin/feed", ROUTE_NO_METHOD, "/douyin/feed/",
         "GET, HEAD"},
        {LISTENER_PUBLIC, "HEAD", "/douyin/user/login", ROUTE_NO_METHOD,
         "/douyin/user/login/", "POST"},
        {LISTENER_PUBLIC, "OPTIONS", "/ping", ROUTE_NO_METHOD, "/ping/", "GET, HEAD"},
        {LISTENER_PUBLIC, "get", "/ping", ROUTE_NO_SUCH_METHOD, NULL, NULL},
        {LISTENER_PUBLIC, "TRACE", "/ping", ROUTE_NO_SUCH_METHOD, NULL, NULL},
        {LISTENER_PUBLIC, "BREW", "/nowhere", ROUTE_NO_SUCH_METHOD, NULL, NULL},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct route_match match;
        enum route_result result = route_find(routes_table(), cases[i].listener,
                                              cases[i].method, cases[i].path, &match);

        assert_int_equal(result, cases[i].result);
        if (cases[i].found != NULL) {
            assert_string_equal(match.route->path, cases[i].found);
        }
        if (result == ROUTE_FOUND) {
            assert_string_equal(match.rest, cases[i].rest);
        } else if (result == ROUTE_NO_METHOD) {
            assert_string_equal(match.allow, cases[i].rest);
        }
    }
}

static void test_rows(void **state)
{
    const struct route_table *table = routes_table();
    const struct route *routes = table->rows;

    (void)state;
    assert_true(table->n > 0);
    for (size_t i = 0; i < table->n; i++) {
        const struct route *route = &routes[i];
        size_t len = strlen(route->path);
        bool has_token = false;
        bool has_file = false;

        assert_true(route->path[0] == '/' && route->path[len - 1] == '/');
        assert_non_null(route->handler);
        assert_true(strlen(route->doc) > 0);
        assert_int_equal(route_index(table, route), i);
        for (const struct param_spec *spec = route->params;
             spec != NULL && spec->name != NULL; spec++) {
            has_token = has_token || spec->type == PARAM_TOKEN;
            has_file = has_file || spec->type == PARAM_FILE;
        }
        assert_true(route->auth == AUTH_NONE || has_token);
        assert_int_equal(has_file, (route->flags & ROUTE_UPLOAD) != 0);
        /* an inline handler must not block, but finding out the caller may */
        assert_true((route->flags & ROUTE_INLINE) == 0 || route->auth == AUTH_NONE);
        for (size_t j = 0; j < i; j++) {
            assert_false(strcmp(route->path, routes[j].path) == 0 &&
                         strcmp(route->method, routes[j].method) == 0);
        }
    }
}

static void test_print(void **state)
{
    const struct route_table *table = routes_table();
    const struct route *routes = table->rows;
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);

    (void)state;
    assert_non_null(out);
    route_print(table, out);
    assert_int_equal(fclose(out), 0);
    for (size_t i = 0; i < table->n; i++) {
        assert_non_null(strstr(text, routes[i].path));
        assert_non_null(strstr(text, routes[i].doc));
    }
    assert_non_null(strstr(text, "video_id!"));
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_find),
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_print),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
