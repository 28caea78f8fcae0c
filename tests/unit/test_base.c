/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The base library: bounded memory, hexadecimal, clocks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "shard/base/arena.h"
#include "shard/base/buf.h"
#include "shard/base/clock.h"
#include "shard/base/hex.h"
#include "shard/base/line.h"
#include "shard/base/log.h"
#include "shard/base/rnd.h"

static void test_arena_bounds(void **state)
{
    (void)state;
    struct arena arena;

    arena_init(&arena, 10000);
    char *a = arena_alloc(&arena, 100);
    assert_non_null(a);
    assert_int_equal((uintptr_t)a % sizeof(max_align_t), 0);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(a[i], 0);
    }
    memset(a, 1, 100);
    assert_non_null(arena_alloc(&arena, 0));
    assert_null(arena_alloc(&arena, 10001));
    assert_null(arena_alloc(&arena, SIZE_MAX));
    assert_null(arena_calloc(&arena, SIZE_MAX / 2, 3));
    assert_null(arena_strndup(&arena, "x", SIZE_MAX));
    assert_non_null(arena_alloc(&arena, 5000));
    /* earlier allocations count towards the limit */
    assert_null(arena_alloc(&arena, 5000));
    assert_string_equal(arena_printf(&arena, "%d-%s", 7, "x"), "7-x");
    arena_release(&arena);
    assert_non_null(arena_alloc(&arena, 9000)); /* usable again */
    arena_release(&arena);
}

static void test_buf_bounds(void **state)
{
    (void)state;
    struct buf buf;
    size_t len = 0;

    buf_init(&buf, 8);
    assert_true(buf_add(&buf, "abcd", 4));
    assert_true(buf_addf(&buf, "%d", 1234));
    assert_string_equal(buf.data, "abcd1234");
    assert_false(buf_add(&buf, "e", 1));
    assert_true(buf.failed);
    assert_string_equal(buf.data, "abcd1234");
    assert_null(buf_detach(&buf, &len)); /* never half a string */
    assert_true(buf_add(&buf, "", 0));
    char *text = buf_detach(&buf, &len);
    assert_string_equal(text, "");
    assert_int_equal(len, 0);
    free(text);
    buf_clear(&buf);
}

static void test_hex(void **state)
{
    (void)state;
    const unsigned char data[] = {0, 0x7f, 0xff};
    unsigned char back[3];
    char text[7];

    hex_encode(data, 3, text);
    assert_string_equal(text, "007fff");
    assert_true(hex_decode("007FfF", back, 3));
    assert_memory_equal(back, data, 3);
    assert_false(hex_decode("007ff", back, 3));
    assert_false(hex_decode("007fff0", back, 3));
    assert_false(hex_decode("007ffg", back, 3));

    char byte = 0;
    assert_true(hex_escape("%7Ex", 4, &byte));
    assert_int_equal(byte, '~');
    assert_false(hex_escape("%7", 2, &byte));
    assert_false(hex_escape("%7Ex", 2, &byte)); /* the rest is not ours */
    assert_false(hex_escape("%7g", 3, &byte));
    assert_false(hex_escape("+7E", 3, &byte));
    assert_int_equal(byte, '~');
}

static void test_clock_timespec(void **state)
{
    (void)state;
    struct timespec t = clock_timespec(12345);

    assert_int_equal(t.tv_sec, 12);
    assert_int_equal(t.tv_nsec, 345000000);
    assert_true(clock_mono_us() / 1000 <= clock_mono_ms());
}

static void test_rnd_below(void **state)
{
    (void)state;
    unsigned seen = 0;

    for (int i = 0; i < 1000; i++) {
        uint32_t value = rnd_below(3);
        assert_true(value < 3);
        seen |= 1u << value;
    }
    assert_int_equal(seen, 7);
}

static void test_line(void **state)
{
    struct line line = {.used = 0};

    (void)state;
    line_text(&line, "n=");
    line_number(&line, 0, 1);
    line_text(&line, " ");
    line_number(&line, 7, 3);
    line_text(&line, " ");
    line_number(&line, UINT64_MAX, 1);
    line_text(&line, " ");
    line_number(&line, 1, 20);
    assert_string_equal(line_end(&line),
                        "n=0 007 18446744073709551615 00000000000000000001");
    for (int i = 0; i < 1000; i++) {
        line_text(&line, "more");
        assert_true(line.used < sizeof line.text);
    }
    assert_int_equal(strlen(line_end(&line)), LINE_BYTES - 1);
}

static void test_rnd_name(void **state)
{
    unsigned char names[200][8];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        rnd_name(names[i], sizeof names[i]);
        for (size_t j = 0; j < i; j++) {
            assert_memory_not_equal(names[i], names[j], sizeof names[i]);
        }
    }
}

static void test_log_level(void **state)
{
    (void)state;
    enum log_level level = LOG_WARN;

    assert_false(log_level_parse("verbose", &level));
    assert_int_equal(level, LOG_WARN);
    assert_true(log_level_parse("debug", &level));
    assert_int_equal(level, LOG_DEBUG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_arena_bounds), cmocka_unit_test(test_buf_bounds),
        cmocka_unit_test(test_hex),          cmocka_unit_test(test_clock_timespec),
        cmocka_unit_test(test_rnd_below),    cmocka_unit_test(test_log_level),
        cmocka_unit_test(test_line),         cmocka_unit_test(test_rnd_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
