/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* gate.c and password.c: order, bounds and deadlines of the queue; scrypt test
 * vectors; stored texts that are not valid hashes. */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "shard/base/clock.h"

#include "server/auth/password.h"
#include "server/base/gate.h"

#include "tests/unit/cmocka_all.h"

#define LATER (clock_mono_ms() + 60000)

/* Cheap parameters: these tests are not about cost. */
static const struct password_params CHEAP = {.ln = 4, .r = 8, .p = 1};

/* ---- Gate ---- */

struct visitor {
    pthread_t thread;
    struct gate *gate;
    int64_t deadline_ms;
    enum gate_status status;
    unsigned rank; /* position of arrival: 1 is the first */
    atomic_uint *n_entered;
};

static void *visit(void *arg)
{
    struct visitor *visitor = arg;

    visitor->status = gate_enter(visitor->gate, visitor->deadline_ms);
    if (visitor->status == GATE_ENTERED) {
        visitor->rank = atomic_fetch_add(visitor->n_entered, 1) + 1;
        gate_leave(visitor->gate);
    }
    return NULL;
}

static void await_waiting(struct gate *gate, unsigned wanted)
{
    struct gate_state now;
    int64_t give_up_ms = LATER;

    do {
        sched_yield();
        gate_state(gate, &now);
    } while (now.n_waiting != wanted && clock_mono_ms() < give_up_ms);
    assert_int_equal(now.n_waiting, wanted);
}

static void start(struct visitor *visitor, struct gate *gate, int64_t deadline_ms,
                  atomic_uint *n_entered)
{
    *visitor = (struct visitor){
        .gate = gate, .deadline_ms = deadline_ms, .n_entered = n_entered};
    assert_int_equal(pthread_create(&visitor->thread, NULL, visit, visitor), 0);
}

static void test_gate_is_in_order(void **state)
{
    struct gate gate;
    struct visitor visitors[5];
    atomic_uint n_entered = 0;
    struct gate_state now;

    (void)state;
    gate_init(&gate, 1, 5);
    assert_int_equal(gate_enter(&gate, LATER), GATE_ENTERED);
    for (unsigned i = 0; i < 5; i++) {
        start(&visitors[i], &gate, LATER, &n_entered);
        await_waiting(&gate, i + 1);
    }
    assert_int_equal(gate_enter(&gate, LATER), GATE_FULL);
    assert_int_equal(atomic_load(&n_entered), 0);
    gate_leave(&gate);
    for (unsigned i = 0; i < 5; i++) {
        pthread_join(visitors[i].thread, NULL);
        assert_int_equal(visitors[i].status, GATE_ENTERED);
        assert_int_equal(visitors[i].rank, i + 1);
    }
    gate_state(&gate, &now);
    assert_int_equal(now.n_inside, 0);
    gate_release(&gate);
}

static void test_gate_width(void **state)
{
    struct gate gate;
    int64_t past_ms = clock_mono_ms() - 1;

    (void)state;
    gate_init(&gate, 3, 0);
    for (int i = 0; i < 3; i++) {
        /* A free place is taken even with no time left. */
        assert_int_equal(gate_enter(&gate, past_ms), GATE_ENTERED);
    }
    assert_int_equal(gate_enter(&gate, LATER), GATE_FULL);
    gate_leave(&gate);
    assert_int_equal(gate_enter(&gate, LATER), GATE_ENTERED);
    for (int i = 0; i < 3; i++) {
        gate_leave(&gate);
    }
    gate_release(&gate);
}

/* A thread that gives up leaves the queue from any position, and takes no place. */
static void test_gate_deadline(void **state)
{
    struct gate gate;
    struct visitor early;
    struct visitor late;
    struct visitor last;
    atomic_uint n_entered = 0;

    (void)state;
    gate_init(&gate, 1, 8);
    assert_int_equal(gate_enter(&gate, LATER), GATE_ENTERED);
    assert_int_equal(gate_enter(&gate, clock_mono_ms() - 1), GATE_LATE);
    start(&early, &gate, LATER, &n_entered);
    await_waiting(&gate, 1);
    start(&late, &gate, clock_mono_ms() + 30, &n_entered);
    pthread_join(late.thread, NULL);
    assert_int_equal(late.status, GATE_LATE);
    assert_true(clock_mono_ms() >= late.deadline_ms);
    start(&last, &gate, LATER, &n_entered);
    await_waiting(&gate, 2);
    gate_leave(&gate);
    pthread_join(early.thread, NULL);
    pthread_join(last.thread, NULL);
    assert_int_equal(early.rank, 1);
    assert_int_equal(last.rank, 2);
    gate_release(&gate);
}

/* Many threads with short deadlines: places are neither lost nor given twice. */
struct crowd {
    struct gate *gate;
    atomic_int n_inside;
    atomic_int n_most;
    atomic_uint n_entered;
};

static void *push(void *arg)
{
    struct crowd *crowd = arg;

    for (int i = 0; i < 400; i++) {
        if (gate_enter(crowd->gate, clock_mono_ms() + i % 2) == GATE_ENTERED) {
            int n = atomic_fetch_add(&crowd->n_inside, 1) + 1;
            int most = atomic_load(&crowd->n_most);
            while (n > most && !atomic_compare_exchange_weak(&crowd->n_most, &most, n)) {
            }
            sched_yield();
            atomic_fetch_add(&crowd->n_entered, 1);
            atomic_fetch_sub(&crowd->n_inside, 1);
            gate_leave(crowd->gate);
        }
    }
    return NULL;
}

static void test_gate_crowd(void **state)
{
    struct gate gate;
    struct crowd crowd = {.gate = &gate};
    pthread_t threads[8];
    struct gate_state now;

    (void)state;
    gate_init(&gate, 2, 4);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, push, &crowd), 0);
    }
    for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
        pthread_join(threads[i], NULL);
    }
    assert_true(atomic_load(&crowd.n_most) <= 2);
    assert_true(atomic_load(&crowd.n_entered) > 0);
    gate_state(&gate, &now);
    assert_int_equal(now.n_inside, 0);
    assert_int_equal(now.n_waiting, 0);
    gate_release(&gate);
}

/* ---- Password ---- */

static struct password *pool(void)
{
    struct password *password = password_new(2, 8, NULL);

    assert_non_null(password);
    return password;
}

/* RFC 7914, section 12, in our format; and the same with the last byte changed. */
static void test_vectors(void **state)
{
    static const char hash[] =
        "$scrypt$ln=14,r=8,p=1$U29kaXVtQ2hsb3JpZGU$"
        "cCO9yzr9c0hGHAbNgf046/2o+7qQT44+qbVD9lRdofLVQylVYT8Pz2LUlwUkKpr55h6F3A1lHkDf"
        "zwF7RVdYhw";
    struct password *password = pool();
    char other[sizeof hash];

    (void)state;
    assert_int_equal(password_verify(password, hash, "pleaseletmein", 13, LATER),
                     PASSWORD_OK);
    assert_int_equal(password_verify(password, hash, "pleaseletmeim", 13, LATER),
                     PASSWORD_WRONG);
    memcpy(other, hash, sizeof hash);
    other[sizeof hash - 2] = 'A';
    assert_int_equal(password_verify(password, other, "pleaseletmein", 13, LATER),
                     PASSWORD_WRONG);
    assert_int_equal(password_hashes_total(password), 3);
    password_free(&password);
    assert_null(password);
}

static void test_hash_form(void **state)
{
    static const char wanted[] = "$scrypt$ln=4,r=8,p=1$";
    struct password *password = pool();
    char one[PASSWORD_HASH_MAX + 1];
    char two[PASSWORD_HASH_MAX + 1];

    (void)state;
    assert_int_equal(password_hash(password, &CHEAP, "x", 1, LATER, one), PASSWORD_OK);
    assert_int_equal(password_hash(password, &CHEAP, "x", 1, LATER, two), PASSWORD_OK);
    assert_memory_equal(one, wanted, sizeof wanted - 1);
    /* 16 bytes of salt, a key of 32, and a new salt each time. */
    assert_int_equal(strlen(one), sizeof wanted - 1 + 22 + 1 + 43);
    assert_memory_not_equal(one + sizeof wanted - 1, two + sizeof wanted - 1, 22);
    password_free(&password);
}

/* Every byte counts: length, case, spaces, the last byte of the longest password. */
static void test_no_two_passwords_are_one(void **state)
{
    char longest[PASSWORD_BYTES_MAX + 1];
    char nearly[PASSWORD_BYTES_MAX];
    struct password *password = pool();
    char hash[PASSWORD_HASH_MAX + 1];

    (void)state;
    memset(longest, 'p', sizeof longest);
    memcpy(nearly, longest, sizeof nearly);
    nearly[sizeof nearly - 1] = 'q';
    const struct {
        const char *text;
        size_t len;
    } rows[] = {
        {"a", 1},
        {"a0", 2},
        {"A", 1},
        {"a ", 2},
        {"\xc3\xa9", 2},  /* é */
        {"e\xcc\x81", 3}, /* e and a combining accent: other code points */
        {"\xe5\xaf\x86\xe7\xa0\x81", 6},
        {longest, PASSWORD_BYTES_MAX},
        {longest, PASSWORD_BYTES_MAX - 1},
        {nearly, PASSWORD_BYTES_MAX},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        assert_int_equal(
            password_hash(password, &CHEAP, rows[i].text, rows[i].len, LATER, hash),
            PASSWORD_OK);
        for (size_t k = 0; k < ARRAY_LEN(rows); k++) {
            assert_int_equal(
                password_verify(password, hash, rows[k].text, rows[k].len, LATER),
                i == k ? PASSWORD_OK : PASSWORD_WRONG);
        }
    }
    /* Passwords that are too long or contain a NUL are refused, never cut. */
    uint64_t n = password_hashes_total(password);
    assert_int_equal(password_hash(password, &CHEAP, "a\0b", 3, LATER, hash),
                     PASSWORD_FAILED);
    assert_int_equal(password_hash(password, &CHEAP, "a\0", 2, LATER, hash),
                     PASSWORD_FAILED);
    assert_int_equal(
        password_hash(password, &CHEAP, longest, sizeof longest, LATER, hash),
        PASSWORD_FAILED);
    assert_int_equal(password_verify(password, hash, longest, sizeof longest, LATER),
                     PASSWORD_FAILED);
    assert_int_equal(password_hashes_total(password), n);
    password_free(&password);
}

#define SALT "$AAAAAAAAAAAAAAAAAAAAAA$"
#define KEY  "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

static void test_bad_hashes(void **state)
{
    static const char *const rows[] = {
        "",
        "x",
        "$scrypt$",
        "$2b$12$abcdefghijklmnopqrstuuJ0hSHkJ0hSHkJ0hSHkJ0hSHkJ0hSHk",
        "$argon2id$v=19$m=19456,t=2,p=1" SALT KEY,
        "scrypt$ln=4,r=8,p=1" SALT KEY,
        "$SCRYPT$ln=4,r=8,p=1" SALT KEY,
        "$scrypt$ln=0,r=8,p=1" SALT KEY,
        "$scrypt$ln=04,r=8,p=1" SALT KEY,
        "$scrypt$ln=+4,r=8,p=1" SALT KEY,
        "$scrypt$ln= 4,r=8,p=1" SALT KEY,
        "$scrypt$ln=-4,r=8,p=1" SALT KEY,
        "$scrypt$ln=,r=8,p=1" SALT KEY,
        "$scrypt$ln=21,r=8,p=1" SALT KEY, /* more memory than we ever gave */
        "$scrypt$ln=4294967300,r=8,p=1" SALT KEY,
        "$scrypt$ln=4,r=33,p=1" SALT KEY,
        "$scrypt$ln=4,r=8,p=17" SALT KEY,
        "$scrypt$ln=4,r=8,p=0" SALT KEY,
        "$scrypt$ln=16,r=1,p=1" SALT KEY, /* scrypt is not defined for it */
        "$scrypt$r=8,ln=4,p=1" SALT KEY,
        "$scrypt$ln=4,r=8" SALT KEY,
        "$scrypt$ln=4,r=8,p=1,x=1" SALT KEY,
        "$scrypt$ln=4,r=8,p=1$" KEY,
        "$scrypt$ln=4,r=8,p=1$$" KEY,
        "$scrypt$ln=4,r=8,p=1$AAAA$" KEY, /* 3 bytes of salt */
        "$scrypt$ln=4,r=8,p=1" SALT,
        "$scrypt$ln=4,r=8,p=1" SALT "AAAA",      /* anything would match it soon */
        "$scrypt$ln=4,r=8,p=1" SALT KEY "=",     /* padded */
        "$scrypt$ln=4,r=8,p=1" SALT KEY "$",     /* more behind it */
        "$scrypt$ln=4,r=8,p=1" SALT KEY "\n",    /* cut from a file */
        "$scrypt$ln=4,r=8,p=1" SALT KEY KEY KEY, /* 96 bytes */
    };
    struct password *password = pool();

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (password_verify(password, rows[i], "x", 1, LATER) != PASSWORD_FAILED) {
            fail_msg("accepted as a hash: %s", rows[i]);
        }
        assert_false(password_needs_rehash(rows[i], &CHEAP));
    }
    /* A bad text costs nothing; a good one that is almost the same costs a hash. */
    assert_int_equal(password_hashes_total(password), 0);
    assert_int_equal(
        password_verify(password, "$scrypt$ln=4,r=8,p=1" SALT KEY, "x", 1, LATER),
        PASSWORD_WRONG);
    assert_int_equal(password_hashes_total(password), 1);
    password_free(&password);
}

static void test_bad_params(void **state)
{
    static const struct password_params rows[] = {
        {.ln = 0, .r = 8, .p = 1},  {.ln = 21, .r = 8, .p = 1},
        {.ln = 4, .r = 0, .p = 1},  {.ln = 4, .r = 33, .p = 1},
        {.ln = 4, .r = 8, .p = 0},  {.ln = 4, .r = 8, .p = 17},
        {.ln = 16, .r = 1, .p = 1},
    };
    struct password *password = pool();
    char hash[PASSWORD_HASH_MAX + 1] = "untouched";

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        assert_false(password_params_are_valid(&rows[i]));
        assert_int_equal(password_hash(password, &rows[i], "x", 1, LATER, hash),
                         PASSWORD_FAILED);
        assert_string_equal(hash, "untouched");
    }
    password_free(&password);
}

/* The production parameters need more memory than the library's default limit of 32
 * MiB. */
static void test_production_params(void **state)
{
    struct password_params params = {.ln = 15, .r = 8, .p = 3};
    struct password *password = pool();
    char hash[PASSWORD_HASH_MAX + 1];

    (void)state;
    assert_int_equal(password_hash(password, &params, "x", 1, LATER, hash), PASSWORD_OK);
    assert_int_equal(password_verify(password, hash, "x", 1, LATER), PASSWORD_OK);
    password_free(&password);
}

static void test_needs_rehash(void **state)
{
    static const struct {
        const char *hash;
        bool wanted;
    } rows[] = {
        {"$scrypt$ln=12,r=8,p=2" SALT KEY, false},
        {"$scrypt$ln=11,r=8,p=2" SALT KEY, true},
        {"$scrypt$ln=12,r=7,p=2" SALT KEY, true},
        {"$scrypt$ln=12,r=8,p=1" SALT KEY, true},
        {"$scrypt$ln=13,r=9,p=3" SALT KEY, false},        /* stronger stays */
        {"$scrypt$ln=11,r=8,p=3" SALT KEY, true},         /* weaker in one */
        {"$scrypt$ln=12,r=8,p=2$AAAAAAAAAAA$" KEY, true}, /* 8 bytes of salt */
        {"$scrypt$ln=12,r=8,p=2" SALT "AAAAAAAAAAAAAAAAAAAAAA", true},
    };
    const struct password_params params = {.ln = 12, .r = 8, .p = 2};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (password_needs_rehash(rows[i].hash, &params) != rows[i].wanted) {
            fail_msg("%s", rows[i].hash);
        }
    }
}

/* An unknown user costs one scrypt, too, and never gets in. */
static void test_dummy(void **state)
{
    struct password *password = pool();

    (void)state;
    assert_int_equal(password_verify_dummy(password, &CHEAP, "x", 1, LATER),
                     PASSWORD_WRONG);
    assert_int_equal(password_hashes_total(password), 1);
    password_free(&password);
}

/* With a full queue, or after the deadline, the result is BUSY at once and nothing is
 * computed. */
struct slow {
    struct password *password;
    char hash[PASSWORD_HASH_MAX + 1];
    enum password_status status;
    atomic_bool done;
};

static void *hash_slowly(void *arg)
{
    struct slow *slow = arg;
    struct password_params params = {.ln = 15, .r = 8, .p = 8};

    slow->status = password_hash(slow->password, &params, "x", 1, LATER, slow->hash);
    atomic_store(&slow->done, true);
    return NULL;
}

static void test_busy(void **state)
{
    struct slow slow = {.password = password_new(1, 0, NULL)};
    char hash[PASSWORD_HASH_MAX + 1];
    pthread_t thread;

    (void)state;
    assert_non_null(slow.password);
    assert_int_equal(pthread_create(&thread, NULL, hash_slowly, &slow), 0);
    while (password_hashes_total(slow.password) == 0) {
        sched_yield();
    }
    enum password_status status =
        password_hash(slow.password, &CHEAP, "x", 1, LATER, hash);
    bool was_busy = !atomic_load(&slow.done);
    pthread_join(thread, NULL);
    assert_int_equal(slow.status, PASSWORD_OK);
    assert_true(was_busy); /* otherwise the test proves nothing */
    assert_int_equal(status, PASSWORD_BUSY);
    assert_int_equal(password_hashes_total(slow.password), 1);
    /* The place is free again. */
    assert_int_equal(password_hash(slow.password, &CHEAP, "x", 1, LATER, hash),
                     PASSWORD_OK);
    password_free(&slow.password);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gate_is_in_order),
        cmocka_unit_test(test_gate_width),
        cmocka_unit_test(test_gate_deadline),
        cmocka_unit_test(test_gate_crowd),
        cmocka_unit_test(test_vectors),
        cmocka_unit_test(test_hash_form),
        cmocka_unit_test(test_no_two_passwords_are_one),
        cmocka_unit_test(test_bad_hashes),
        cmocka_unit_test(test_bad_params),
        cmocka_unit_test(test_production_params),
        cmocka_unit_test(test_needs_rehash),
        cmocka_unit_test(test_dummy),
        cmocka_unit_test(test_busy),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
