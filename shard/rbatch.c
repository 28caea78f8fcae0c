/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Batches of commands for a Redis Cluster. */
#include "shard/rbatch.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "shard/base/check.h"
#include "shard/base/hex.h"

#include "shard/rslot.h"

/* Bytes of one batch. */
#define WIRE_BYTES_MAX ((size_t)16 << 20)

/* Arguments of one command, the script's and the key's included. */
#define ARGS_MAX 64

#define SHA1_BYTES 20

void rscript_init(struct rscript *script)
{
    unsigned char digest[EVP_MAX_MD_SIZE];

    CHECK(EVP_Digest(script->text, strlen(script->text), digest, NULL, EVP_sha1(),
                     NULL) == 1);
    hex_encode(digest, SHA1_BYTES, script->sha1);
}

struct rbatch *rbatch_new(size_t n_max)
{
    struct rbatch *batch = calloc(1, sizeof *batch + n_max * sizeof(struct rcommand));

    if (batch != NULL) {
        atomic_init(&batch->refs, 1);
        atomic_init(&batch->phase, RBATCH_WAITED);
        buf_init(&batch->wire, WIRE_BYTES_MAX);
        batch->n_max = n_max;
    }
    return batch;
}

void rbatch_unref(struct rbatch *batch)
{
    if (atomic_fetch_sub(&batch->refs, 1) > 1) {
        return;
    }
    for (size_t i = 0; i < batch->n; i++) {
        rreply_free(&batch->commands[i].reply);
    }
    buf_clear(&batch->wire);
    free(batch);
}

void rbatch_free(struct rbatch **batch)
{
    if (*batch != NULL) {
        rbatch_unref(*batch);
        *batch = NULL;
    }
}

bool rbatch_add(struct rbatch *batch, const char *key, int argc, const char **argv,
                const size_t *lens)
{
    size_t begin = batch->wire.len;

    if (batch->n == batch->n_max || !rwire_command(&batch->wire, argc, argv, lens)) {
        return false;
    }
    batch->commands[batch->n++] = (struct rcommand){.batch = batch,
                                                    .begin = begin,
                                                    .len = batch->wire.len - begin,
                                                    .slot = rslot_of(key, strlen(key))};
    return true;
}

bool rbatch_add_script(struct rbatch *batch, const struct rscript *script,
                       const char *key, int argc, const char **argv, const size_t *lens)
{
    const char *args[ARGS_MAX] = {"EVALSHA", script->sha1, "1", key};
    size_t all_lens[ARGS_MAX] = {7, sizeof script->sha1 - 1, 1, strlen(key)};

    CHECK(argc >= 0 && argc <= ARGS_MAX - 4);
    for (int i = 0; i < argc; i++) {
        args[4 + i] = argv[i];
        all_lens[4 + i] = lens[i];
    }
    if (!rbatch_add(batch, key, 4 + argc, args, all_lens)) {
        return false;
    }
    batch->commands[batch->n - 1].script = script;
    return true;
}

enum rstatus rbatch_status(const struct rbatch *batch, size_t i)
{
    CHECK(i < batch->n);
    return atomic_load(&batch->commands[i].status);
}

const struct rreply *rbatch_reply(const struct rbatch *batch, size_t i)
{
    enum rstatus status = rbatch_status(batch, i);

    return status == RSTATUS_OK || status == RSTATUS_REFUSED ? batch->commands[i].reply
                                                             : NULL;
}
