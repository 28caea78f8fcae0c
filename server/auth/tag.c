/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Tags: SipHash under a random key. */
#include "server/auth/tag.h"

#include <openssl/evp.h>
#include <string.h>

#include "shard/base/rnd.h"

bool tagger_init(struct tagger *tagger)
{
    rnd_bytes(tagger->key, sizeof tagger->key);
    tagger->mac = EVP_MAC_fetch(NULL, "SIPHASH", NULL);
    return tagger->mac != NULL;
}

void tagger_release(struct tagger *tagger)
{
    EVP_MAC_free(tagger->mac);
    tagger->mac = NULL;
}

uint64_t tag_make(const struct tagger *tagger, const struct tag_part *part, size_t n)
{
    EVP_MAC_CTX *mac = EVP_MAC_CTX_new(tagger->mac);
    unsigned char out[16] = {0};
    size_t out_len = 0;
    uint64_t tag = 0;
    bool ok =
        mac != NULL && EVP_MAC_init(mac, tagger->key, sizeof tagger->key, NULL) == 1;

    for (size_t i = 0; i < n && ok; i++) {
        ok = EVP_MAC_update(mac, part[i].bytes, part[i].len) == 1;
    }
    ok = ok && EVP_MAC_final(mac, out, &out_len, sizeof out) == 1;
    EVP_MAC_CTX_free(mac);
    if (ok) {
        memcpy(&tag, out, sizeof tag);
        tag += tag == 0;
    }
    return tag;
}
