/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* THE route table: every path the server answers. */
#ifndef DOUSHARD_ROUTES_H
#define DOUSHARD_ROUTES_H

#include "server/route.h"

const struct route_table *routes_table(void);

#endif
