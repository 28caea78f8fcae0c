/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Which versions on a shard work with a program, and which side must be upgraded. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "shard/proc.h"

static void test_versions(void **state)
{
    (void)state;
    /* A shard's version, the oldest version that it supports, ours, and who must be
     * upgraded. */
    static const struct {
        struct proc_version theirs;
        uint32_t ours;
        const char *who;
    } cases[] = {
        {{1, 1}, 1, ""},
        {{3, 3}, 3, ""},
        {{3, 2}, 2, ""},
        {{3, 1}, 2, ""},
        {{3, 3}, 2, "serves programs from version 3 on, this one knows 2: upgrade this"},
        {{9, 4}, 3, "serves programs from version 4 on, this one knows 3: upgrade this"},
        {{2, 1}, 3, "has version 2, this program needs 3: run migrate"},
        {{2, 2}, 3, "has version 2, this program needs 3: run migrate"},
        {{0, 0}, 1, "no user_get: run migrate"},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct errmsg err = {.text = ""};
        bool served = proc_is_served("user_get", cases[i].theirs, cases[i].ours, &err);
        assert_int_equal(served, cases[i].who[0] == '\0');
        assert_non_null(strstr(err.text, cases[i].who));
        assert_int_equal(served, err.text[0] == '\0');
    }
}

/* The arguments of every CALL fit, whatever procs.def says. */
static void test_table(void **state)
{
    (void)state;
    for (enum proc_id id = 0; id < PROC__COUNT; id++) {
        const struct proc *proc = proc_get(id);
        unsigned marks = 0;
        for (const char *at = proc->sql; *at != '\0'; at++) {
            marks += *at == '?';
        }
        assert_int_equal(marks, proc->n_args);
        assert_true(proc->n_args <= PROC_ARGS_MAX);
        assert_true(proc->version >= 1);
        assert_non_null(strstr(proc->sql, proc->routine));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_versions),
        cmocka_unit_test(test_table),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
