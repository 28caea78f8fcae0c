/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* cmocka, after the headers that must be included before it. */
#ifndef DOUSHARD_TESTS_CMOCKA_ALL_H
#define DOUSHARD_TESTS_CMOCKA_ALL_H

// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#endif
