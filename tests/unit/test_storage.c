/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Stored files: names, put, get, delete, list, and failures that leave nothing
 * behind. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "shard/base/arena.h"
#include "shard/base/check.h"

#include "server/media/storage.h"

#include "tests/unit/cmocka_all.h"
#include "tests/unit/scratch.h"

#define NAME                                                                             \
    "00000000000abc"                                                                     \
    "deadbeef0123456789abcdef01234567"

/* Differs only at its end. */
#define OTHER                                                                            \
    "00000000000abc"                                                                     \
    "deadbeef0123456789abcdef01234568"

struct fixture {
    struct scratch scratch;
    struct storage *storage;
    int upload_fd; /* directory of temporary files */
};

static int setup(void **state)
{
    static struct fixture fixture;
    char path[SCRATCH_PATH_MAX + 8];
    scratch_make(&fixture.scratch);
    (void)snprintf(path, sizeof path, "%s/media", fixture.scratch.path);
    fixture.storage = storage_new(path);
    fixture.upload_fd = open(fixture.scratch.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    *state = &fixture;
    return fixture.storage == NULL || fixture.upload_fd < 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    storage_free(&fixture->storage);
    (void)close(fixture->upload_fd);
    scratch_remove(&fixture->scratch);
    return 0;
}

static void make_temp(const struct fixture *fixture, struct tempfile *temp)
{
    assert_int_equal(tempfile_open(temp, fixture->upload_fd), 0);
    assert_int_equal(write(temp->fd, "film", 4), 4);
}

static enum storage_status put(const struct fixture *fixture, const char *name)
{
    struct tempfile temp;
    make_temp(fixture, &temp);
    enum storage_status status = storage_put(fixture->storage, name, &temp, "picture", 7);
    tempfile_close(&temp);
    return status;
}

static void assert_holds(const struct fixture *fixture, const char *name,
                         enum storage_part part, const char *text)
{
    struct arena arena;
    struct storage_file file;
    arena_init(&arena, 1000);
    assert_true(storage_get(fixture->storage, name, part, &arena, &file));
    assert_int_equal(file.fd, -1); /* it is small */
    assert_int_equal(file.size, strlen(text));
    assert_memory_equal(file.bytes, text, file.size);
    arena_release(&arena);
}

static bool is_remembered(const struct fixture *fixture, const char *name,
                          enum storage_part part)
{
    struct arena arena;
    struct storage_file file;
    arena_init(&arena, 1000);
    bool is_there = storage_recall(fixture->storage, name, part, &arena, &file);
    arena_release(&arena);
    return is_there;
}

static void assert_is_gone(const struct fixture *fixture, const char *name,
                           enum storage_part part)
{
    struct arena arena;
    struct storage_file file;
    arena_init(&arena, 1000);
    assert_false(storage_get(fixture->storage, name, part, &arena, &file));
    assert_int_equal(errno, ENOENT);
    arena_release(&arena);
    assert_false(is_remembered(fixture, name, part));
}

static void test_names(void **state)
{
    (void)state;
    char name[STORAGE_NAME_LEN + 1];
    char other[STORAGE_NAME_LEN + 1];
    uint64_t author_id = 0;
    const uint64_t ids[] = {0, 1, UINT64_C(9007199254740991)};
    for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
        storage_name_make(ids[i], name);
        storage_name_make(ids[i], other);
        assert_int_equal(strlen(name), STORAGE_NAME_LEN);
        assert_string_not_equal(name, other);
        assert_true(storage_name_parse(name, strlen(name), &author_id));
        assert_int_equal(author_id, ids[i]);
    }
    static const char *const bad[] = {
        "",
        "abc",
        "../../../../../../../../../../../../etc/passwd",
        "00000000000ABCdeadbeef0123456789abcdef01234567",
        "00000000000abcdeadbeef0123456789abcdef0123456g",
        "00000000000abcdeadbeef0123456789abcdef0123456",
        "00000000000abcdeadbeef0123456789abcdef012345678",
        "00000000000abc/eadbeef0123456789abcdef01234567",
        "00000000000abc.eadbeef0123456789abcdef01234567",
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_false(storage_name_parse(bad[i], strlen(bad[i]), NULL));
    }
    /* a NUL inside is not a valid name either */
    memcpy(name, NAME, sizeof name);
    name[20] = '\0';
    assert_false(storage_name_parse(name, STORAGE_NAME_LEN, NULL));
}

static void test_put_get_delete(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(put(fixture, NAME), STORAGE_OK);
    assert_holds(fixture, NAME, STORAGE_VIDEO, "film");
    assert_holds(fixture, NAME, STORAGE_COVER, "picture");
    assert_int_equal(scratch_count_files(&fixture->scratch), 2);
    assert_true(storage_delete(fixture->storage, NAME));
    assert_int_equal(scratch_count_files(&fixture->scratch), 0);
    assert_is_gone(fixture, NAME, STORAGE_VIDEO);
    assert_is_gone(fixture, NAME, STORAGE_COVER);
    assert_true(storage_delete(fixture->storage, NAME));
    /* the leaf directory does not exist */
    assert_true(storage_delete(fixture->storage, "00000000000abc"
                                                 "ffffffff0123456789abcdef01234567"));
}

static void test_small_files_are_remembered(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(put(fixture, NAME), STORAGE_OK);
    assert_false(is_remembered(fixture, NAME, STORAGE_COVER));
    assert_holds(fixture, NAME, STORAGE_COVER, "picture");
    assert_true(is_remembered(fixture, NAME, STORAGE_COVER));
    assert_false(is_remembered(fixture, NAME, STORAGE_VIDEO));
    /* others with the same author, or the same beginning, or no name at all */
    assert_false(is_remembered(fixture, OTHER, STORAGE_COVER));
    assert_false(is_remembered(fixture, "../../etc/passwd", STORAGE_COVER));
}

static void test_large_files_are_open(void **state)
{
    struct fixture *fixture = *state;
    static char picture[STORAGE_SMALL_BYTES + 1];
    struct arena arena;
    struct storage_file file;
    struct stat st;
    arena_init(&arena, 1000);
    assert_int_equal(storage_put_picture(fixture->storage, NAME, picture, sizeof picture),
                     STORAGE_OK);
    assert_true(storage_get(fixture->storage, NAME, STORAGE_COVER, &arena, &file));
    assert_null(file.bytes);
    assert_int_equal(file.size, sizeof picture);
    assert_int_equal(fstat(file.fd, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0644);
    (void)close(file.fd);
    assert_false(is_remembered(fixture, NAME, STORAGE_COVER));
    arena_release(&arena);
}

static void test_never_replaces(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(put(fixture, NAME), STORAGE_OK);
    assert_int_equal(put(fixture, NAME), STORAGE_FAILED);
    assert_holds(fixture, NAME, STORAGE_VIDEO, "film");
    assert_holds(fixture, NAME, STORAGE_COVER, "picture");
}

/* A foreign video has the name already: the cover is removed again, the foreign file
 * is not touched. */
static void test_failed_put_leaves_nothing(void **state)
{
    struct fixture *fixture = *state;
    char path[SCRATCH_PATH_MAX + 80];
    assert_int_equal(put(fixture, NAME), STORAGE_OK);
    (void)snprintf(path, sizeof path, "%s/media/de/ad/%s.jpg", fixture->scratch.path,
                   NAME);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(put(fixture, NAME), STORAGE_FAILED);
    assert_int_equal(scratch_count_files(&fixture->scratch), 1);
}

/* An upload directory on another file system: the file is copied. */
static void test_other_file_system(void **state)
{
    struct fixture *fixture = *state;
    struct stat ours;
    struct stat other;
    int shm_fd = open("/dev/shm", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (shm_fd < 0 || fstat(shm_fd, &other) != 0 ||
        fstat(fixture->upload_fd, &ours) != 0 || ours.st_dev == other.st_dev) {
        skip();
    }
    struct tempfile temp;
    assert_int_equal(tempfile_open(&temp, shm_fd), 0);
    assert_int_equal(write(temp.fd, "film", 4), 4);
    assert_int_equal(storage_put(fixture->storage, NAME, &temp, "picture", 7),
                     STORAGE_OK);
    tempfile_close(&temp);
    assert_holds(fixture, NAME, STORAGE_VIDEO, "film");
    assert_int_equal(scratch_count_files(&fixture->scratch), 2);
    (void)close(shm_fd);
}

struct seen {
    unsigned n;
    unsigned stop_after;
};

static bool see(void *context, const char *name)
{
    struct seen *seen = context;
    assert_true(storage_name_parse(name, strlen(name), NULL));
    return ++seen->n != seen->stop_after;
}

static bool drop(void *context, const char *name)
{
    return storage_delete(context, name);
}

/* Lists all leaves; returns the number of leaves listed to the end. */
static unsigned list_all(struct fixture *fixture, storage_list_cb *cb, void *context)
{
    unsigned leaf = 0;
    while (leaf < STORAGE_LEAVES && storage_list(fixture->storage, leaf, cb, context)) {
        leaf++;
    }
    return leaf;
}

static void test_list(void **state)
{
    struct fixture *fixture = *state;
    char path[SCRATCH_PATH_MAX + 80];
    for (unsigned i = 0; i < 20; i++) {
        char name[STORAGE_NAME_LEN + 1];
        storage_name_make(i, name);
        assert_int_equal(put(fixture, name), STORAGE_OK);
    }
    assert_int_equal(put(fixture, NAME), STORAGE_OK);
    /* foreign files are left alone; remains of an interrupted copy are removed */
    (void)snprintf(path, sizeof path, "%s/media/de/ad/README", fixture->scratch.path);
    int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    (void)close(fd);
    (void)snprintf(path, sizeof path, "%s/media/de/ad/.tmp-dead", fixture->scratch.path);
    fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    (void)close(fd);

    struct seen seen = {0};
    assert_int_equal(list_all(fixture, see, &seen), STORAGE_LEAVES);
    assert_int_equal(seen.n, 42);
    seen = (struct seen){.stop_after = 3};
    assert_in_range(list_all(fixture, see, &seen), 0, STORAGE_LEAVES - 1);
    assert_int_equal(seen.n, 3);
    seen = (struct seen){0};
    assert_true(storage_list(fixture->storage, 0xdead, see, &seen));
    assert_in_range(seen.n, 2, 42);
    (void)list_all(fixture, drop, fixture->storage);
    assert_int_equal(scratch_count_files(&fixture->scratch), 1); /* the README */
}

/* The younger of the two files counts, and the time when it got its name. */
static void test_age(void **state)
{
    struct fixture *fixture = *state;
    char path[SCRATCH_PATH_MAX + 80];
    struct stat st;
    struct timespec before, after;
    int64_t age_s = -1;
    assert_false(storage_age(fixture->storage, NAME, &age_s));
    assert_int_equal(put(fixture, NAME), STORAGE_OK);
    (void)snprintf(path, sizeof path, "%s/media/de/ad/%s.jpg", fixture->scratch.path,
                   NAME);
    const struct timespec old[2] = {{.tv_sec = 1}, {.tv_sec = 1}};
    assert_int_equal(utimensat(AT_FDCWD, path, old, 0), 0);
    assert_int_equal(stat(path, &st), 0);
    (void)clock_gettime(CLOCK_REALTIME, &before);
    assert_true(storage_age(fixture->storage, NAME, &age_s));
    (void)clock_gettime(CLOCK_REALTIME, &after);
    assert_in_range(age_s, before.tv_sec - st.st_ctim.tv_sec,
                    after.tv_sec - st.st_ctim.tv_sec);
    assert_int_equal(unlink(path), 0); /* one file is treated like two */
    assert_true(storage_age(fixture->storage, NAME, &age_s));
}

static void test_bad_directory(void **state)
{
    (void)state;
    assert_null(storage_new("/dev/null"));
    assert_null(storage_new("/proc/doushard"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test_setup_teardown(test_put_get_delete, setup, teardown),
        cmocka_unit_test_setup_teardown(test_small_files_are_remembered, setup, teardown),
        cmocka_unit_test_setup_teardown(test_large_files_are_open, setup, teardown),
        cmocka_unit_test_setup_teardown(test_never_replaces, setup, teardown),
        cmocka_unit_test_setup_teardown(test_failed_put_leaves_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_other_file_system, setup, teardown),
        cmocka_unit_test_setup_teardown(test_list, setup, teardown),
        cmocka_unit_test_setup_teardown(test_age, setup, teardown),
        cmocka_unit_test(test_bad_directory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
