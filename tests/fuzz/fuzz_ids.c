/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Ids: put together and taken apart they stay the same, as numbers, as the text that a
 * client sends and as a double; names are in the slot that a bitwise CRC gives.
 *
 * Input: 8 bytes of an id (little-endian), then a name. */
#include <inttypes.h>

#include "shard/base/crc32.h"

#include "shard/id.h"

#include "server/request/params.h"

#include "tests/fuzz/fuzz.h"

static uint32_t crc_by_bits(const uint8_t *data, size_t len)
{
    uint32_t crc = UINT32_MAX;

    for (size_t i = 0; i < len; i++) {
        crc ^= data[i];
        for (int bit = 0; bit < 8; bit++) {
            crc = (crc & 1) != 0 ? crc >> 1 ^ 0xEDB88320u : crc >> 1;
        }
    }
    return ~crc;
}

static void check_id(uint64_t id)
{
    uint64_t ms = (uint64_t)(id_time_ms(id) - ID_EPOCH_MS);
    char text[32];
    int64_t read = 0;
    int n = snprintf(text, sizeof text, "%" PRIu64, id);

    RIGHT(id_slot(id) < SHARED_SLOTS);
    RIGHT(id_is_valid(id) == (id != 0 && id >> 53 == 0));
    RIGHT((param_parse_integer(text, (size_t)n, &read) == NULL) == (id >> 53 == 0));
    if (id >> 53 == 0) {
        RIGHT((ms << 13 | (uint64_t)id_slot(id) << 3 | (id & 7)) == id);
        RIGHT((uint64_t)read == id);
        RIGHT((uint64_t)(double)id == id);
        RIGHT(id_time_ms(id) >= ID_EPOCH_MS && ms >> 40 == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    uint8_t bytes[8] = {0};
    size_t n = len < sizeof bytes ? len : sizeof bytes;
    uint64_t id = 0;
    char *name = exact_copy((const char *)data + n, len - n);

    memcpy(bytes, data, n);
    for (size_t i = sizeof bytes; i-- > 0;) {
        id = id << 8 | bytes[i];
    }
    check_id(id);
    check_id(id >> 11); /* the same bits, in the range of valid ids */
    RIGHT(crc32_iso(name, len - n) == crc_by_bits(data + n, len - n));
    RIGHT(id_name_slot(name, len - n) == crc_by_bits(data + n, len - n) % SHARED_SLOTS);
    free(name);
    return 0;
}
