/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The context that travels with one request through the shard library. */
#include "shard/call.h"

#include <stdarg.h>
#include <stdio.h>

#include "shard/base/clock.h"

void call_init(struct call *call, struct arena *arena, int64_t deadline_ms)
{
    *call = (struct call){.arena = arena, .deadline_ms = deadline_ms};
}

void call_explain(struct call *call, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    vsnprintf(call->detail, sizeof call->detail, fmt, args);
    va_end(args);
}

enum outcome call_no_memory(struct call *call)
{
    call_explain(call, "out of memory");
    return OUTCOME_NOMEM;
}

void own_call_begin(struct own_call *own, size_t arena_bytes, int64_t limit_ms)
{
    arena_init(&own->arena, arena_bytes);
    call_init(&own->call, &own->arena, clock_mono_ms() + limit_ms);
}

void own_call_end(struct own_call *own)
{
    arena_release(&own->arena);
}
