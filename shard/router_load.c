/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Reports the load of slots and owners to their shards. */
#include <stdlib.h>

#include "shard/base/buf.h"
#include "shard/base/clock.h"

#include "shard/router_impl.h"

/* Limits of load_add. */
#define REPORT_SLOTS_MAX 2048
#define REPORT_BYTES_MAX 262144

/* One step of load_measure. */
#define MEASURE_ROWS  20000
#define MEASURE_SLOTS 16

#define REPORT_ARENA_BYTES (1u << 20)

/* A report, and its memory. */
struct report {
    struct shard *shard;
    struct dbconn *conn;
    struct slotload_slot slots[REPORT_SLOTS_MAX];
    struct slotload_owner owners[SLOTLOAD_OWNERS];
    size_t n_slots, n_owners;
    struct buf slots_json, owners_json;
    struct errmsg *err; /* (ref) why there was no answer */
};

static bool is_on_shard(void *context, uint32_t slot)
{
    const struct shard *shard = context;

    return slotmap_get(shard->router->map, slot).server == shard->index;
}

static bool ask(struct report *report, enum proc_id proc, const struct dbarg *args)
{
    struct arena arena;
    struct dbexec exec = {
        .conn = report->conn, .proc = proc, .args = args, .arena = &arena};

    arena_init(&arena, REPORT_ARENA_BYTES);
    dbexec_run(&exec, 1, clock_mono_ms() + report->shard->router->call_timeout_ms);
    if (exec.status != DB_OK) {
        (void)errmsg_set(report->err, "%s", exec.detail);
    }
    arena_release(&arena);
    return exec.status == DB_OK;
}

static bool write_report(struct report *report)
{
    struct buf *buf = &report->slots_json;
    bool good = buf_add(buf, "[", 1) && buf_add(&report->owners_json, "[", 1);

    for (size_t i = 0; good && i < report->n_slots; i++) {
        const struct slotload_slot *slot = &report->slots[i];
        good =
            buf_addf(buf, "%s{\"slot\":%u,\"operations\":%llu,\"busy_us\":%llu}",
                     i == 0 ? "" : ",", slot->slot, (unsigned long long)slot->operations,
                     (unsigned long long)slot->busy_us);
    }
    buf = &report->owners_json;
    for (size_t i = 0; good && i < report->n_owners; i++) {
        const struct slotload_owner *owner = &report->owners[i];
        good = buf_addf(buf,
                        "%s{\"slot\":%u,\"owner\":%llu,\"operations\":%llu,"
                        "\"busy_us\":%llu}",
                        i == 0 ? "" : ",", owner->slot, (unsigned long long)owner->owner,
                        (unsigned long long)owner->operations,
                        (unsigned long long)owner->busy_us);
    }
    return good && buf_add(&report->slots_json, "]", 1) && buf_add(buf, "]", 1);
}

/* Send the CALLs of one report. What does not fit waits for the next one. */
static bool send_report(struct report *report)
{
    struct slotload *load = report->shard->router->load;
    const struct dbarg measure[] = {dbarg_number(MEASURE_ROWS),
                                    dbarg_number(MEASURE_SLOTS)};

    report->n_slots = slotload_take_slots(load, is_on_shard, report->shard, report->slots,
                                          REPORT_SLOTS_MAX);
    report->n_owners =
        slotload_take_owners(load, is_on_shard, report->shard, report->owners);
    if (report->n_slots > 0) {
        if (!write_report(report)) {
            return true; /* out of memory, which is not the shard's fault */
        }
        const struct dbarg add[] = {
            dbarg_text(report->slots_json.data, report->slots_json.len),
            dbarg_text(report->owners_json.data, report->owners_json.len)};
        if (!ask(report, PROC_LOAD_ADD, add)) {
            return false;
        }
    }
    return ask(report, PROC_LOAD_MEASURE, measure);
}

bool load_report(struct shard *shard, struct dbconn *conn, struct errmsg *err)
{
    struct report *report = calloc(1, sizeof *report);

    if (report == NULL) {
        return true;
    }
    report->shard = shard;
    report->conn = conn;
    report->err = err;
    buf_init(&report->slots_json, REPORT_BYTES_MAX);
    buf_init(&report->owners_json, REPORT_BYTES_MAX);
    bool good = send_report(report);
    buf_clear(&report->slots_json);
    buf_clear(&report->owners_json);
    free(report);
    return good;
}
