/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Copies in the memory of this process. */
#include "shard/copies.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "shard/base/clock.h"

/* Parts, each with a lock of its own, and lists in each. */
#define STRIPES      64u
#define STRIPE_LISTS 256u

/* Limit of versions without data in one stripe, besides its copies. */
#define VERSIONS_MAX 256u

/* Ranges of keys that remember the last write. */
#define RANGES 262144u

struct entry {
    struct copy_key key;
    uint64_t ver;
    int64_t until_ms;            /* end of the data's life; without data as the next
                                  * one */
    int64_t known_until_ms;      /* how long the version is remembered, if longer */
    struct entry *next;          /* in its list */
    struct entry *newer, *older; /* by last use */
    bool has_data;
    size_t len;
    char data[];
};

struct flight_passenger {
    struct parker parker;
    struct flight_passenger *next;
};

/* Entries by last use. */
struct uses {
    struct entry *newest, *oldest;
};

struct stripe {
    pthread_mutex_t mutex; /* all that follows */
    struct entry *lists[STRIPE_LISTS];
    struct uses copies;   /* those with data */
    struct uses versions; /* entries with only a version */
    size_t n_versions;
    struct flight *flights;
    size_t bytes; /* of copies */
    struct copies_state kinds[COPY_KINDS_MAX];
};

struct copies {
    size_t stripe_bytes_max;
    atomic_uint_fast64_t writes;
    atomic_uint_fast64_t last_write[RANGES];
    struct stripe shared[STRIPES];
};

struct copies *copies_new(size_t bytes_max)
{
    struct copies *copies = calloc(1, sizeof *copies);

    if (copies != NULL) {
        copies->stripe_bytes_max = bytes_max / STRIPES;
        for (size_t i = 0; i < STRIPES; i++) {
            pthread_mutex_init(&copies->shared[i].mutex, NULL);
        }
    }
    return copies;
}

void copies_free(struct copies **copies)
{
    if (*copies == NULL) {
        return;
    }
    for (size_t i = 0; i < STRIPES; i++) {
        struct stripe *stripe = &(*copies)->shared[i];
        for (size_t list = 0; list < STRIPE_LISTS; list++) {
            while (stripe->lists[list] != NULL) {
                struct entry *entry = stripe->lists[list];
                stripe->lists[list] = entry->next;
                free(entry);
            }
        }
        pthread_mutex_destroy(&stripe->mutex);
    }
    free(*copies);
    *copies = NULL;
}

/* ---- Where a key is ---- */

/* Finalizer of MurmurHash3 (A. Appleby, public domain): every bit of the key counts. */
static uint64_t mix(uint64_t h)
{
    h ^= h >> 33;
    h *= UINT64_C(0xff51afd7ed558ccd);
    h ^= h >> 33;
    h *= UINT64_C(0xc4ceb9fe1a85ec53);
    return h ^ (h >> 33);
}

static uint64_t hash(const struct copy_key *key)
{
    return mix(mix(key->owner) + mix(key->other + key->kind));
}

static struct stripe *stripe_of(struct copies *copies, uint64_t h)
{
    return &copies->shared[h % STRIPES];
}

static struct entry **list_of(struct stripe *stripe, uint64_t h)
{
    return &stripe->lists[h / STRIPES % STRIPE_LISTS];
}

size_t copies_range(const struct copy_key *key)
{
    return hash(key) >> 32 & (RANGES - 1);
}

static bool is_key(const struct copy_key *a, const struct copy_key *b)
{
    return a->owner == b->owner && a->kind == b->kind && a->other == b->other;
}

/* ---- One stripe, its mutex held ---- */

static struct entry *find_any(struct stripe *stripe, uint64_t h,
                              const struct copy_key *key)
{
    struct entry *entry = *list_of(stripe, h);

    while (entry != NULL && !is_key(&entry->key, key)) {
        entry = entry->next;
    }
    return entry;
}

static struct uses *uses_of(struct stripe *stripe, const struct entry *entry)
{
    return entry->has_data ? &stripe->copies : &stripe->versions;
}

static void unlink_use(struct stripe *stripe, struct entry *entry)
{
    struct uses *uses = uses_of(stripe, entry);

    *(entry->newer != NULL ? &entry->newer->older : &uses->newest) = entry->older;
    *(entry->older != NULL ? &entry->older->newer : &uses->oldest) = entry->newer;
}

static void link_use(struct stripe *stripe, struct entry *entry)
{
    struct uses *uses = uses_of(stripe, entry);

    entry->newer = NULL;
    entry->older = uses->newest;
    *(entry->older != NULL ? &entry->older->newer : &uses->oldest) = entry;
    uses->newest = entry;
}

static void account(struct stripe *stripe, const struct entry *entry, bool is_there)
{
    struct copies_state *kind = &stripe->kinds[entry->key.kind];
    size_t bytes = sizeof *entry + entry->len;
    size_t one = is_there ? 1 : 0 - (size_t)1;

    if (!entry->has_data) {
        stripe->n_versions += one;
        return;
    }
    stripe->bytes += is_there ? bytes : 0 - bytes;
    kind->bytes += is_there ? bytes : 0 - bytes;
    kind->n += one;
}

static void drop(struct stripe *stripe, struct entry *entry)
{
    struct entry **link = list_of(stripe, hash(&entry->key));

    while (*link != entry) {
        link = &(*link)->next;
    }
    *link = entry->next;
    unlink_use(stripe, entry);
    account(stripe, entry, false);
    free(entry);
}

/* The entry of KEY; an expired one is removed. */
static struct entry *find(struct stripe *stripe, uint64_t h, const struct copy_key *key)
{
    struct entry *entry = find_any(stripe, h, key);
    int64_t now_ms = clock_mono_ms();

    if (entry != NULL && entry->until_ms < now_ms && entry->known_until_ms < now_ms) {
        drop(stripe, entry);
        entry = NULL;
    }
    return entry;
}

/* Make room: drop the data of ENTRY, but keep its version if it must be remembered. */
static void evict(struct stripe *stripe, struct entry *entry)
{
    if (entry->known_until_ms < clock_mono_ms()) {
        drop(stripe, entry);
        return;
    }
    unlink_use(stripe, entry);
    account(stripe, entry, false);
    entry->has_data = false;
    link_use(stripe, entry);
    account(stripe, entry, true);
}

/* COPY replaces OLD (may be NULL). Out of memory neither remains. */
static void replace(struct copies *copies, struct stripe *stripe, struct entry *old,
                    const struct copy_key *key, const struct copy *copy)
{
    struct entry **list = list_of(stripe, hash(key));
    struct entry *entry = malloc(sizeof *entry + copy->len);
    int64_t known_until_ms = copy->data == NULL ? copy->until_ms : 0;

    if (old != NULL) {
        known_until_ms =
            old->known_until_ms > known_until_ms ? old->known_until_ms : known_until_ms;
        drop(stripe, old);
    }
    if (entry == NULL) {
        return;
    }
    *entry = (struct entry){.key = *key,
                            .ver = copy->ver,
                            .until_ms = copy->until_ms,
                            .known_until_ms = known_until_ms,
                            .next = *list,
                            .has_data = copy->data != NULL,
                            .len = copy->len};
    if (copy->len > 0) {
        memcpy(entry->data, copy->data, copy->len);
    }
    *list = entry;
    link_use(stripe, entry);
    account(stripe, entry, true);
    while (stripe->bytes > copies->stripe_bytes_max && stripe->copies.oldest != NULL) {
        evict(stripe, stripe->copies.oldest);
    }
    while (stripe->n_versions > VERSIONS_MAX) {
        drop(stripe, stripe->versions.oldest);
    }
}

/* ---- Copies ---- */

uint64_t copies_ticket(const struct copies *copies)
{
    return atomic_load(&copies->writes);
}

bool copies_written_since(const struct copies *copies, size_t range, uint64_t ticket)
{
    return atomic_load(&copies->last_write[range]) > ticket;
}

bool copies_get(struct copies *copies, const struct copy_key *key, struct arena *arena,
                struct copy *copy)
{
    uint64_t h = hash(key);
    struct stripe *stripe = stripe_of(copies, h);

    *copy = (struct copy){.data = NULL};
    pthread_mutex_lock(&stripe->mutex);
    struct entry *entry = find(stripe, h, key);
    if (entry != NULL && entry->has_data && clock_mono_ms() <= entry->until_ms) {
        unlink_use(stripe, entry);
        link_use(stripe, entry);
        *copy = (struct copy){.ver = entry->ver,
                              .data = arena_strndup(arena, entry->data, entry->len),
                              .len = entry->len,
                              .until_ms = entry->until_ms};
    }
    pthread_mutex_unlock(&stripe->mutex);
    return copy->data != NULL;
}

void copies_put(struct copies *copies, const struct copy_key *key,
                const struct copy *copy, uint64_t ticket)
{
    uint64_t h = hash(key);
    struct stripe *stripe = stripe_of(copies, h);

    pthread_mutex_lock(&stripe->mutex);
    /* Under the mutex, because a write takes its number before it looks at the entry. */
    struct entry *entry = find(stripe, h, key);
    if (!copies_written_since(copies, copies_range(key), ticket) &&
        (entry == NULL || entry->ver <= copy->ver)) {
        replace(copies, stripe, entry, key, copy);
    }
    pthread_mutex_unlock(&stripe->mutex);
}

void copies_remember(struct copies *copies, const struct copy_key *key,
                     const struct copy *newer)
{
    uint64_t h = hash(key);
    struct stripe *stripe = stripe_of(copies, h);

    pthread_mutex_lock(&stripe->mutex);
    struct entry *entry = find(stripe, h, key);
    if (entry == NULL || entry->ver < newer->ver) {
        replace(copies, stripe, entry, key, newer);
    } else if (entry->known_until_ms < newer->until_ms) {
        entry->known_until_ms = newer->until_ms;
    }
    pthread_mutex_unlock(&stripe->mutex);
}

bool copies_knows_newer(struct copies *copies, const struct copy_key *key, uint64_t ver)
{
    uint64_t h = hash(key);
    struct stripe *stripe = stripe_of(copies, h);

    pthread_mutex_lock(&stripe->mutex);
    const struct entry *entry = find(stripe, h, key);
    bool knows = entry != NULL && entry->ver > ver;
    pthread_mutex_unlock(&stripe->mutex);
    return knows;
}

/* Simultaneous writes may store their numbers in any order: keep the highest of the
 * range. */
static void note_write(struct copies *copies, const struct copy_key *key)
{
    atomic_uint_fast64_t *last = &copies->last_write[copies_range(key)];
    uint_fast64_t number = atomic_fetch_add(&copies->writes, 1) + 1;
    uint_fast64_t seen = atomic_load(last);

    while (seen < number && !atomic_compare_exchange_weak(last, &seen, number)) {
    }
}

void copies_write(struct copies *copies, const struct copy_key *key,
                  const struct copy *copy)
{
    uint64_t h = hash(key);
    struct stripe *stripe = stripe_of(copies, h);

    note_write(copies, key);
    pthread_mutex_lock(&stripe->mutex);
    struct entry *entry = find(stripe, h, key);
    /* A writer does not know why there was nothing: leave it to a reader. */
    bool was_nothing = entry != NULL && entry->has_data && entry->len == 0;
    if (entry != NULL && copy->data != NULL && !was_nothing && entry->ver <= copy->ver) {
        replace(copies, stripe, entry, key, copy);
    } else if (entry != NULL && entry->has_data && entry->ver < copy->ver) {
        drop(stripe, entry); /* the remembered version was older */
    }
    pthread_mutex_unlock(&stripe->mutex);
}

/* ---- Flights ---- */

static struct flight *find_flight(struct stripe *stripe, const struct copy_key *key)
{
    struct flight *flight = stripe->flights;

    while (flight != NULL && !is_key(&flight->key, key)) {
        flight = flight->next;
    }
    return flight;
}

bool copies_lead(struct copies *copies, struct flight *flight)
{
    struct stripe *stripe = stripe_of(copies, hash(&flight->key));

    pthread_mutex_lock(&stripe->mutex);
    bool leads = find_flight(stripe, &flight->key) == NULL;
    if (leads) {
        flight->passengers = NULL;
        flight->next = stripe->flights;
        stripe->flights = flight;
    }
    pthread_mutex_unlock(&stripe->mutex);
    return leads;
}

void copies_land(struct copies *copies, struct flight *flight)
{
    struct stripe *stripe = stripe_of(copies, hash(&flight->key));
    struct flight **link = &stripe->flights;

    pthread_mutex_lock(&stripe->mutex);
    while (*link != flight) {
        link = &(*link)->next;
    }
    *link = flight->next;
    struct flight_passenger *passenger = flight->passengers;
    pthread_mutex_unlock(&stripe->mutex);
    while (passenger != NULL) {
        struct flight_passenger *next = passenger->next;
        parker_post(&passenger->parker); /* after this PASSENGER may be gone */
        passenger = next;
    }
}

/* Get off the flight of KEY before it has landed. False: it has landed, and the news will
 * come. */
static bool get_off(struct stripe *stripe, const struct copy_key *key,
                    struct flight_passenger *self)
{
    pthread_mutex_lock(&stripe->mutex);
    struct flight *flight = find_flight(stripe, key);
    struct flight_passenger **link = flight == NULL ? NULL : &flight->passengers;
    while (link != NULL && *link != NULL && *link != self) {
        link = &(*link)->next;
    }
    bool is_aboard = link != NULL && *link == self;
    if (is_aboard) {
        *link = self->next;
    }
    pthread_mutex_unlock(&stripe->mutex);
    return is_aboard;
}

bool copies_wait(struct copies *copies, const struct copy_key *key, int64_t deadline_ms)
{
    struct stripe *stripe = stripe_of(copies, hash(key));
    struct flight_passenger self = {.next = NULL};

    parker_init(&self.parker);
    pthread_mutex_lock(&stripe->mutex);
    struct flight *flight = find_flight(stripe, key);
    if (flight != NULL) {
        self.next = flight->passengers;
        flight->passengers = &self;
    }
    pthread_mutex_unlock(&stripe->mutex);
    bool has_landed = flight == NULL || parker_wait(&self.parker, deadline_ms);
    if (!has_landed && !get_off(stripe, key, &self)) {
        CHECK(parker_wait(&self.parker, WAIT_FOR_EVER));
        has_landed = true;
    }
    parker_release(&self.parker);
    return has_landed;
}

void copies_state(struct copies *copies, unsigned kind, struct copies_state *state)
{
    *state = (struct copies_state){.n = 0};
    for (size_t i = 0; i < STRIPES; i++) {
        struct stripe *stripe = &copies->shared[i];
        pthread_mutex_lock(&stripe->mutex);
        state->n += stripe->kinds[kind].n;
        state->bytes += stripe->kinds[kind].bytes;
        pthread_mutex_unlock(&stripe->mutex);
    }
}
