/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* What the operator's listener answers: liveness, readiness, metrics. */
#ifndef DOUSHARD_ADMIN_H
#define DOUSHARD_ADMIN_H

struct request;

/* Handlers of routes with their own listener; none asks a shard, so that they answer when
 * nothing else does. */

/* GET /livez: 200 "ok" as long as the process can answer at all. */
void h_livez(struct request *req);

/* GET /readyz, /healthz: 200 "ok" when every slot has an owner that is up and the process
 * is not draining, else 503; `?verbose` lists each check as "[+]name ok" or "[-]name
 * why". */
void h_readyz(struct request *req);

/* GET /metrics: Prometheus text format 0.0.4. */
void h_metrics(struct request *req);

#endif
