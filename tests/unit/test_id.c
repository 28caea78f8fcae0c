/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Ids, and the slots of names, compared with values from MariaDB's CRC32(). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "shard/base/check.h"

#include "shard/id.h"

static void test_parts(void **state)
{
    (void)state;
    /* 1 ms after the epoch, slot 513, low bits 5 */
    uint64_t id = 8192 + UINT64_C(513) * 8 + 5;

    assert_int_equal(id_slot(id), 513);
    assert_int_equal(id_time_ms(id), ID_EPOCH_MS + 1);
    assert_int_equal(id_slot(ID_MAX), 1023);
    /* 40 bits of milliseconds last until November 2059 */
    assert_int_equal(id_time_ms(ID_MAX), ID_EPOCH_MS + (INT64_C(1) << 40) - 1);
}

static void test_validity(void **state)
{
    (void)state;
    assert_false(id_is_valid(0));
    assert_true(id_is_valid(1));
    assert_true(id_is_valid(ID_MAX));
    assert_false(id_is_valid(ID_MAX + 1));
    assert_false(id_is_valid(UINT64_MAX));
    /* why 53 bits: every id survives a client that parses numbers as doubles */
    assert_true((uint64_t)(double)ID_MAX == ID_MAX);
}

static void test_name_slot(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        uint32_t crc32; /* SELECT CRC32(name) */
    } golden[] = {
        {"", 0},
        {"a", 3904355907},
        {"123456789", 3421780262}, /* the check value of CRC-32/ISO-HDLC */
        {"douyin", 540119987},
        {"\xe6\x8a\x96\xe9\x9f\xb3", 270586043}, /* the UTF-8 bytes count */
    };

    for (size_t i = 0; i < ARRAY_LEN(golden); i++) {
        assert_int_equal(id_name_slot(golden[i].name, strlen(golden[i].name)),
                         golden[i].crc32 % SHARED_SLOTS);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parts),
        cmocka_unit_test(test_validity),
        cmocka_unit_test(test_name_slot),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
