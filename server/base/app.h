/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The parts of one server process, passed by pointer to whatever needs them. */
#ifndef DOUSHARD_BASE_APP_H
#define DOUSHARD_BASE_APP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct auth;
struct cache;
struct config;
struct delivery;
struct fibers;
struct http;
struct janitor;
struct media;
struct metrics;
struct pages;
struct rate;
struct rcluster;
struct relay;
struct router;
struct storage;
struct sweep;
struct uploads;
struct words;
struct workers;

/* Made and taken apart by main.c only. The pointers are set before the first request and
 * stay until the last one has been answered; everything they point at is thread-safe.
 * A part that is NULL was not started (tests of single parts). */
struct app {
    /* The snapshot in force; SIGHUP swaps it. Read it once per request, with
     * app_config(), so that a request sees one set of values. Old snapshots stay valid
     * until the process ends. */
    const struct config *_Atomic config;

    struct rcluster *redis;    /* Redis; NULL: none */
    struct cache *cache;       /* cached rows of the shards; NULL: none */
    struct pages *pages;       /* pages ready to be sent; NULL without a cache */
    struct router *router;     /* shards */
    struct delivery *delivery; /* delivers second halves at once */
    struct relay *relay;       /* delivers the second halves left over */
    struct words *words;       /* the filter of texts; NULL: none */
    struct rate *rate;         /* rate limits */
    struct auth *auth;         /* token keys, password hashing, session cache */
    struct storage *storage;   /* media files */
    struct uploads *uploads;   /* files being received (upload.h) */
    struct media *media;       /* probing and cover cutting in jails */
    struct fibers *fibers;     /* the threads on which requests run */
    struct workers *workers;   /* threads for requests that compute */
    struct workers *disk;      /* threads for everything that touches media files */
    struct http *http;         /* listeners */
    unsigned port;             /* of the public listener; 0: not listening */
    struct janitor *janitor;   /* runs durable jobs */
    struct sweep *sweep;       /* removes files that no row names */
    struct metrics *metrics;   /* counters */

    int64_t start_wall_ms; /* when this process started, ms since 1970 UTC */
    atomic_bool draining;  /* SIGTERM came: /readyz says no, connections close */
};

/* The options in force now. */
static inline const struct config *app_config(const struct app *app)
{
    return app->config;
}

#endif
