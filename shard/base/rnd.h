/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Random bytes from the kernel, for tokens, keys and operation ids. */
#ifndef DOUSHARD_BASE_RND_H
#define DOUSHARD_BASE_RND_H

#include <stddef.h>
#include <stdint.h>

/* Fill DATA with LEN unpredictable bytes (getrandom(2)). Cannot fail: a kernel without
 * randomness ends the process. Thread-safe. */
void rnd_bytes(void *data, size_t len);

/* The same for names that are not secret, such as those of requests: from bytes that the
 * thread has drawn in advance, so that not every name costs a system call. */
void rnd_name(void *data, size_t len);

/* A number in [0, BELOW); BELOW > 0. For jitter and choice, not for secrets. */
uint32_t rnd_below(uint32_t below);

#endif
