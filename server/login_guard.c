/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The throttle in front of every comparison of a password. */
#include "server/login_guard.h"

#include <string.h>

#include "shard/base/clock.h"
#include "shard/base/log.h"

#include "server/app.h"
#include "server/auth.h"
#include "server/client.h"
#include "server/config.h"
#include "server/metrics.h"
#include "server/request.h"

static struct throttle_try try_at(const struct request *req, enum throttle_kind kind,
                                  const void *account, size_t account_len)
{
    return (struct throttle_try){.kind = kind,
                                 .account = account,
                                 .account_len = account_len,
                                 .address = request_client(req)};
}

static bool enter(struct login_guard *guard, struct request *req,
                  const struct throttle_try *attempt)
{
    const struct config *config = app_config(req->app);
    const struct throttle_limits limits = {
        .tries = (unsigned)config->login_tries,
        .wait_max_ms = (int64_t)config->login_wait_max_s * 1000,
        .account_max = (unsigned)config->login_account_max,
        .address_max = (unsigned)config->login_address_max,
    };
    char text[CLIENT_TEXT_BYTES];

    guard->req = req;
    int64_t wait_ms = throttle_enter(auth_throttle(req->app->auth), &limits, attempt,
                                     clock_mono_ms(), &guard->pass);
    if (wait_ms <= 0) {
        return true;
    }
    metrics_add(req->app->metrics, METRIC_LOGINS_THROTTLED, 1);
    log_write(LOG_INFO, "login_throttled", "client=%s wait_ms=%lld",
              client_text(attempt->address, text), (long long)wait_ms);
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

    throttle_know(auth_throttle(req->app->auth), &attempt, clock_mono_ms());
}

void login_guard_leave(struct login_guard *guard, enum password_status status)
{
    struct request *req = guard->req;
    enum throttle_end end = status == PASSWORD_OK      ? THROTTLE_RIGHT
                            : status == PASSWORD_WRONG ? THROTTLE_WRONG
                                                       : THROTTLE_UNKNOWN;

    throttle_leave(auth_throttle(req->app->auth), &guard->pass, end, clock_mono_ms());
    if (end == THROTTLE_WRONG) {
        metrics_add(req->app->metrics, METRIC_LOGINS_FAILED, 1);
    }
}
