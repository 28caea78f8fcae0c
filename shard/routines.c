/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
#include "shard/routines.h"

#include <string.h>

#include "shard/proc.h"

/* A mark that migrate makes when all routines are loaded, and that routine_list then
 * lists. */
#define COMPLETE_MARK "_install_fingerprint"

struct routine {
    const char *name;
    struct proc_version is;
};

static const struct dbfield fields[] = {
    {.column = "name", .kind = DBFIELD_TEXT, .offset = offsetof(struct routine, name)},
    {.column = "version",
     .kind = DBFIELD_U32,
     .offset = offsetof(struct routine, is.version)},
    {.column = "serves",
     .kind = DBFIELD_U32,
     .offset = offsetof(struct routine, is.serves)},
};

/* The version of routine NAME in LIST. */
static struct proc_version version_of(const struct dbresult *list, const char *name)
{
    struct routine row;

    for (size_t i = 0; list != NULL && i < list->n_rows; i++) {
        if (dbresult_read(list, i, fields, ARRAY_LEN(fields), &row) &&
            strcmp(row.name, name) == 0) {
            return row.is;
        }
    }
    return (struct proc_version){0};
}

bool routines_serve(const struct dbresult *list, bool must_be_complete,
                    struct errmsg *err)
{
    for (enum proc_id id = 0; id < PROC__COUNT; id++) {
        const struct proc *proc = proc_get(id);
        if (!proc_is_served(proc->routine, version_of(list, proc->routine), proc->version,
                            err)) {
            return false;
        }
    }
    if (must_be_complete && version_of(list, COMPLETE_MARK).version == 0) {
        return errmsg_set(
            err, "its routines are not all loaded: run migrate, or wait for its end");
    }
    return true;
}
