/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The Generic Cell Rate Algorithm. */
#include "shard/gcra.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct gcra gcra_evenly(unsigned max, int64_t period_ms)
{
    CHECK(max > 0 && period_ms > 0);
    int64_t step_us = period_ms * 1000 / max;

    return (struct gcra){.step_us = step_us > 0 ? step_us : 1, .burst = max};
}

struct gcra gcra_at_most(unsigned max, int64_t period_ms)
{
    struct gcra rule = gcra_evenly(max, 2 * period_ms);

    rule.burst = (max - 1) / 2 + 1;
    return rule;
}

int64_t gcra_take(const struct gcra *rule, int64_t *until_us, int64_t now_us)
{
    int64_t full_us = now_us + rule->burst * rule->step_us;
    int64_t until = *until_us > now_us ? *until_us : now_us;

    *until_us = until < full_us ? until : full_us;
    if (*until_us + rule->step_us > full_us) {
        return *until_us + rule->step_us - full_us;
    }
    *until_us += rule->step_us;
    return 0;
}

/* ---- In Redis ---- */

/* now and until in microseconds, which a double holds exactly, and how to write them. A
 * value that is not a number counts as none. */
#define COMMON                                                                           \
    "local key, step = KEYS[1], tonumber(ARGV[1])\n"                                     \
    "local t = redis.call('TIME')\n"                                                     \
    "local now = t[1] * 1000000 + t[2]\n"                                                \
    "local kept = redis.pcall('GET', key)\n"                                             \
    "local last = type(kept) == 'string' and tonumber(kept) or 0\n"                      \
    "if not (last > now) then last = now end\n"                                          \
    "local function put(value)\n"                                                        \
    "  redis.call('SET', key, string.format('%.0f', value), 'PX',\n"                     \
    "    string.format('%.0f', math.ceil((value - now) / 1000)))\n"                      \
    "end\n"

/* ARGV: step, burst. The microseconds to wait, 0 when it was taken. */
static struct rscript take_script = {
    .text = COMMON "local full = now + tonumber(ARGV[2]) * step\n"
                   "if last > full then last = full; put(last) end\n"
                   "if last + step > full then return last + step - full end\n"
                   "put(last + step)\n"
                   "return 0\n"};

/* ARGV: step. */
static struct rscript give_script = {.text = COMMON
                                     "if last - step > now then put(last - step)\n"
                                     "elseif kept then redis.call('DEL', key) end\n"
                                     "return 0\n"};

void gcra_init(void)
{
    rscript_init(&take_script);
    rscript_init(&give_script);
}

#define NUMBER_BYTES 24

static bool add(struct rbatch *batch, const struct rscript *script, const char *key,
                const struct gcra *rule)
{
    char step[NUMBER_BYTES];
    char burst[NUMBER_BYTES];
    const char *argv[] = {step, burst};
    size_t lens[] = {
        (size_t)snprintf(step, sizeof step, "%" PRId64, rule->step_us),
        (size_t)snprintf(burst, sizeof burst, "%" PRId64, rule->burst),
    };

    return rbatch_add_script(batch, script, key, 2, argv, lens);
}

bool gcra_add_take(struct rbatch *batch, const char *key, const struct gcra *rule)
{
    return add(batch, &take_script, key, rule);
}

bool gcra_add_give(struct rbatch *batch, const char *key, const struct gcra *rule)
{
    return add(batch, &give_script, key, rule);
}

bool gcra_taken(const struct rbatch *batch, size_t i, int64_t *wait_us)
{
    const struct rreply *reply =
        rbatch_status(batch, i) == RSTATUS_OK ? rbatch_reply(batch, i) : NULL;

    if (reply == NULL || reply->kind != RREPLY_INTEGER || reply->integer < 0) {
        return false;
    }
    *wait_us = reply->integer;
    return true;
}
