/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Base64 without padding (RFC 4648), in the one canonical form only. */
#ifndef DOUSHARD_AUTH_BASE64_H
#define DOUSHARD_AUTH_BASE64_H

#include <stdbool.h>
#include <stddef.h>

#include "shard/base/check.h"

/* STD ends in "+/" (password hashes), URL in "-_" (tokens). */
enum base64_alphabet { BASE64_STD, BASE64_URL };

/* Characters that N bytes take, without the final NUL. */
#define BASE64_LEN(n) (((n)*4 + 2) / 3)

/* Write BASE64_LEN(LEN) characters and a NUL to TEXT; returns the number of characters.
 */
size_t base64_encode(enum base64_alphabet alphabet, const void *data, size_t len,
                     char *text);

/* Decode exactly TEXT_LEN characters to at most SIZE bytes and set *LEN. False: a
 * character outside the alphabet (padding and white space too), an impossible length,
 * unused bits that are not zero, or more than SIZE bytes; DATA may then be partly
 * written. */
bool base64_decode(enum base64_alphabet alphabet, const char *text, size_t text_len,
                   void *data, size_t size, size_t *len) MUST_CHECK;

#endif
