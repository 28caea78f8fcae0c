/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Version and commit of this build, and its directories. */
#ifndef DOUSHARD_BASE_VERSION_H
#define DOUSHARD_BASE_VERSION_H

/* All static texts. */
const char *version_text(void);       /* "0.1.0" */
const char *version_commit(void);     /* short commit id, or "unknown" */
const char *version_sysconfdir(void); /* "/etc/doushard" */

#endif
