/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* One cache entry in Redis. */
#include "shard/rentry.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "shard/base/crc32.h"
#include "shard/base/le64.h"

/* What the header takes, in the scripts and here: "dsc1" and three doubles. */
#define HEADER       "28"
#define HEADER_BYTES (4 + 3 * LE64_BYTES)
_Static_assert(HEADER_BYTES == 28, "the scripts say so");

/* Shared by the scripts. clock(): ms. look(): version, confirmed, since and the whole
 * string, nil when it is not ours. put(): store. */
#define COMMON                                                                           \
    "local key = KEYS[1]\n"                                                              \
    "local function clock()\n"                                                           \
    "  local t = redis.call('TIME')\n"                                                   \
    "  return t[1] * 1000 + math.floor(t[2] / 1000)\n"                                   \
    "end\n"                                                                              \
    "local function look()\n"                                                            \
    "  local s = redis.pcall('GET', key)\n"                                              \
    "  if type(s) == 'string' and #s >= " HEADER " and string.sub(s, 1, 4) == 'dsc1' "   \
    "then\n"                                                                             \
    "    local ver, confirmed, since = struct.unpack('<ddd', string.sub(s, 5, " HEADER   \
    "))\n"                                                                               \
    "    local now = clock()\n"                                                          \
    "    if confirmed > now or since > now + 1 then -- the clock went back\n"            \
    "      confirmed, since = 0, now\n"                                                  \
    "      s = 'dsc1' .. struct.pack('<ddd', ver, 0, now) .. string.sub(s, " HEADER      \
    " + 1)\n"                                                                            \
    "      redis.call('SET', key, s, 'KEEPTTL')\n"                                       \
    "    end\n"                                                                          \
    "    return ver, confirmed, since, s\n"                                              \
    "  end\n"                                                                            \
    "  if s then redis.call('DEL', key) end\n"                                           \
    "end\n"                                                                              \
    "local function put(ver, confirmed, since, value, ttl)\n"                            \
    "  redis.call('SET', key, 'dsc1' .. struct.pack('<ddd', ver, confirmed, since) .. "  \
    "value, 'PX', ttl)\n"                                                                \
    "end\n"

/* ARGV: ms that a new place lasts, "1" if the value is not wanted. Answers {clock,
 * version, age, value}; {clock, version, age} if it is not wanted; {clock, version} if
 * there is none. */
static struct rscript read_script = {
    .text = COMMON "local now = clock()\n"
                   "local ver, confirmed, since, s = look()\n"
                   "if not ver then\n"
                   "  put(0, 0, now, '', ARGV[1])\n"
                   "  return {now, 0}\n"
                   "end\n"
                   "if #s == " HEADER " then return {now, ver} end\n"
                   "local age = now - confirmed\n"
                   "if ARGV[2] == '1' then return {now, ver, age} end\n"
                   "return {now, ver, age, string.sub(s, " HEADER " + 1)}\n"};

/* ARGV: version, place, ttl, value or "" to confirm the present one. 1: stored. */
static struct rscript fill_script = {
    .text = COMMON "local ver, confirmed, since, s = look()\n"
                   "local new, place = tonumber(ARGV[1]), tonumber(ARGV[2])\n"
                   "if not ver or place < since or ver > new then return 0 end\n"
                   "local value = ARGV[4]\n"
                   "if value == '' then\n"
                   "  if ver ~= new or #s == " HEADER " then return 0 end\n"
                   "  value = string.sub(s, " HEADER " + 1)\n"
                   "end\n"
                   "if ver == new then place = math.max(confirmed, place) end\n"
                   "put(new, place, since, value, ARGV[3])\n"
                   "return 1\n"};

/* ARGV: version, ttl, value or "" for a marker, ms that a marker lasts. 1: stored, 2:
 * marked. Over an entry that says "does not exist" it is a marker, too, since the writer
 * does not know why. A write does not confirm anything: the time of the last confirmation
 * stays. */
static struct rscript write_script = {
    .text =
        COMMON "local ver, confirmed, since, s = look()\n"
               "local new = tonumber(ARGV[1])\n"
               "if not ver or ver > new then return 0 end\n"
               "local function first(at, text) return string.sub(text, at, at) end\n"
               "local was_nothing = first(" HEADER " + 1, s) == '0'\n"
               "if ARGV[3] ~= '' and (first(1, ARGV[3]) == '0' or not was_nothing) then\n"
               "  put(new, confirmed, since, ARGV[3], ARGV[2])\n"
               "  return 1\n"
               "end\n"
               "if ver == new and #s > " HEADER " then return 0 end\n"
               "put(new, 0, since, '', ARGV[4])\n"
               "return 2\n"};

/* ARGV: ms that a marker lasts. 2: marked. A reader may still come in this millisecond,
 * so the next one counts. */
static struct rscript strike_script = {.text = COMMON "if not look() then return 0 end\n"
                                                      "local now = clock() + 1\n"
                                                      "put(now, 0, now, '', ARGV[1])\n"
                                                      "return 2\n"};

void rentry_init(void)
{
    rscript_init(&read_script);
    rscript_init(&fill_script);
    rscript_init(&write_script);
    rscript_init(&strike_script);
}

/* ---- Values ---- */

#define SUM_BYTES 4

/* Bytes before those of a value. */
#define SEAL_BYTES (1 + SUM_BYTES)
struct seal {
    char bytes[SEAL_BYTES];
};

/* The seal of ENTRY under KEY: a value under another key or version is invalid. */
static struct seal seal_of(const char *key, const struct rentry *entry)
{
    char ver[LE64_BYTES];
    struct seal seal = {.bytes = {entry->len > 0 ? '1' : '0'}};

    le64_write(ver, entry->ver);
    uint32_t sum = crc32_iso(entry->data, entry->len) ^ crc32_iso(key, strlen(key)) ^
                   crc32_iso(ver, sizeof ver);
    for (size_t i = 0; i < SUM_BYTES; i++) {
        seal.bytes[1 + i] = (char)(unsigned char)(sum >> (8 * i));
    }
    return seal;
}

/* Read the value in STORED into ENTRY, whose version is known. False: it is invalid. */
static bool unseal(const char *key, const char *stored, size_t len, struct rentry *entry)
{
    struct rentry found = *entry;

    if (len < SEAL_BYTES) {
        return false;
    }
    found.data = stored + SEAL_BYTES;
    found.len = len - SEAL_BYTES;
    struct seal wanted = seal_of(key, &found);
    if (memcmp(wanted.bytes, stored, SEAL_BYTES) != 0) {
        return false;
    }
    *entry = found;
    return true;
}

/* ---- Commands ---- */

#define NUMBER_BYTES 24

/* Numbers as arguments of a script, with room for a value. */
struct arguments {
    char numbers[3][NUMBER_BYTES];
    const char *argv[4];
    size_t lens[4];
    int n;
};

static void add_number(struct arguments *args, size_t place, int64_t number)
{
    int len = snprintf(args->numbers[place], NUMBER_BYTES, "%" PRId64, number);

    args->argv[args->n] = args->numbers[place];
    args->lens[args->n++] = (size_t)len;
}

static void add_bytes(struct arguments *args, const char *bytes, size_t len)
{
    args->argv[args->n] = bytes;
    args->lens[args->n++] = len;
}

bool rentry_add_read(struct rbatch *batch, const char *key, bool wants_value)
{
    struct arguments args = {.n = 0};

    add_number(&args, 0, RENTRY_PLACE_MS);
    add_bytes(&args, wants_value ? "0" : "1", 1);
    return rbatch_add_script(batch, &read_script, key, args.n, args.argv, args.lens);
}

/* Write the sealed value of ENTRY, "" without a value, to ROOM bytes at TEXT; returns its
 * size. */
static size_t write_value(const char *key, const struct rentry *entry, char *text)
{
    if (entry->data == NULL) {
        return 0;
    }
    struct seal seal = seal_of(key, entry);
    memcpy(text, seal.bytes, SEAL_BYTES);
    if (entry->len > 0) {
        memcpy(text + SEAL_BYTES, entry->data, entry->len);
    }
    return SEAL_BYTES + entry->len;
}

bool rentry_add_fill(struct rbatch *batch, const char *key, const struct rentry *entry,
                     int ttl_ms)
{
    struct arguments args = {.n = 0};
    char value[SEAL_BYTES + RENTRY_VALUE_MAX];

    CHECK(entry->data != NULL && entry->len <= RENTRY_VALUE_MAX);
    add_number(&args, 0, (int64_t)entry->ver);
    add_number(&args, 1, entry->now_ms);
    add_number(&args, 2, ttl_ms);
    add_bytes(&args, value, write_value(key, entry, value));
    return rbatch_add_script(batch, &fill_script, key, args.n, args.argv, args.lens);
}

bool rentry_add_confirm(struct rbatch *batch, const char *key, uint64_t ver,
                        int64_t place_ms, int ttl_ms)
{
    struct arguments args = {.n = 0};

    add_number(&args, 0, (int64_t)ver);
    add_number(&args, 1, place_ms);
    add_number(&args, 2, ttl_ms);
    add_bytes(&args, "", 0);
    return rbatch_add_script(batch, &fill_script, key, args.n, args.argv, args.lens);
}

bool rentry_add_write(struct rbatch *batch, const char *key, const struct rentry *entry,
                      int ttl_ms)
{
    struct arguments args = {.n = 0};
    char value[SEAL_BYTES + RENTRY_VALUE_MAX];

    CHECK(entry->data == NULL || entry->len <= RENTRY_VALUE_MAX);
    add_number(&args, 0, (int64_t)entry->ver);
    add_number(&args, 1, ttl_ms);
    add_bytes(&args, value, write_value(key, entry, value));
    add_number(&args, 2, RENTRY_PLACE_MS);
    return rbatch_add_script(batch, &write_script, key, args.n, args.argv, args.lens);
}

bool rentry_add_strike(struct rbatch *batch, const char *key)
{
    struct arguments args = {.n = 0};

    add_number(&args, 0, RENTRY_PLACE_MS);
    return rbatch_add_script(batch, &strike_script, key, args.n, args.argv, args.lens);
}

bool rentry_add_drop(struct rbatch *batch, const char *key)
{
    const char *argv[] = {"DEL", key};

    return rbatch_add(batch, key, ARRAY_LEN(argv), argv, NULL);
}

/* ---- Answers ---- */

static const struct rreply *reply_of(const struct rbatch *batch, size_t i,
                                     enum rreply_kind kind)
{
    const struct rreply *reply =
        rbatch_status(batch, i) == RSTATUS_OK ? rbatch_reply(batch, i) : NULL;

    return reply != NULL && reply->kind == kind ? reply : NULL;
}

/* Has REPLY N elements, of which the first are integers? */
static bool has_integers(const struct rreply *reply, size_t n)
{
    if (reply->len < n) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        if (reply->elements[i]->kind != RREPLY_INTEGER) {
            return false;
        }
    }
    return true;
}

bool rentry_read(const struct rbatch *batch, size_t i, const char *key,
                 struct arena *arena, struct rentry *entry)
{
    const struct rreply *reply = reply_of(batch, i, RREPLY_ARRAY);

    *entry = (struct rentry){.age_ms = INT64_MAX};
    if (reply == NULL || !has_integers(reply, 2)) {
        return false;
    }
    entry->now_ms = reply->elements[0]->integer;
    entry->ver = (uint64_t)reply->elements[1]->integer;
    if (reply->len < 3 || !has_integers(reply, 3)) {
        return true;
    }
    /* With a clock that went back the age is unknown. */
    int64_t age_ms = reply->elements[2]->integer;
    entry->age_ms = age_ms >= 0 ? age_ms : INT64_MAX;
    if (reply->len < 4 || reply->elements[3]->kind != RREPLY_TEXT) {
        return true;
    }
    const char *stored =
        arena_strndup(arena, reply->elements[3]->text, reply->elements[3]->len);
    if (stored == NULL || !unseal(key, stored, reply->elements[3]->len, entry)) {
        entry->age_ms = INT64_MAX;
        entry->is_garbage = stored != NULL;
    }
    return true;
}

/* The double at BYTES as a number; -1: not one that is stored here. */
static int64_t read_number(const char *bytes)
{
    uint64_t bits = le64_read(bytes);
    double number;

    memcpy(&number, &bits, sizeof number);
    return number >= 0 && number <= (double)(INT64_C(1) << 53) ? (int64_t)number : -1;
}

enum rentry_form rentry_decode(const char *key, const char *stored, size_t len,
                               int64_t now_ms, struct rentry *entry)
{
    *entry = (struct rentry){.now_ms = now_ms, .age_ms = INT64_MAX};
    if (len < HEADER_BYTES || memcmp(stored, "dsc1", 4) != 0) {
        return RENTRY_NONE;
    }
    int64_t ver = read_number(stored + 4);
    int64_t confirmed_ms = read_number(stored + 4 + LE64_BYTES);
    if (ver < 0) {
        return RENTRY_NONE;
    }
    entry->ver = (uint64_t)ver;
    if (confirmed_ms > 0 && confirmed_ms <= now_ms) {
        entry->age_ms = now_ms - confirmed_ms;
    }
    if (len == HEADER_BYTES) {
        return ver == 0 ? RENTRY_PLACE : RENTRY_MARKER;
    }
    return unseal(key, stored + HEADER_BYTES, len - HEADER_BYTES, entry) ? RENTRY_VALUE
                                                                         : RENTRY_NONE;
}

enum rentry_fate rentry_fate(const struct rbatch *batch, size_t i)
{
    static const enum rentry_fate fates[] = {RENTRY_REFUSED, RENTRY_STORED,
                                             RENTRY_MARKED};
    const struct rreply *reply = reply_of(batch, i, RREPLY_INTEGER);

    return reply != NULL && reply->integer >= 0 && reply->integer <= 2
               ? fates[reply->integer]
               : RENTRY_LOST;
}
