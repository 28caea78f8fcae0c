/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The table of errors, and the JSON bodies that are made from it. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "shard/base/check.h"

#include "server/api/routes.h"
#include "server/request/error.h"
#include "server/request/request.h"

#include "tests/unit/cmocka_all.h"

static void test_table(void **state)
{
    (void)state;
    for (int i = 0; i < ERROR__COUNT; i++) {
        const struct error_info *info = error_info((enum error_code)i);

        assert_non_null(info->text);
        assert_true(info->text[0] != '\0');
        assert_true(info->http >= 200 && info->http < 600);
        assert_int_equal(info->code == 0, i == ERROR_OK);
        for (int j = 0; j < i; j++) {
            assert_int_not_equal(error_info((enum error_code)j)->code, info->code);
        }
    }
}

static void test_outcomes(void **state)
{
    (void)state;
    for (int i = 0; i < OUTCOME__COUNT; i++) {
        enum error_code code = error_from_outcome((enum outcome)i);
        bool good = i == OUTCOME_OK || i == OUTCOME_SAME;

        assert_true(code < ERROR__COUNT);
        assert_int_equal(code == ERROR_OK, good);
    }
    assert_int_equal(error_info(error_from_outcome(OUTCOME_UNKNOWN))->code, 1018);
    assert_int_equal(error_info(error_from_outcome(OUTCOME_TIMEOUT))->code, 1017);
    assert_int_equal(error_info(error_from_outcome(OUTCOME_UNAVAILABLE))->code, 1017);
    assert_int_equal(error_info(error_from_outcome(OUTCOME_MOVED))->code, 1016);
}

/* The code tells a client whether it is worth trying again. */
static void test_files(void **state)
{
    (void)state;
    for (int i = 0; i < UPLOAD__COUNT; i++) {
        assert_int_equal(error_from_upload((enum upload_status)i) == ERROR_OK,
                         i == UPLOAD_OK);
    }
    for (int i = 0; i < MEDIA__COUNT; i++) {
        enum error_code code = error_from_media((enum media_status)i);

        assert_int_equal(code == ERROR_OK, i == MEDIA_OK);
        assert_int_equal(code == ERROR_FILE, i != MEDIA_OK && i < MEDIA_BUSY);
    }
    assert_int_equal(error_from_upload(UPLOAD_BUSY), ERROR_BUSY);
    assert_int_equal(error_from_upload(UPLOAD_TOO_LARGE), ERROR_TOO_LARGE);
    assert_int_equal(error_from_upload(UPLOAD_NOT_PICTURE), ERROR_FILE);
    assert_int_equal(error_from_upload(UPLOAD_DISK_FULL), ERROR_UNAVAILABLE);
    assert_int_equal(error_from_media(MEDIA_TIMEOUT), ERROR_BUSY);
    assert_int_equal(error_from_media(MEDIA_FAILED), ERROR_UNAVAILABLE);
}

/* The body as a client would parse it. The caller calls json_decref(). */
static json_t *body_of(const struct request *req)
{
    json_t *json =
        json_loadb(req->reply.body, req->reply.body_len, JSON_REJECT_DUPLICATES, NULL);

    assert_non_null(json);
    assert_true(json_is_integer(json_object_get(json, "status_code")));
    assert_true(json_string_length(json_object_get(json, "status_msg")) > 0);
    assert_string_equal(req->reply.content_type, "application/json; charset=utf-8");
    return json;
}

static int code_of(const struct request *req)
{
    json_t *json = body_of(req);
    int code = (int)json_integer_value(json_object_get(json, "status_code"));

    json_decref(json);
    return code;
}

static void test_success(void **state)
{
    struct request req;
    json_t *json;

    (void)state;
    request_init(&req, NULL, 0);
    reply_ok(&req);
    assert_int_equal(code_of(&req), 0);
    assert_int_equal(req.reply.http_status, 200);
    (void)reply_begin(&req);
    reply_end(&req);
    assert_int_equal(code_of(&req), 0);
    struct json_out *out = reply_begin(&req);
    json_out_integer(out, "user_id", 5);
    json_out_array(out, "list");
    json_out_array_end(out);
    reply_end(&req);
    json = body_of(&req);
    assert_int_equal(json_object_size(json), 4);
    assert_int_equal(json_integer_value(json_object_get(json, "user_id")), 5);
    json_decref(json);
    reply_outcome(&req, OUTCOME_SAME);
    assert_int_equal(code_of(&req), 0);
    assert_int_equal(req.reply.http_status, 200);
    reply_outcome_of(&req, OUTCOME_SAME, ERROR_NO_VIDEO);
    assert_int_equal(code_of(&req), 0);
    json_out_text(reply_begin(&req), "half", "\xff");
    reply_end(&req);
    assert_int_equal(code_of(&req), 1017);
    json_out_integer(reply_begin(&req), "begun", 1);
    reply_error(&req, ERROR_BUSY, NULL);
    assert_int_equal(code_of(&req), error_info(ERROR_BUSY)->code);
    request_release(&req);
}

static void test_refusal(void **state)
{
    struct request req;
    json_t *json;

    (void)state;
    request_init(&req, NULL, 0);
    reply_error(&req, ERROR_PARAM, "%s is %d", "user_id", 5);
    json = body_of(&req);
    assert_string_equal(json_string_value(json_object_get(json, "status_msg")),
                        "bad parameter: user_id is 5");
    json_decref(json);
    reply_outcome_of(&req, OUTCOME_NOTFOUND, ERROR_NO_VIDEO);
    assert_int_equal(code_of(&req), 1011);
    reply_outcome_of(&req, OUTCOME_BUSY, ERROR_NO_VIDEO);
    assert_int_equal(code_of(&req), 1016);
    reply_error(&req, ERROR_NO_ROUTE, NULL);
    assert_int_equal(req.reply.http_status, 404);
    assert_int_equal(code_of(&req), 1404);
    reply_outcome(&req, OUTCOME_UNKNOWN);
    assert_int_equal(code_of(&req), 1018);
    request_release(&req);
}

/* Whatever the detail says, the answer is valid JSON with the keys that clients rely
 * on. */
static void test_details(void **state)
{
    static const char *const details[] = {"", "\"quoted\" \\ back", "line\r\nbreak",
                                          "\x01\x7f\xff\xe4\xb8", "%s%n"};
    const struct route_table *table = routes_table();
    const struct route *routes = table->rows;
    char longest[5000];

    (void)state;
    memset(longest, '"', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    for (size_t i = 0; i < table->n; i++) {
        for (size_t j = 0; j <= ARRAY_LEN(details); j++) {
            struct request req;
            json_t *json;

            request_init(&req, NULL, 0);
            request_set_route(&req, &routes[i], "");
            reply_error(&req, ERROR_INTERNAL, "%s",
                        j < ARRAY_LEN(details) ? details[j] : longest);
            json = body_of(&req);
            if (strcmp(routes[i].path, "/douyin/user/register/") == 0) {
                assert_true(json_is_string(json_object_get(json, "token")));
                assert_int_equal(json_integer_value(json_object_get(json, "user_id")), 0);
            }
            if (strcmp(routes[i].path, "/douyin/feed/") == 0) {
                assert_true(json_is_array(json_object_get(json, "video_list")));
            }
            json_decref(json);
            request_release(&req);
        }
    }
}

static void test_headers(void **state)
{
    struct request req;

    (void)state;
    request_init(&req, NULL, 0);
    reply_header(&req, "Allow", "GET, HEAD");
    reply_header(&req, "X-Bad", "a\r\nX-Injected: b");
    assert_int_equal(req.reply.n_headers, 1);
    for (int i = 0; i < REPLY_HEADERS_MAX * 2; i++) {
        reply_header(&req, "X-A", "b");
    }
    assert_int_equal(req.reply.n_headers, REPLY_HEADERS_MAX);
    request_release(&req);
}

/* The last reply counts, and none leaks (the sanitizer checks). */
static void test_replaced(void **state)
{
    struct request req;

    (void)state;
    request_init(&req, NULL, 0);
    (void)reply_begin(&req);
    reply_end(&req);
    reply_raw(&req, 200, "text/plain", strdup("abc"), 3);
    assert_memory_equal(req.reply.body, "abc", 3);
    reply_static(&req, 200, "text/plain", "def");
    assert_int_equal(reply_bytes(&req.reply), 3);
    reply_error(&req, ERROR_BUSY, NULL);
    assert_int_equal(code_of(&req), 1016);
    reply_raw(&req, 200, "text/plain", NULL, 10);
    assert_int_equal(code_of(&req), 1017);
    request_release(&req);
}

static void test_op(void **state)
{
    struct request req;
    unsigned char a[OP_BYTES];
    unsigned char b[OP_BYTES];

    (void)state;
    request_init(&req, NULL, 0);
    request_op(&req, a);
    request_op(&req, b);
    assert_memory_not_equal(a, b, OP_BYTES); /* without a key they always differ */
    req.idempotency_key = "key-1";
    request_op(&req, a);
    request_op(&req, b);
    assert_memory_equal(a, b, OP_BYTES);
    req.who.user_id = 1;
    request_op(&req, b);
    assert_memory_not_equal(a, b, OP_BYTES); /* another caller */
    req.who.user_id = 0;
    req.idempotency_key = "key-2";
    request_op(&req, b);
    assert_memory_not_equal(a, b, OP_BYTES);
    request_release(&req);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),   cmocka_unit_test(test_outcomes),
        cmocka_unit_test(test_files),   cmocka_unit_test(test_success),
        cmocka_unit_test(test_refusal), cmocka_unit_test(test_details),
        cmocka_unit_test(test_headers), cmocka_unit_test(test_replaced),
        cmocka_unit_test(test_op),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
