/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Characters that are invisible, or that change how other text is read. */
#include "server/api/text.h"

#include <stdbool.h>
#include <stdint.h>

#include "server/api/words.h"
#include "server/base/app.h"
#include "server/base/metrics.h"
#include "server/request/request.h"

static bool is_control(const unsigned char *s, enum text_lines lines)
{
    if (s[0] < 0x20) {
        return lines == TEXT_ONE_LINE || (s[0] != '\t' && s[0] != '\n');
    }
    if (s[0] == 0x7f || (s[0] == 0xc2 && s[1] < 0xa0)) { /* DEL, U+0080 .. U+009F */
        return true;
    }
    /* U+2028, U+2029 */
    return lines == TEXT_ONE_LINE && s[0] == 0xe2 && s[1] == 0x80 &&
           (s[2] == 0xa8 || s[2] == 0xa9);
}

static bool is_override(const unsigned char *s)
{
    if (s[0] != 0xe2) {
        return false;
    }
    return (s[1] == 0x80 && s[2] >= 0xaa && s[2] <= 0xae) || /* U+202A .. U+202E */
           (s[1] == 0x81 && s[2] >= 0xa6 && s[2] <= 0xa9);   /* U+2066 .. U+2069 */
}

/* In well-formed text the bytes after a lead byte exist, so reading them is safe. */
const char *text_problem(const char *text, size_t len, enum text_lines lines)
{
    const unsigned char *s = (const unsigned char *)text;

    for (size_t i = 0; i < len; i++) {
        if (is_control(s + i, lines)) {
            return "has a control character";
        }
        if (is_override(s + i)) {
            return "has a direction override";
        }
    }
    return NULL;
}

const char *text_accept(struct request *req, const char *name, enum text_lines lines)
{
    const struct param *param = request_param(req, name);
    const char *problem = text_problem(param->text, param->len, lines);
    size_t n_masked = 0;

    if (problem != NULL) {
        reply_error(req, ERROR_PARAM, "%s %s", name, problem);
        return NULL;
    }
    const char *text =
        words_filter(req->app->words, &req->arena, param->text, param->len, &n_masked);
    if (text == NULL) {
        reply_error(req, ERROR_UNAVAILABLE, NULL);
    } else if (n_masked > 0) {
        metrics_add(req->app->metrics, METRIC_TEXTS_MASKED, 1);
    }
    return text;
}
