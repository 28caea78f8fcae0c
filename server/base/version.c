/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The only file that is compiled with the version, the commit and the directories, so
 * that a new commit rebuilds nothing else. */
#include "server/base/version.h"

#ifndef DOUSHARD_VERSION
#define DOUSHARD_VERSION "unknown"
#endif
#ifndef DOUSHARD_COMMIT
#define DOUSHARD_COMMIT "unknown"
#endif
#ifndef DOUSHARD_SYSCONFDIR
#define DOUSHARD_SYSCONFDIR "/etc/doushard"
#endif

const char *version_text(void)
{
    return DOUSHARD_VERSION;
}

const char *version_commit(void)
{
    return DOUSHARD_COMMIT;
}

const char *version_sysconfdir(void)
{
    return DOUSHARD_SYSCONFDIR;
}
