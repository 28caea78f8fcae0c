/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Which part of a file is sent for each combination of Range, If-Range and
 * If-None-Match. */
#include "shard/base/check.h"

#include "server/api/static_file.h"

#include "tests/unit/cmocka_all.h"

#define ETAG "\"abc\""

static const struct {
    const char *range;
    const char *if_range;
    const char *if_none_match;
    uint64_t size;
    unsigned http_status;
    uint64_t offset;
    uint64_t length;
} cases[] = {
    {NULL, NULL, NULL, 100, 200, 0, 100},
    {NULL, NULL, NULL, 0, 200, 0, 0},
    /* one range */
    {"bytes=0-0", NULL, NULL, 100, 206, 0, 1},
    {"bytes=0-99", NULL, NULL, 100, 206, 0, 100},
    {"bytes=10-19", NULL, NULL, 100, 206, 10, 10},
    {"bytes=10-", NULL, NULL, 100, 206, 10, 90},
    {"bytes=99-", NULL, NULL, 100, 206, 99, 1},
    {"bytes=50-1000", NULL, NULL, 100, 206, 50, 50},
    {"bytes=-1", NULL, NULL, 100, 206, 99, 1},
    {"bytes=-100", NULL, NULL, 100, 206, 0, 100},
    {"bytes=-1000", NULL, NULL, 100, 206, 0, 100},
    {"BYTES=10-19", NULL, NULL, 100, 206, 10, 10},
    {"bytes= 10-19 ", NULL, NULL, 100, 206, 10, 10},
    {"bytes=0-99999999999999999999999999", NULL, NULL, 100, 206, 0, 100},
    {"bytes=-99999999999999999999999999", NULL, NULL, 100, 206, 0, 100},
    {"bytes=5000000000-5000000001", NULL, NULL, 6000000000, 206, 5000000000, 2},
    /* beyond the end */
    {"bytes=100-", NULL, NULL, 100, 416, 0, 0},
    {"bytes=100-200", NULL, NULL, 100, 416, 0, 0},
    {"bytes=99999999999999999999999999-", NULL, NULL, 100, 416, 0, 0},
    {"bytes=-0", NULL, NULL, 100, 416, 0, 0},
    {"bytes=0-", NULL, NULL, 0, 416, 0, 0},
    {"bytes=-5", NULL, NULL, 0, 416, 0, 0},
    /* ranges that are malformed or not supported: the whole file */
    {"bytes=", NULL, NULL, 100, 200, 0, 100},
    {"bytes=-", NULL, NULL, 100, 200, 0, 100},
    {"bytes=5", NULL, NULL, 100, 200, 0, 100},
    {"bytes=20-10", NULL, NULL, 100, 200, 0, 100},
    {"bytes=0-1,5-6", NULL, NULL, 100, 200, 0, 100},
    {"bytes=0-1x", NULL, NULL, 100, 200, 0, 100},
    {"bytes=+1-2", NULL, NULL, 100, 200, 0, 100},
    {"bytes=1--2", NULL, NULL, 100, 200, 0, 100},
    {"bytes=0x1-0x2", NULL, NULL, 100, 200, 0, 100},
    {"items=0-1", NULL, NULL, 100, 200, 0, 100},
    {"", NULL, NULL, 100, 200, 0, 100},
    /* If-Range */
    {"bytes=10-19", ETAG, NULL, 100, 206, 10, 10},
    {"bytes=10-19", "\"old\"", NULL, 100, 200, 0, 100},
    {"bytes=10-19", "W/" ETAG, NULL, 100, 200, 0, 100},
    {"bytes=10-19", "Wed, 21 Oct 2015 07:28:00 GMT", NULL, 100, 200, 0, 100},
    {"bytes=100-", "\"old\"", NULL, 100, 200, 0, 100},
    /* If-None-Match is evaluated first */
    {NULL, NULL, ETAG, 100, 304, 0, 0},
    {NULL, NULL, "W/" ETAG, 100, 304, 0, 0},
    {NULL, NULL, "*", 100, 304, 0, 0},
    {NULL, NULL, " * ", 100, 304, 0, 0},
    {NULL, NULL, "\"x\", \"y\" ," ETAG, 100, 304, 0, 0},
    {"bytes=10-19", NULL, ETAG, 100, 304, 0, 0},
    {NULL, NULL, "\"ab\"", 100, 200, 0, 100},
    {NULL, NULL, "\"abcd\"", 100, 200, 0, 100},
    {NULL, NULL, "abc", 100, 200, 0, 100},
    {NULL, NULL, "\"abc", 100, 200, 0, 100},
    {NULL, NULL, "\"x\" *", 100, 200, 0, 100},
    {NULL, NULL, "", 100, 200, 0, 100},
    {"bytes=10-19", NULL, "\"x\"", 100, 206, 10, 10},
};

static void test_plan(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct static_request request = {.range = cases[i].range,
                                         .if_range = cases[i].if_range,
                                         .if_none_match = cases[i].if_none_match};
        struct static_plan plan;
        static_file_plan(&request, ETAG, cases[i].size, &plan);
        if (plan.http_status != cases[i].http_status || plan.offset != cases[i].offset ||
            plan.length != cases[i].length) {
            fail_msg("case %zu (%s): %u, %llu bytes from %llu", i,
                     cases[i].range == NULL ? "no range" : cases[i].range,
                     plan.http_status, (unsigned long long)plan.length,
                     (unsigned long long)plan.offset);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_plan)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
