/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The route table: every path that the server answers. */
#ifndef DOUSHARD_API_ROUTES_H
#define DOUSHARD_API_ROUTES_H

#include "server/request/route.h"

const struct route_table *routes_table(void);

#endif
