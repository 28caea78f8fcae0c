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

uint64_t run_chunk_rows(const struct move_run *run, uint64_t most)
{
    const uint64_t rows_per_s = run->move->rows_per_s;
    const uint64_t share = rows_per_s / CHUNKS_PER_S + 1;

    return rows_per_s == 0 || share > most ? most : share;
}

enum move_status run_pace(struct move_run *run, struct pace *pace, int64_t step_us,
                          uint64_t n)
{
    int64_t now_us = clock_mono_us();
    const uint32_t rows_per_s = run->move->rows_per_s;
    enum move_status status = MOVE_OK;

    if (rows_per_s > 0) {
        /* No credit for time in which nothing could be done. */
        pace->due_us = pace->due_us < step_us ? step_us : pace->due_us;
        pace->due_us += (int64_t)(n * 1000000 / rows_per_s);
    } else {
        pace->due_us =
            now_us + (run->throttle[0] != '\0' ? THROTTLED * (now_us - step_us) : 0);
    }
    while (status == MOVE_OK && pace->due_us > now_us) {
        int64_t left_ms = (pace->due_us - now_us) / 1000 + 1;
        run_sleep_ms((int)clock_earlier(left_ms, SLICE_MS));
        status = run_tick(run);
        now_us = clock_mono_us();
    }
    return status;
}
