/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Progress of the clients of the ledger test, printed as a line now and then: answers per
 * second, how long they took, how many were not "ok". */
#ifndef DOUSHARD_TESTS_LEDGER_PROGRESS_H
#define DOUSHARD_TESTS_LEDGER_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct progress;

/* Print a line to OUT every EVERY_MS, on a thread of its own. */
struct progress *progress_start(FILE *out, unsigned every_ms);

/* A request has ended after US. NULL is allowed. Called from any thread. */
void progress_note(struct progress *progress, int64_t us, bool is_ok);

/* Print the last line, and free it. */
void progress_stop(struct progress **progress);

#endif
