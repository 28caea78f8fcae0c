/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Batches of operations: what is sent, in which order, and what does not fit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "shard/ops.h"

static void test_render(void **state)
{
    (void)state;
    struct arena arena;
    struct ops *ops = ops_new();
    const unsigned char op[] = {0x00, 0xab, 0xff};
    const struct ops_ref refs[] = {{.ops = ops, .i = 1}, {.ops = ops, .i = 0}};
    size_t len = 0;
    uint32_t slot = 0;

    arena_init(&arena, 1 << 20);
    ops_add_owner(ops, 42);
    ops_text(ops, "title", "a \"quote\" and \xe6\x8a\x96");
    ops_add(ops, 3, 0);
    ops_hex(ops, "op", op, sizeof op);
    ops_number(ops, "max", -5);
    assert_int_equal(ops_count(ops), 2);
    assert_false(ops_fixed_slot(ops, 0, &slot));
    assert_true(ops_fixed_slot(ops, 1, &slot));
    assert_int_equal(slot, 3);
    ops_place(ops, 0, 9, 7);
    ops_place(ops, 1, 3, 1);
    const char *json = ops_render(refs, 2, &arena, &len);
    assert_non_null(json);
    assert_int_equal(strlen(json), len);
    assert_string_equal(
        json, "[{\"op\":\"00abff\",\"max\":-5,\"slot\":3,\"epoch\":1,\"owner\":0},"
              "{\"title\":\"a \\\"quote\\\" and \xe6\x8a\x96\",\"slot\":9,\"epoch\":7,"
              "\"owner\":42}]");
    /* placed again for the next attempt: only slot and epoch change */
    ops_place(ops, 1, 4, 2);
    json = ops_render(refs, 1, &arena, &len);
    assert_non_null(strstr(json, "\"slot\":4,\"epoch\":2"));
    assert_non_null(strstr(json, "\"op\":\"00abff\""));
    /* the place of a target is sent only if it was placed */
    ops_target(ops, 77);
    assert_true(ops_get_target(ops, 0) == 0 && ops_get_target(ops, 1) == 77);
    json = ops_render(&refs[0], 1, &arena, &len);
    assert_null(strstr(json, "target"));
    ops_place_target(ops, 1, 1023, 12);
    json = ops_render(&refs[0], 1, &arena, &len);
    assert_string_equal(json, "[{\"op\":\"00abff\",\"max\":-5,\"target_slot\":1023,"
                              "\"target_epoch\":12,\"slot\":4,\"epoch\":2,\"owner\":0}]");
    assert_int_equal(strlen(json), len);
    ops_place_target(ops, 1, 1023, 0);
    json = ops_render(&refs[0], 1, &arena, &len);
    assert_null(strstr(json, "target"));
    ops_free(&ops);
    assert_null(ops);
    arena_release(&arena);
}

static void test_order(void **state)
{
    (void)state;
    struct ops *ops = ops_new();
    struct ops *others = ops_new();
    struct ops_ref refs[6];
    const size_t expected[] = {3, 1, 4, 0, 2};

    ops_add(ops, 5, 9);
    ops_add(ops, 2, 8);
    ops_add(ops, 7, 1);
    ops_add(ops, 2, 3);
    ops_add(ops, 2, 8); /* equal keys keep their order */
    ops_add(others, 5, 7);
    for (size_t i = 0; i < 5; i++) {
        refs[i] = (struct ops_ref){.ops = ops, .i = i};
    }
    ops_sort(refs, 5);
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(refs[i].i, expected[i]);
    }
    /* operations of another request are sorted in among them */
    refs[5] = (struct ops_ref){.ops = others, .i = 0};
    ops_sort(refs, 6);
    assert_ptr_equal(refs[3].ops, others);
    ops_free(&others);
    ops_free(&ops);
}

/* Operations on the same thing have a mark in common, others do not. */
static void test_marks(void **state)
{
    (void)state;
    struct ops *ops = ops_new();

    ops_add_owner(ops, 1);
    ops_text(ops, "text", "it has a \",\"peer\":7, too");
    ops_number(ops, "target", 7);
    ops_text(ops, "op", "ab");
    ops_add_owner(ops, 1);
    ops_number(ops, "target", 7);
    ops_text(ops, "op", "ac");
    ops_add_owner(ops, 2);
    ops_number(ops, "target", 7);
    ops_text(ops, "op", "ab");
    assert_int_not_equal(ops_mark(ops, 0, "target"), 0);
    assert_true(ops_mark(ops, 0, "target") == ops_mark(ops, 1, "target"));
    assert_true(ops_mark(ops, 0, "op") != ops_mark(ops, 1, "op"));
    assert_true(ops_mark(ops, 0, "target") != ops_mark(ops, 2, "target"));
    assert_true(ops_mark(ops, 0, "op") != ops_mark(ops, 2, "op"));
    assert_true(ops_mark(ops, 0, "op") != ops_mark(ops, 0, "target"));
    assert_int_equal(ops_mark(ops, 0, "peer"), 0);
    ops_free(&ops);
}

static void test_does_not_fit(void **state)
{
    (void)state;
    struct arena arena;
    struct ops *ops = ops_new();
    struct ops_ref refs[OPS_MAX];
    size_t len = 0;

    arena_init(&arena, 1 << 20);
    for (size_t i = 0; i < OPS_MAX; i++) {
        ops_add_owner(ops, i + 1);
        refs[i] = (struct ops_ref){.ops = ops, .i = i};
    }
    assert_non_null(ops_render(refs, OPS_MAX, &arena, &len));
    ops_add_owner(ops, 1); /* one too many */
    assert_null(ops_render(refs, OPS_MAX, &arena, &len));
    ops_free(&ops);

    ops = ops_new();
    ops_add_owner(ops, 1);
    ops_text(ops, "title", "\xff is no UTF-8");
    refs[0].ops = ops;
    assert_null(ops_render(refs, 1, &arena, &len));
    ops_free(&ops);
    arena_release(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_render),
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_marks),
        cmocka_unit_test(test_does_not_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
