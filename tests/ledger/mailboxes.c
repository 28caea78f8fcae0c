/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* What the polling clients of the ledger test received. */
#include "tests/ledger/mailboxes.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "tests/ledger/history.h"

struct ledger_mailbox *ledger_mailboxes_add(struct ledger_mailboxes *mailboxes,
                                            uint64_t owner, uint64_t peer)
{
    mailboxes->all = ledger_grow(mailboxes->all, mailboxes->n, &mailboxes->room,
                                 sizeof *mailboxes->all);
    struct ledger_mailbox *mailbox = &mailboxes->all[mailboxes->n++];
    *mailbox = (struct ledger_mailbox){.owner = owner, .peer = peer};
    return mailbox;
}

void ledger_mailboxes_release(struct ledger_mailboxes *mailboxes)
{
    for (size_t i = 0; i < mailboxes->n; i++) {
        free(mailboxes->all[i].given);
    }
    free(mailboxes->all);
    *mailboxes = (struct ledger_mailboxes){.n = 0};
}

void ledger_mailbox_give(struct ledger_mailbox *mailbox, const struct ledger_given *given)
{
    uint32_t worker = 0;
    uint32_t n = 0;

    mailbox->given = ledger_grow(mailbox->given, mailbox->n_given, &mailbox->room,
                                 sizeof *mailbox->given);
    struct ledger_given *copy = &mailbox->given[mailbox->n_given++];
    *copy = *given;
    if (!ledger_text_parse(copy->text, &worker, &n)) {
        (void)snprintf(copy->text, sizeof copy->text, "?");
    }
}

bool ledger_mailboxes_write(const struct ledger_mailboxes *mailboxes, FILE *file)
{
    for (size_t i = 0; i < mailboxes->n; i++) {
        const struct ledger_mailbox *mailbox = &mailboxes->all[i];
        if (fprintf(file, "mailbox %" PRIu64 " %" PRIu64 " %" PRIu64 " %zu %zu\n",
                    mailbox->owner, mailbox->peer, mailbox->stranger, mailbox->polls,
                    mailbox->failures) < 0) {
            return false;
        }
        for (size_t k = 0; k < mailbox->n_given; k++) {
            const struct ledger_given *given = &mailbox->given[k];
            if (fprintf(file,
                        "given %" PRIu64 " %" PRId64 " %" PRIu64 " %" PRIu64 " %" PRIu64
                        " %" PRId64 " %s\n",
                        given->viewer, given->since_ms, given->id, given->sender,
                        given->receiver, given->at, given->text) < 0) {
                return false;
            }
        }
    }
    return fflush(file) == 0;
}

static bool read_mailbox(struct ledger_mailboxes *mailboxes, const char *columns)
{
    int64_t v[5];

    if (!ledger_read_numbers(&columns, v, ARRAY_LEN(v)) || *columns != '\n') {
        return false;
    }
    struct ledger_mailbox *mailbox =
        ledger_mailboxes_add(mailboxes, (uint64_t)v[0], (uint64_t)v[1]);
    mailbox->stranger = (uint64_t)v[2];
    mailbox->polls = (size_t)v[3];
    mailbox->failures = (size_t)v[4];
    return true;
}

static bool read_given(struct ledger_mailboxes *mailboxes, const char *columns)
{
    int64_t v[6];

    if (mailboxes->n == 0 || !ledger_read_numbers(&columns, v, ARRAY_LEN(v)) ||
        *columns != ' ') {
        return false;
    }
    struct ledger_given given = {.viewer = (uint64_t)v[0],
                                 .since_ms = v[1],
                                 .id = (uint64_t)v[2],
                                 .sender = (uint64_t)v[3],
                                 .receiver = (uint64_t)v[4],
                                 .at = v[5]};
    (void)snprintf(given.text, sizeof given.text, "%.*s", (int)strcspn(columns + 1, "\n"),
                   columns + 1);
    ledger_mailbox_give(&mailboxes->all[mailboxes->n - 1], &given);
    return true;
}

bool ledger_mailboxes_read(struct ledger_mailboxes *mailboxes, FILE *file, size_t *line)
{
    static const char mailbox[] = "mailbox ";
    static const char given[] = "given ";
    char text[512];

    for (*line = 1; fgets(text, sizeof text, file) != NULL; ++*line) {
        bool good = false;
        if (strncmp(text, mailbox, sizeof mailbox - 1) == 0) {
            good = read_mailbox(mailboxes, text + sizeof mailbox - 1);
        } else if (strncmp(text, given, sizeof given - 1) == 0) {
            good = read_given(mailboxes, text + sizeof given - 1);
        }
        if (!good) {
            return false;
        }
    }
    return true;
}
