/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Assertions and small macros that every file may use. */
#ifndef DOUSHARD_BASE_CHECK_H
#define DOUSHARD_BASE_CHECK_H

/* End the process when an invariant of ours is broken. Always compiled in. Nothing that
 * depends on input from a client, a file or a server may be asserted. */
#define CHECK(condition)                                                                 \
    do {                                                                                 \
        if (!(condition)) {                                                              \
            check_failed(__FILE__, __LINE__, #condition);                                \
        }                                                                                \
    } while (0)

#define MUST_CHECK              __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt, first) __attribute__((format(printf, fmt, first)))
#define ARRAY_LEN(array)        (sizeof(array) / sizeof((array)[0]))

/* Log the broken invariant and abort. */
_Noreturn void check_failed(const char *file, int line, const char *condition);

#endif
