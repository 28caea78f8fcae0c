/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The end of a feed page: never inside a group of equal times. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "shard/base/check.h"

#include "shard/feed.h"

static void test_page_length(void **state)
{
    (void)state;
    static const struct {
        const char *what;
        int64_t times[8]; /* newest first; 0 ends the list */
        size_t limit;
        size_t length;
    } cases[] = {
        {"nothing", {0}, 3, 0},
        {"all fit", {9, 8, 7}, 3, 3},
        {"cut between times", {9, 8, 7, 6}, 3, 3},
        {"the group waits for the next page", {9, 8, 7, 7}, 3, 2},
        {"a long group waits too", {9, 7, 7, 7, 7, 6}, 3, 1},
        {"the group is the whole page", {7, 7, 7, 7, 7, 6}, 3, 5},
        {"the group is all there is", {7, 7, 7, 7}, 3, 4},
        {"a group that just fits", {7, 7, 7, 6}, 3, 3},
        {"a page of one", {9, 8}, 1, 1},
        {"a page of one with a group", {9, 9, 8}, 1, 2},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct video_card videos[8] = {{.id = 0}};
        size_t n = 0;
        while (n < 8 && cases[i].times[n] != 0) {
            videos[n].published_at_ms = cases[i].times[n];
            n++;
        }
        print_message("# %s\n", cases[i].what);
        assert_int_equal(feed_page_length(videos, n, cases[i].limit), cases[i].length);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_page_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
