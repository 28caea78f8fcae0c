/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* What a program in the jail can and cannot do, tried by small Perl programs. */
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shard/base/check.h"
#include "shard/base/clock.h"

#include "server/media/jail.h"

#include "tests/unit/cmocka_all.h"

#define PERL "/usr/bin/perl"

/* Only programs that hang run into this limit. */
#define PATIENCE_MS 600000

static struct jail *jail;

static int setup(void **state)
{
    (void)state;
    jail = jail_new();
    return jail == NULL;
}

static int teardown(void **state)
{
    (void)state;
    jail_free(&jail);
    return 0;
}

static struct jail_limits limits_of(int wall_ms)
{
    return (struct jail_limits){
        .prlimit_path = "/usr/bin/prlimit",
        .bwrap_path = "/usr/bin/bwrap",
        .cpu_s = 5,
        .memory_bytes = (size_t)256 << 20,
        .stdout_bytes = 4096,
        .deadline_ms = clock_mono_ms() + wall_ms,
    };
}

static void run_perl(const char *program, const struct jail_limits *limits, int input_fd,
                     struct jail_result *result)
{
    const char *const argv[] = {PERL, "-e", program, NULL};
    jail_run(jail, limits, argv, input_fd, result);
}

static void test_input_and_output(void **state)
{
    (void)state;
    struct jail_limits limits = limits_of(PATIENCE_MS);
    struct jail_result result;
    int fd = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "hello", 5), 5);
    /* from the start of the file, although our own descriptor is elsewhere */
    run_perl("open my $f, '<', '" JAIL_INPUT "' or die; print <$f>; print STDERR 'note';"
             "print tell(STDIN); exit 3",
             &limits, fd, &result);
    assert_int_equal(result.end, JAIL_EXITED);
    assert_int_equal(result.exit_status, 3);
    assert_int_equal(result.output_len, 6);
    assert_string_equal(result.output, "hello0");
    assert_string_equal(result.errors, "note");
    jail_result_release(&result);
    (void)close(fd);
}

/* Each program prints "no" if it cannot do what the row is about. */
static void test_doors(void **state)
{
    (void)state;
    static const struct {
        const char *what;
        const char *program;
    } doors[] = {
        {"process", "print defined(fork) ? 'yes' : 'no'"},
        {"shell", "print system('/bin/sh', '-c', 'true') == -1 ? 'no' : 'yes'"},
        {"socket", "use Socket; print socket(my $s, PF_INET, SOCK_STREAM, 0)?'yes':'no'"},
        {"local socket", "use Socket; print socket(my $s, PF_UNIX, SOCK_STREAM, 0)"
                         "?'yes':'no'"},
        {"ptrace", "print syscall(101, 16, 1, 0, 0) == 0"
                   "?'yes':'no'"},
        {"mount", "my ($a, $b, $c) = ('a', '/', 'tmpfs'); print syscall(165, $a, $b, $c, "
                  "0, 0) == 0 ? 'yes' : 'no'"},
        {"namespace", "print syscall(272, 0x10000000) == 0 ? 'yes' : 'no'"},
        {"signal", "print kill(9, 1) ? 'yes' : 'no'"},
        {"passwords", "print -e '/etc/passwd' ? 'yes' : 'no'"},
        {"home", "print -e '/home' || -e '/root' ? 'yes' : 'no'"},
        {"temporary", "print -e '/tmp' || -e '/var' ? 'yes' : 'no'"},
        {"new file", "print open(my $f, '>', '/x') ? 'yes' : 'no'"},
        {"library", "print open(my $f, '>>', '/usr/lib/x') ? 'yes' : 'no'"},
        {"input", "print open(my $f, '+<', '/proc/self/fd/0') ? 'yes' : 'no'"},
        {"unlink", "print unlink('/usr/bin/perl') ? 'yes' : 'no'"},
        {"kernel", "print open(my $f, '>', '/proc/sys/kernel/core_pattern')?'yes':'no'"},
        {"environment", "print %ENV && join(',', keys %ENV) ne 'PWD' ? 'yes' : 'no'"},
        {"others", "opendir(my $d, '/proc'); print((grep {/^\\d+$/ && $_ > 2} "
                   "readdir $d) ? 'yes' : 'no')"},
        {"descriptors", "print((grep { -e \"/proc/self/fd/$_\" } 3, 5..60)?'yes':'no')"},
    };
    struct jail_limits limits = limits_of(PATIENCE_MS);
    int fd = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    int leak = dup(fd); /* not close-on-exec: must not get into the jail anyway */
    assert_true(fd >= 0 && leak >= 0);
    for (size_t i = 0; i < ARRAY_LEN(doors); i++) {
        struct jail_result result;
        run_perl(doors[i].program, &limits, fd, &result);
        if (result.end != JAIL_EXITED || result.output == NULL ||
            strcmp(result.output, "no") != 0) {
            fail_msg("%s: end %d, output \"%s\", errors \"%s\"", doors[i].what,
                     (int)result.end, result.output == NULL ? "" : result.output,
                     result.errors);
        }
        jail_result_release(&result);
    }
    (void)close(leak);
    (void)close(fd);
}

static void test_threads_are_fine(void **state)
{
    (void)state;
    struct jail_limits limits = limits_of(PATIENCE_MS);
    struct jail_result result;
    run_perl("use threads; print threads->create(sub { 42 })->join", &limits, -1,
             &result);
    assert_int_equal(result.end, JAIL_EXITED);
    assert_non_null(result.output);
    assert_string_equal(result.output, "42");
    jail_result_release(&result);
}

static void test_deadline(void **state)
{
    (void)state;
    struct jail_limits limits = limits_of(400);
    struct jail_result result;
    int64_t start_ms = clock_mono_ms();
    run_perl("$| = 1; print 'here'; sleep 1000", &limits, -1, &result);
    assert_int_equal(result.end, JAIL_TIMED_OUT);
    assert_in_range(clock_mono_ms() - start_ms, 400, 60000);
    jail_result_release(&result);
    /* also if it closes its output first */
    limits = limits_of(400);
    run_perl("close STDOUT; close STDERR; sleep 1000", &limits, -1, &result);
    assert_int_equal(result.end, JAIL_TIMED_OUT);
    jail_result_release(&result);
    /* and if there is no time at all */
    limits.deadline_ms = clock_mono_ms() - 1;
    run_perl("sleep 1000", &limits, -1, &result);
    assert_int_equal(result.end, JAIL_TIMED_OUT);
    jail_result_release(&result);
}

static void test_limits(void **state)
{
    (void)state;
    struct jail_limits limits = limits_of(PATIENCE_MS);
    struct jail_result result;
    limits.cpu_s = 1;
    run_perl("1 while 1", &limits, -1, &result);
    assert_int_equal(result.end, JAIL_KILLED);
    jail_result_release(&result);

    limits = limits_of(PATIENCE_MS);
    run_perl("print 'x' x 4096", &limits, -1, &result);
    assert_int_equal(result.end, JAIL_EXITED);
    assert_int_equal(result.output_len, 4096);
    jail_result_release(&result);
    run_perl("$| = 1; print 'x' x 4097; sleep 1000", &limits, -1, &result);
    assert_int_equal(result.end, JAIL_TOO_LOUD);
    assert_null(result.output);
    jail_result_release(&result);

    run_perl("print STDERR 'x' x 100000; exit 1", &limits, -1, &result);
    assert_int_equal(result.end, JAIL_EXITED);
    assert_int_equal(strlen(result.errors), JAIL_STDERR_BYTES);
    jail_result_release(&result);

    run_perl("my $x = 'x' x 400_000_000; print length $x", &limits, -1, &result);
    assert_true(result.end != JAIL_EXITED || result.exit_status != 0);
    jail_result_release(&result);
}

/* Bubblewrap's first process in the jail asks to die with bubblewrap only after the
 * program has begun: a run that is killed before that must end, too. The test puts a
 * script in bubblewrap's place, whose child never asks; a lock on the script is held
 * until both are gone. */
static void test_all_are_killed(void **state)
{
    (void)state;
    static const char script[] = "#!/bin/sh\n"
                                 "exec 9<\"$0\"; flock 9\n"
                                 "sleep 1000 &\n"
                                 "head -c 5000 /dev/zero; wait\n";
    char path[] = "/tmp/test_jail.XXXXXX";
    int fd = mkostemp(path, O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, script, strlen(script)), strlen(script));
    assert_int_equal(fchmod(fd, 0700), 0);
    (void)close(fd);
    struct jail_limits limits = limits_of(PATIENCE_MS);
    limits.bwrap_path = path;
    struct jail_result result;
    run_perl("", &limits, -1, &result);
    assert_int_equal(result.end, JAIL_TOO_LOUD);
    jail_result_release(&result);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(flock(fd, LOCK_EX), 0);
    (void)close(fd);
    assert_int_equal(unlink(path), 0);
}

static void test_broken(void **state)
{
    (void)state;
    const char *const no_program[] = {"/usr/bin/no-such-program", NULL};
    struct jail_limits limits = limits_of(PATIENCE_MS);
    struct jail_result result;
    jail_run(jail, &limits, no_program, -1, &result);
    assert_int_equal(result.end, JAIL_BROKEN);
    assert_string_not_equal(result.errors, "");
    jail_result_release(&result);

    limits.bwrap_path = "/usr/bin/no-such-program";
    run_perl("print 1", &limits, -1, &result);
    assert_int_equal(result.end, JAIL_BROKEN);
    jail_result_release(&result);

    limits.prlimit_path = "/usr/bin/no-such-program";
    run_perl("print 1", &limits, -1, &result);
    assert_int_equal(result.end, JAIL_BROKEN);
    jail_result_release(&result);
}

static unsigned open_descriptors(void)
{
    unsigned n = 0;
    DIR *dir = opendir("/proc/self/fd");
    assert_non_null(dir);
    while (readdir(dir) != NULL) { /* NOLINT(concurrency-mt-unsafe) */
        n++;
    }
    (void)closedir(dir);
    return n;
}

static void test_no_leak(void **state)
{
    (void)state;
    struct jail_result result;
    unsigned before = open_descriptors();
    for (int wall_ms = 0; wall_ms < 60; wall_ms += 20) {
        struct jail_limits limits = limits_of(wall_ms);
        run_perl("print 1", &limits, -1, &result);
        jail_result_release(&result);
    }
    assert_int_equal(open_descriptors(), before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_input_and_output), cmocka_unit_test(test_doors),
        cmocka_unit_test(test_threads_are_fine), cmocka_unit_test(test_deadline),
        cmocka_unit_test(test_limits),           cmocka_unit_test(test_all_are_killed),
        cmocka_unit_test(test_broken),           cmocka_unit_test(test_no_leak),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
