/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Base64 without padding; a text that an encoder would not write is refused, so no value
 * has two spellings. */
#include "server/auth/base64.h"

#include <stdint.h>

static const char COMMON[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

static char to_char(enum base64_alphabet alphabet, uint32_t value)
{
    if (value < 62) {
        return COMMON[value];
    }
    if (alphabet == BASE64_URL) {
        return value == 62 ? '-' : '_';
    }
    return value == 62 ? '+' : '/';
}

/* The value of C, or -1. */
static int from_char(enum base64_alphabet alphabet, char c)
{
    if (c >= 'A' && c <= 'Z') {
        return c - 'A';
    }
    if (c >= 'a' && c <= 'z') {
        return c - 'a' + 26;
    }
    if (c >= '0' && c <= '9') {
        return c - '0' + 52;
    }
    if (c == to_char(alphabet, 62)) {
        return 62;
    }
    return c == to_char(alphabet, 63) ? 63 : -1;
}

size_t base64_encode(enum base64_alphabet alphabet, const void *data, size_t len,
                     char *text)
{
    const unsigned char *bytes = data;
    uint32_t bits = 0;
    unsigned n_bits = 0;
    size_t n = 0;

    for (size_t i = 0; i < len; i++) {
        bits = (bits << 8 | bytes[i]) & 0xffff;
        for (n_bits += 8; n_bits >= 6; n_bits -= 6) {
            text[n++] = to_char(alphabet, bits >> (n_bits - 6) & 63);
        }
    }
    if (n_bits > 0) {
        text[n++] = to_char(alphabet, bits << (6 - n_bits) & 63);
    }
    text[n] = '\0';
    return n;
}

bool base64_decode(enum base64_alphabet alphabet, const char *text, size_t text_len,
                   void *data, size_t size, size_t *len)
{
    unsigned char *bytes = data;
    uint32_t bits = 0;
    unsigned n_bits = 0;
    size_t n = 0;

    if (text_len % 4 == 1) {
        return false;
    }
    for (size_t i = 0; i < text_len; i++) {
        int value = from_char(alphabet, text[i]);
        if (value < 0) {
            return false;
        }
        bits = (bits << 6 | (uint32_t)value) & 0xffff;
        n_bits += 6;
        if (n_bits >= 8) {
            n_bits -= 8;
            if (n == size) {
                return false;
            }
            bytes[n++] = (unsigned char)(bits >> n_bits & 0xff);
        }
    }
    if ((bits & ((1U << n_bits) - 1)) != 0) {
        return false;
    }
    *len = n;
    return true;
}
