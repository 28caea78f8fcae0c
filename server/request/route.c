/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Looks up a path in a route table, and prints the table. */
#include "server/request/route.h"

#include <string.h>

/* Known methods; others are not implemented. */
static const char *const methods[] = {"GET",   "HEAD",   "POST",   "PUT",
                                      "PATCH", "DELETE", "OPTIONS"};

static bool is_known_method(const char *method)
{
    for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
        if (strcmp(methods[i], method) == 0) {
            return true;
        }
    }
    return false;
}

static bool path_matches(const struct route *route, const char *path, const char **rest)
{
    size_t len = strlen(route->path);

    *rest = "";
    if (strncmp(path, route->path, len - 1) != 0) {
        return false;
    }
    path += len - 1;
    if (path[0] == '\0' || strcmp(path, "/") == 0) {
        return true;
    }
    *rest = path + 1;
    return (route->flags & ROUTE_PREFIX) != 0 && path[0] == '/';
}

static bool method_matches(const struct route *route, const char *method)
{
    return strcmp(route->method, method) == 0 ||
           (strcmp(route->method, "GET") == 0 && strcmp(method, "HEAD") == 0);
}

static void add_allowed(char *allow, size_t size, const char *method)
{
    size_t len = strlen(allow);

    (void)snprintf(allow + len, size - len, "%s%s%s", len > 0 ? ", " : "", method,
                   strcmp(method, "GET") == 0 ? ", HEAD" : "");
}

enum route_result route_find(const struct route_table *table,
                             enum route_listener listener, const char *method,
                             const char *path, struct route_match *match)
{
    bool admin = listener == LISTENER_ADMIN;
    const char *rest;

    memset(match, 0, sizeof *match);
    match->rest = "";
    if (!is_known_method(method)) {
        return ROUTE_NO_SUCH_METHOD;
    }
    for (size_t i = 0; i < table->n; i++) {
        const struct route *route = &table->rows[i];

        if (((route->flags & ROUTE_ADMIN) != 0) != admin ||
            !path_matches(route, path, &rest)) {
            continue;
        }
        match->route = route;
        if (method_matches(route, method)) {
            match->rest = rest;
            return ROUTE_FOUND;
        }
        add_allowed(match->allow, sizeof match->allow, route->method);
    }
    return match->route != NULL ? ROUTE_NO_METHOD : ROUTE_NO_PATH;
}

size_t route_index(const struct route_table *table, const struct route *route)
{
    CHECK(route >= table->rows && route < table->rows + table->n);
    return (size_t)(route - table->rows);
}

/* "token, user_id!": the required ones are marked. */
static void print_params(FILE *out, const struct param_spec *spec)
{
    const char *between = "";

    for (; spec != NULL && spec->name != NULL; spec++) {
        (void)fprintf(out, "%s%s%s", between, spec->name,
                      (spec->flags & PARAM_REQUIRED) != 0 ? "!" : "");
        between = ", ";
    }
}

void route_print(const struct route_table *table, FILE *out)
{
    static const char *const auth[] = {
        [AUTH_NONE] = "-", [AUTH_OPTIONAL] = "optional", [AUTH_REQUIRED] = "token"};

    (void)fprintf(
        out, "# method path listener auth: what it does (parameters, ! = required)\n");
    for (size_t i = 0; i < table->n; i++) {
        const struct route *route = &table->rows[i];

        (void)fprintf(out, "%-4s %-26s %-6s %-8s: %s (", route->method, route->path,
                      (route->flags & ROUTE_ADMIN) != 0 ? "admin" : "public",
                      auth[route->auth], route->doc);
        print_params(out, route->params);
        (void)fprintf(out, ")\n");
    }
}
