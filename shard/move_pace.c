/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* How fast a move copies, compares and removes rows. */
#include <time.h>

#include "shard/base/clock.h"

#include "shard/move_impl.h"

/* While there is a reason to be slow, pauses are so many times what chunks take. */
#define THROTTLED 4

/* A pause is cut into such pieces, in which slot_move is heard. */
#define SLICE_MS 200

/* Chunks a second at least, so that a bound is kept evenly. */
#define CHUNKS_PER_S 5

void run_sleep_ms(int ms)
{
    const struct timespec pause = {.tv_sec = ms / 1000,
                                   .tv_nsec = (long)(ms % 1000) * 1000000L};

    nanosleep(&pause, NULL);
}

/* On the way back everybody waits for it: there is no bound. */
static uint32_t bound_of(const struct move_run *run)
{
    return run->from == run->giver ? run->move->rows_per_s : 0;
}

uint64_t run_chunk_rows(const struct move_run *run, uint64_t most)
{
    const uint64_t rows_per_s = bound_of(run);
    const uint64_t share = rows_per_s / CHUNKS_PER_S + 1;

    return rows_per_s == 0 || share > most ? most : share;
}

/* When the next step is due after one from BEGAN_US to ENDED_US, by what is wished now.
 */
static int64_t due_us(const struct move_run *run, int64_t began_us, int64_t ended_us,
                      uint64_t n)
{
    const uint32_t rows_per_s = bound_of(run);

    if (rows_per_s > 0) {
        return began_us + (int64_t)(n * 1000000 / rows_per_s);
    }
    return ended_us + (run->throttle[0] != '\0' ? THROTTLED * (ended_us - began_us) : 0);
}

enum move_status run_pace(struct move_run *run, struct pace *pace, int64_t step_us,
                          uint64_t n)
{
    /* No credit for time in which nothing could be done. */
    const int64_t began_us = pace->due_us > step_us ? pace->due_us : step_us;
    const int64_t ended_us = clock_mono_us();
    enum move_status status = MOVE_OK;
    int64_t left_us;

    do {
        pace->due_us = due_us(run, began_us, ended_us, n);
        left_us = pace->due_us - clock_mono_us();
        if (left_us > 0) {
            run_sleep_ms((int)clock_earlier(left_us / 1000 + 1, SLICE_MS));
            status = run_tick(run);
        }
        if (status == MOVE_OK && left_us > 0 && pace->drains) {
            status = run_drain_some(run);
        }
    } while (status == MOVE_OK && left_us > 0);
    return status;
}
