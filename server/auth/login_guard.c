/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The throttle in front of every comparison of a password, and that of all servers. */
#include "server/auth/login_guard.h"

#include <string.h>

#include "shard/base/address.h"
#include "shard/base/clock.h"
#include "shard/base/log.h"

#include "server/auth/auth.h"
#include "server/base/app.h"
#include "server/base/metrics.h"
#include "server/config/config.h"
#include "server/request/request.h"

static struct throttle_try try_at(const struct request *req, enum throttle_kind kind,
                                  const void *account, size_t account_len)
{
    return (struct throttle_try){.kind = kind,
                                 .account = account,
                                 .account_len = account_len,
                                 .address = request_client(req)};
}

static struct throttle_limits limits_of(const struct config *config)
{
    return (struct throttle_limits){
        .tries = (unsigned)config->login_tries,
        .wait_max_ms = (int64_t)config->login_wait_max_s * 1000,
        .account_max = (unsigned)config->login_account_max,
        .address_max = (unsigned)config->login_address_max,
    };
}

/* How long to wait by the throttle of this process, which first asks the other servers
 * whether the address is known to the account. 0: it has been entered. */
static int64_t enter_here(struct login_guard *guard, const struct throttle_limits *limits,
                          const struct throttle_try *attempt)
{
    struct throttle *throttle = auth_throttle(guard->req->app->auth);

    if (!throttle_knows(throttle, attempt, clock_mono_ms()) &&
        login_shared_knows(&guard->shared)) {
        throttle_know(throttle, attempt, clock_mono_ms());
    }
    return throttle_enter(throttle, limits, attempt, clock_mono_ms(), &guard->pass);
}

/* The same by what all servers count. */
static int64_t enter_all(struct login_guard *guard)
{
    struct app *app = guard->req->app;

    if (!throttle_is_stranger(&guard->pass)) {
        return 0;
    }
    int64_t wait_ms = login_shared_enter(&guard->shared);
    if (wait_ms > 0) {
        throttle_leave(auth_throttle(app->auth), &guard->pass, THROTTLE_UNKNOWN,
                       clock_mono_ms());
    }
    return wait_ms;
}

static bool enter(struct login_guard *guard, struct request *req,
                  const struct throttle_try *attempt)
{
    const struct throttle_limits limits = limits_of(app_config(req->app));
    char text[ADDRESS_TEXT_BYTES];

    guard->req = req;
    login_shared_init(&guard->shared, req->app, &limits, attempt);
    int64_t wait_ms = enter_here(guard, &limits, attempt);
    if (wait_ms <= 0) {
        wait_ms = enter_all(guard);
    }
    if (wait_ms <= 0) {
        return true;
    }
    metrics_add(req->app->metrics, METRIC_LOGINS_THROTTLED, 1);
    log_write(LOG_INFO, "login_throttled", "client=%s wait_ms=%lld",
              address_text(attempt->address, text), (long long)wait_ms);
    reply_error(req, ERROR_THROTTLED, "%lld s", (long long)((wait_ms + 999) / 1000));
    return false;
}

bool login_guard_name(struct login_guard *guard, struct request *req, const char *name)
{
    struct throttle_try attempt = try_at(req, THROTTLE_NAME, name, strlen(name));

    return enter(guard, req, &attempt);
}

bool login_guard_id(struct login_guard *guard, struct request *req, uint64_t user_id)
{
    struct throttle_try attempt = try_at(req, THROTTLE_ID, &user_id, sizeof user_id);

    return enter(guard, req, &attempt);
}

void login_guard_know(const struct request *req, const char *name)
{
    struct throttle_try attempt = try_at(req, THROTTLE_NAME, name, strlen(name));
    const struct throttle_limits limits = limits_of(app_config(req->app));
    struct login_shared shared;

    throttle_know(auth_throttle(req->app->auth), &attempt, clock_mono_ms());
    login_shared_init(&shared, req->app, &limits, &attempt);
    login_shared_leave(&shared, THROTTLE_RIGHT);
}

void login_guard_leave(struct login_guard *guard, enum password_status status)
{
    struct request *req = guard->req;
    enum throttle_end end = status == PASSWORD_OK      ? THROTTLE_RIGHT
                            : status == PASSWORD_WRONG ? THROTTLE_WRONG
                                                       : THROTTLE_UNKNOWN;

    throttle_leave(auth_throttle(req->app->auth), &guard->pass, end, clock_mono_ms());
    login_shared_leave(&guard->shared, end);
    if (end == THROTTLE_WRONG) {
        metrics_add(req->app->metrics, METRIC_LOGINS_FAILED, 1);
    }
}
