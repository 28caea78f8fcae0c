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

/* On the way back everybody waits for it: there is no bound, but for what is removed. */
static uint32_t bound_of(const struct move_run *run)
{
    return run->from == run->giver || run->is_removing ? run->move->rows_per_s : 0;
}

uint64_t run_chunk_rows(const struct move_run *run, uint64_t most)
{
    const uint64_t rows_per_s = bound_of(run);
    const uint64_t share = rows_per_s / CHUNKS_PER_S + 1;

    return rows_per_s == 0 || share > most ? most : share;
}

int64_t pace_due_us(const struct pace_step *step)
{
    const int64_t took_us = step->ended_us - step->began_us;
    const int64_t free_us = step->ended_us + (step->is_slowed ? THROTTLED * took_us : 0);
    const int64_t bound_us =
        step->rows_per_s == 0
            ? 0
            : step->began_us + (int64_t)(step->rows * 1000000 / step->rows_per_s);

    return bound_us > free_us ? bound_us : free_us;
}

enum move_status run_pace(struct move_run *run, struct pace *pace, int64_t step_us,
                          uint64_t n)
{
    /* No credit for time in which nothing could be done. */
    const int64_t began_us = pace->due_us > step_us ? pace->due_us : step_us;
    struct pace_step step = {
        .began_us = began_us, .ended_us = clock_mono_us(), .rows = n};
    enum move_status status = MOVE_OK;
    int64_t left_us;

    do {
        step.rows_per_s = bound_of(run); /* by what is wished now */
        step.is_slowed = run->throttle[0] != '\0';
        pace->due_us = pace_due_us(&step);
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
