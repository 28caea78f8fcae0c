/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The first bytes of films, and of files that pretend to be films. */
#include <string.h>

#include "shard/base/check.h"

#include "server/media/sniff.h"

#include "tests/unit/cmocka_all.h"

#define BYTES(text) (text), sizeof(text) - 1

static const struct {
    const char *what;
    const char *data;
    size_t len;
    enum sniff_verdict verdict;
} cases[] = {
    {"nothing", BYTES(""), SNIFF_MORE},
    {"half a box",
     BYTES("\0\0\0\x14"
           "ftypisom"),
     SNIFF_MORE},
    {"isom",
     BYTES("\0\0\0\x20"
           "ftypisom\0\0\2\0isomiso2avc1mp41"),
     SNIFF_FILM},
    {"QuickTime",
     BYTES("\0\0\0\x14"
           "ftypqt  \0\0\2\0qt  "),
     SNIFF_FILM},
    {"phone",
     BYTES("\0\0\0\x18"
           "ftyp3gp4\0\0\2\0"
           "3gp4isom"),
     SNIFF_FILM},
    {"sound",
     BYTES("\0\0\0\x18"
           "ftypM4A \0\0\2\0M4A isom"),
     SNIFF_FILM},
    {"odd major brand",
     BYTES("\0\0\0\x18"
           "ftypzzzz\0\0\2\0yyyymp42"),
     SNIFF_FILM},
    {"odd major, more to come",
     BYTES("\0\0\0\x18"
           "ftypzzzz\0\0\2\0yyyy"),
     SNIFF_MORE},
    {"picture heic",
     BYTES("\0\0\0\x18"
           "ftypheic\0\0\0\0mif1heic"),
     SNIFF_OTHER},
    {"picture avif",
     BYTES("\0\0\0\x18"
           "ftypavif\0\0\0\0avifmif1"),
     SNIFF_OTHER},
    {"matroska", BYTES("\x1a\x45\xdf\xa3\x01\0\0\0\0\0\0\x23\x42\x86\x81\x01"),
     SNIFF_OTHER},
    {"playlist", BYTES("#EXTM3U\n#EXT-X-TARGETDURATION:10\n"), SNIFF_OTHER},
    {"list of files", BYTES("ffconcat version 1.0\nfile 'x'\n"), SNIFF_OTHER},
    {"web page", BYTES("<!DOCTYPE html><html><body></body>"), SNIFF_OTHER},
    {"all zero", BYTES("\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"), SNIFF_OTHER},
    {"box too short",
     BYTES("\0\0\0\x0c"
           "ftypisom\0\0\2\0isom"),
     SNIFF_OTHER},
    {"box too long",
     BYTES("\0\xff\xff\xff"
           "ftypisom\0\0\2\0isom"),
     SNIFF_OTHER},
    {"64-bit box",
     BYTES("\0\0\0\1"
           "ftyp\0\0\0\0\0\0\0\x20isom\0\0\2\0"),
     SNIFF_OTHER},
    {"ftyp at 8",
     BYTES("\0\0\0\x08"
           "free\0\0\0\x14"
           "ftypisom\0\0\2\0isom"),
     SNIFF_OTHER},
};

static void test_whole(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct sniff sniff = {0};
        enum sniff_verdict verdict = sniff_feed(&sniff, cases[i].data, cases[i].len);
        if (verdict != cases[i].verdict) {
            fail_msg("%s: %d", cases[i].what, (int)verdict);
        }
    }
}

/* A slow sender gets the same verdict as a fast one. */
static void test_bytewise(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct sniff sniff = {0};
        enum sniff_verdict verdict = SNIFF_MORE;
        for (size_t k = 0; k < cases[i].len; k++) {
            verdict = sniff_feed(&sniff, cases[i].data + k, 1);
        }
        if (verdict != cases[i].verdict) {
            fail_msg("%s: %d", cases[i].what, (int)verdict);
        }
    }
}

/* A file type box longer than what is kept, without a known brand in that part. */
static void test_long_box(void **state)
{
    (void)state;
    unsigned char data[1024];
    memset(data, 'z', sizeof data);
    static const unsigned char start[] = {0, 0, 4, 0, 'f', 't', 'y', 'p'};
    memcpy(data, start, sizeof start);
    struct sniff sniff = {0};
    assert_int_equal(sniff_feed(&sniff, data, SNIFF_BYTES - 1), SNIFF_MORE);
    assert_int_equal(sniff_feed(&sniff, data, sizeof data), SNIFF_OTHER);
    /* the verdict is final */
    assert_int_equal(sniff_feed(&sniff,
                                "\0\0\0\x14"
                                "ftypisom\0\0\2\0",
                                16),
                     SNIFF_OTHER);
}

/* Pictures are recognised by their signatures, whole and byte by byte; films are not
 * pictures. */
static void test_pictures(void **state)
{
    static const struct {
        const char *data;
        size_t len;
        enum sniff_verdict verdict;
    } rows[] = {
        {"\xff\xd8\xff\xe0\0\x10JFIF\0\1", 12, SNIFF_JPEG},
        {"\x89PNG\r\n\x1a\n\0\0\0\x0d", 12, SNIFF_PNG},
        {"RIFF\x24\0\0\0WEBPVP8 ", 16, SNIFF_WEBP},
        {"RIFF\x24\0\0\0WAVEfmt ", 16, SNIFF_OTHER},
        {"\x89PNG\n\n\x1a\n\0\0\0\x0d", 12, SNIFF_OTHER},
        {"GIF89a\1\0\1\0\0\0", 12, SNIFF_OTHER},
        {"\0\0\0\x14"
         "ftypisom\0\0\2\0isom",
         20, SNIFF_OTHER},
        {"<svg xmlns=\"x\">", 15, SNIFF_OTHER},
        {"\xff\xd8\xff", 3, SNIFF_MORE},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct sniff whole = {.wish = SNIFF_WANT_PICTURE};
        struct sniff slow = {.wish = SNIFF_WANT_PICTURE};
        enum sniff_verdict verdict = SNIFF_MORE;
        for (size_t k = 0; k < rows[i].len; k++) {
            verdict = sniff_feed(&slow, rows[i].data + k, 1);
        }
        if (verdict != rows[i].verdict ||
            sniff_feed(&whole, rows[i].data, rows[i].len) != rows[i].verdict) {
            fail_msg("row %zu: %d", i, (int)verdict);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole),
        cmocka_unit_test(test_bytewise),
        cmocka_unit_test(test_long_box),
        cmocka_unit_test(test_pictures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
