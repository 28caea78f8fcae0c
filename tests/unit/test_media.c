/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Good and bad files through the real ffprobe and ffmpeg in the real jail. */
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shard/base/check.h"
#include "shard/base/clock.h"

#include "server/config/config.h"
#include "server/media/media.h"

#include "tests/unit/cmocka_all.h"
#include "tests/unit/scratch.h"

#define PATTERN "-f lavfi -i testsrc2=size=160x120:rate=25:duration=1 "
#define SOUND   "-f lavfi -i sine=duration=1 "
#define X264    "-c:v libx264 -preset ultrafast -pix_fmt yuv420p "
#define SECRET  "the canary sings"

static struct scratch scratch;
static struct media *media;
static const struct config config = {
    .ffmpeg_path = "/usr/bin/ffmpeg",
    .ffprobe_path = "/usr/bin/ffprobe",
    .bwrap_path = "/usr/bin/bwrap",
    .media_memory_bytes = (size_t)512 << 20,
    .media_timeout_ms = 600000,
    .media_pixels_max = 4096 * 2176,
    .media_duration_max_s = 900,
};

static void shell(const char *format, ...) PRINTF_LIKE(1, 2);

/* Run a command in the scratch directory. */
static void shell(const char *format, ...)
{
    char command[1024];
    va_list args;
    int n = snprintf(command, sizeof command, "cd %s && ", scratch.path);
    va_start(args, format);
    /* clang-tidy 14 overlooks va_start(). NOLINTNEXTLINE(clang-analyzer-valist.*) */
    (void)vsnprintf(command + n, sizeof command - (size_t)n, format, args);
    va_end(args);
    if (system(command) != 0) { /* NOLINT(concurrency-mt-unsafe) */
        fail_msg("%s", command);
    }
}

static void ffmpeg(const char *arguments)
{
    shell("ffmpeg -nostdin -v error -y %s", arguments);
}

static int setup(void **state)
{
    (void)state;
    scratch_make(&scratch);
    media = media_new(1, 1);
    ffmpeg(PATTERN SOUND X264 "-c:a aac clip.mp4");
    return media == NULL;
}

static int teardown(void **state)
{
    (void)state;
    media_free(&media);
    scratch_remove(&scratch);
    return 0;
}

static enum media_status examine(const char *file, const struct config *limits,
                                 struct media_facts *facts)
{
    char path[SCRATCH_PATH_MAX + 64];
    struct stat st = {0};
    (void)snprintf(path, sizeof path, "%s/%s", scratch.path, file);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) != 0) {
        fail_msg("%s is not there", path);
    }
    *facts = (struct media_facts){0};
    enum media_status status = media_examine(media, limits, fd, (uint64_t)st.st_size,
                                             clock_mono_ms() + 60000, facts);
    (void)close(fd);
    return status;
}

static void expect(const char *file, enum media_status expected)
{
    struct media_facts facts;
    enum media_status status = examine(file, &config, &facts);
    if (status != expected) {
        fail_msg("%s: %s", file, media_status_text(status));
    }
    assert_true(status == MEDIA_OK || facts.cover == NULL);
    media_facts_release(&facts);
}

static void test_works(void **state)
{
    (void)state;
    struct config broken = config;
    assert_true(media_works(media, &config));
    broken.ffmpeg_path = "/usr/bin/no-such-program";
    assert_false(media_works(media, &broken));
    broken = config;
    broken.bwrap_path = "/usr/bin/no-such-program";
    assert_false(media_works(media, &broken));
}

static void test_clip(void **state)
{
    (void)state;
    struct media_facts facts;
    assert_int_equal(examine("clip.mp4", &config, &facts), MEDIA_OK);
    assert_int_equal(facts.width, 160);
    assert_int_equal(facts.height, 120);
    assert_in_range(facts.duration_ms, 950, 1100);
    assert_memory_equal(facts.cover, "\xff\xd8\xff", 3);
    assert_in_range(facts.cover_len, 500, 100000);
    media_facts_release(&facts);
}

static void test_good(void **state)
{
    (void)state;
    ffmpeg("-i clip.mp4 -c copy -movflags +faststart fast.mp4");
    expect("fast.mp4", MEDIA_OK);
    ffmpeg("-i clip.mp4 -c copy -movflags frag_keyframe+empty_moov fragments.mp4");
    expect("fragments.mp4", MEDIA_OK);
    ffmpeg("-i clip.mp4 -c copy quick.mov");
    expect("quick.mov", MEDIA_OK);
    ffmpeg(PATTERN "-frames:v 1 " X264 "one.mp4");
    expect("one.mp4", MEDIA_OK);
    ffmpeg("-f lavfi -i testsrc2=size=4096x16:rate=5:duration=1 " X264 "wide.mp4");
    expect("wide.mp4", MEDIA_OK);
    ffmpeg("-f lavfi -i testsrc2=size=16x4096:rate=5:duration=1 " X264 "tall.mp4");
    expect("tall.mp4", MEDIA_OK);
}

/* ---- Tags about the maker of a film ---- */

static bool is_tagged(const char *file)
{
    struct media_facts facts;
    assert_int_equal(examine(file, &config, &facts), MEDIA_OK);
    bool tagged = facts.is_tagged;
    media_facts_release(&facts);
    return tagged;
}

/* Writes the film FILE without tags to the file COPY. */
static enum media_status strip(const char *file, const char *copy)
{
    char path[SCRATCH_PATH_MAX + 64];
    struct stat st = {0};
    (void)snprintf(path, sizeof path, "%s/%s", scratch.path, file);
    struct media_copy job = {.fd = open(path, O_RDWR | O_CLOEXEC),
                             .deadline_ms = clock_mono_ms() + 60000};
    (void)snprintf(path, sizeof path, "%s/%s", scratch.path, copy);
    job.copy_fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(job.fd >= 0 && job.copy_fd >= 0 && fstat(job.fd, &st) == 0);
    job.size_bytes = (uint64_t)st.st_size;
    enum media_status status = media_strip(media, &config, &job);
    (void)close(job.fd);
    (void)close(job.copy_fd);
    return status;
}

static void test_tags(void **state)
{
    (void)state;
    assert_false(is_tagged("clip.mp4"));
    ffmpeg("-i clip.mp4 -c copy -metadata location=+48.2+016.3/ place.mp4");
    ffmpeg("-i clip.mp4 -c copy -metadata creation_time=2020-01-02T03:04:05Z "
           "time.mp4");
    ffmpeg("-i clip.mp4 -c copy -movflags use_metadata_tags -metadata "
           "com.apple.quicktime.make=Canary phone.mov");
    assert_true(is_tagged("place.mp4"));
    assert_true(is_tagged("time.mp4"));
    assert_true(is_tagged("phone.mov"));
    assert_int_equal(strip("place.mp4", "no-place.mp4"), MEDIA_OK);
    assert_false(is_tagged("no-place.mp4"));
    shell("! grep -q 016.3 no-place.mp4");
    assert_int_equal(strip("phone.mov", "no-phone.mp4"), MEDIA_OK);
    shell("! grep -q Canary no-phone.mp4");
}

/* Packets and rotation stay, the index is moved to the front, and a film with sound
 * that MP4 cannot hold is not refused. */
static void test_strip_keeps(void **state)
{
    (void)state;
    ffmpeg("-i clip.mp4 -c copy -metadata:s:v rotate=90 -metadata title=me turned.mp4");
    assert_int_equal(strip("turned.mp4", "kept.mp4"), MEDIA_OK);
    for (int i = 0; i < 2; i++) {
        shell("ffmpeg -v error -i %s -c copy -f streamhash - > %s.sum",
              i == 0 ? "turned.mp4" : "kept.mp4", i == 0 ? "turned" : "kept");
        shell("ffprobe -v error -show_entries stream_side_data=rotation %s > %s.turn",
              i == 0 ? "turned.mp4" : "kept.mp4", i == 0 ? "turned" : "kept");
    }
    shell("cmp turned.sum kept.sum && grep -q rotation=90 kept.turn");
    shell("cmp turned.turn kept.turn");
    shell("test $(grep -abo moov kept.mp4 | cut -d: -f1) -lt "
          "$(grep -abo mdat kept.mp4 | cut -d: -f1)");
    ffmpeg(PATTERN SOUND X264 "-c:a pcm_s16le -metadata title=me sound.mov");
    assert_int_equal(strip("sound.mov", "sound-kept.mov"), MEDIA_OK);
    shell("ffprobe -v error -show_entries stream=codec_name sound-kept.mov | "
          "grep -q pcm_s16le");
}

/* The program in the jail may write the copy and nothing else. */
static void test_strip_bounds(void **state)
{
    (void)state;
    struct config small = config;
    small.media_timeout_ms = 1;
    struct media_copy job = {.fd = -1, .deadline_ms = clock_mono_ms() + 60000};
    job.copy_fd = open(scratch.path, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    assert_int_equal(media_strip(media, &small, &job), MEDIA_TOO_COSTLY);
    assert_int_equal(media_strip(media, &config, &job), MEDIA_TAGS);
    (void)close(job.copy_fd);
}

static void test_no_video(void **state)
{
    (void)state;
    ffmpeg(SOUND "-c:a aac sound.mp4");
    expect("sound.mp4", MEDIA_NO_PICTURE);
    /* cover art in an audio file is not a video */
    ffmpeg(SOUND PATTERN "-map 0 -map 1 -c:a aac -c:v mjpeg -frames:v 1 "
                         "-disposition:v:0 attached_pic sleeve.mp4");
    expect("sleeve.mp4", MEDIA_NO_PICTURE);
    ffmpeg(PATTERN "-t 0 " X264 "empty.mp4 2>/dev/null");
    expect("empty.mp4", MEDIA_NO_PICTURE);
}

static void test_truncated(void **state)
{
    (void)state;
    ffmpeg("-i clip.mp4 -c copy -movflags +faststart fast.mp4");
    shell("head -c $(($(stat -c %%s fast.mp4) / 2)) fast.mp4 >half.mp4");
    expect("half.mp4", MEDIA_TRUNCATED);
    shell("head -c $(($(stat -c %%s fast.mp4) - 1)) fast.mp4 >less.mp4");
    expect("less.mp4", MEDIA_TRUNCATED);
    shell("head -c $(($(stat -c %%s clip.mp4) - 1)) clip.mp4 >index.mp4");
    expect("index.mp4", MEDIA_TRUNCATED);
    shell("head -c 60 clip.mp4 >head.mp4");
    expect("head.mp4", MEDIA_TRUNCATED);
    shell("head -c 20 clip.mp4 >start.mp4");
    expect("start.mp4", MEDIA_TRUNCATED);
    shell("head -c 4 clip.mp4 >four.mp4");
    expect("four.mp4", MEDIA_NOT_VIDEO);
    shell(": >nothing.mp4");
    expect("nothing.mp4", MEDIA_NOT_VIDEO);
}

/* References to other files are not followed: those files are neither read nor
 * accepted as a video. */
static void test_disguised(void **state)
{
    (void)state;
    shell("printf '" SECRET "' >canary.txt; cp clip.mp4 victim.mp4");
    shell("printf '#EXTM3U\\n#EXTINF:10,\\nfile://%s/victim.mp4\\n#EXT-X-ENDLIST\\n' "
          ">hls.mp4",
          scratch.path);
    expect("hls.mp4", MEDIA_TRUNCATED); /* "#EXT" is the length of its first box */
    shell("printf \"ffconcat version 1.0\\nfile 'victim.mp4'\\n\" >concat.mp4");
    expect("concat.mp4", MEDIA_TRUNCATED);
    /* after a real file type box, and inside well-formed boxes with an index */
    shell("(printf '\\0\\0\\0\\030ftypisom\\0\\0\\002\\0isommp41'; cat hls.mp4) "
          ">typed.mp4");
    expect("typed.mp4", MEDIA_TRUNCATED);
    shell("(printf '\\0\\0\\0\\030ftypisom\\0\\0\\002\\0isommp41\\0\\0\\0\\010moov"
          "\\0\\0\\0\\0mdat'; cat hls.mp4) >boxed.mp4");
    expect("boxed.mp4", MEDIA_NO_PICTURE);
    ffmpeg(PATTERN X264 "-f matroska matroska.mp4");
    expect("matroska.mp4", MEDIA_TRUNCATED);
    shell("(printf '\\0\\0\\0\\030ftypisom\\0\\0\\002\\0isommp41\\0\\0\\0\\0free'; "
          "cat clip.mp4) >inside.mp4");
    expect("inside.mp4", MEDIA_NOT_VIDEO); /* a film in a box that no player opens */
}

static void test_bombs(void **state)
{
    (void)state;
    ffmpeg("-f lavfi -i color=red:size=8192x8192:rate=1:duration=1 " X264 "bomb.mp4");
    expect("bomb.mp4", MEDIA_TOO_BIG);
    struct config small = config;
    struct media_facts facts;
    small.media_pixels_max = 160 * 120;
    assert_int_equal(examine("clip.mp4", &small, &facts), MEDIA_OK);
    media_facts_release(&facts);
    small.media_pixels_max = 160 * 120 - 1;
    assert_int_equal(examine("clip.mp4", &small, &facts), MEDIA_TOO_BIG);
}

/* Overwrites with zeros the 4 bytes that lie OFFSET after the box type TYPE. */
static void zero(const char *file, const char *type, unsigned offset)
{
    shell("perl -0777 -pi -e 's/(%s.{%u}).{4}/$1\\0\\0\\0\\0/s' %s", type, offset, file);
}

static void test_durations(void **state)
{
    (void)state;
    ffmpeg(PATTERN "-frames:v 1 " X264 "still.mp4");
    zero("still.mp4", "mvhd", 16);
    zero("still.mp4", "tkhd", 20);
    zero("still.mp4", "mdhd", 16);
    zero("still.mp4", "elst", 8);
    zero("still.mp4", "stts", 12);
    expect("still.mp4", MEDIA_NO_LENGTH);
    ffmpeg("-f lavfi -i color=size=16x16:rate=1:duration=902 " X264 "long.mp4");
    expect("long.mp4", MEDIA_TOO_LONG);
}

static void test_streams(void **state)
{
    (void)state;
    char command[512];
    size_t len = (size_t)snprintf(command, sizeof command, "%s", PATTERN);
    for (unsigned i = 1; i <= 17; i++) {
        len += (size_t)snprintf(command + len, sizeof command - len, "-map 0:v ");
        if (i >= 16) {
            (void)snprintf(command + len, sizeof command - len, "-c:v mpeg4 s%u.mp4", i);
            ffmpeg(command);
        }
    }
    expect("s16.mp4", MEDIA_OK);
    expect("s17.mp4", MEDIA_STREAMS);
}

/* A good index of garbage: nothing can be decoded. */
static void test_rubbish(void **state)
{
    (void)state;
    ffmpeg(PATTERN X264 "rubbish.mp4");
    shell("perl -0777 -pi -e 's/(mdat)(.{2000})/$1 . (\"\\xa5\" x 2000)/se; "
          "s/(mdat.{2000})(.*)(moov)/$1 . (\"\\xa5\" x length($2)) . $3/se' rubbish.mp4");
    struct media_facts facts;
    assert_int_not_equal(examine("rubbish.mp4", &config, &facts), MEDIA_OK);
}

static void test_costly(void **state)
{
    (void)state;
    struct config poor = config;
    struct media_facts facts;
    poor.media_timeout_ms = 1;
    assert_int_equal(examine("clip.mp4", &poor, &facts), MEDIA_TOO_COSTLY);
    poor = config;
    poor.media_memory_bytes = (size_t)190 << 20;
    enum media_status status = examine("clip.mp4", &poor, &facts);
    assert_true(status == MEDIA_TOO_COSTLY || status == MEDIA_FAILED);
}

/* ---- Taking turns ---- */

static void *examine_clip(void *context)
{
    struct media_facts facts;
    enum media_status *status = context;
    *status = examine("clip.mp4", &config, &facts);
    media_facts_release(&facts);
    return NULL;
}

/* One at a time, and one may wait: of three at once at least one is told to come back,
 * and each is either told so or done. */
static void test_queue(void **state)
{
    (void)state;
    pthread_t threads[6];
    enum media_status statuses[ARRAY_LEN(threads)];
    unsigned n_done = 0;
    unsigned n_busy = 0;
    for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, examine_clip, &statuses[i]),
                         0);
    }
    for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        n_done += statuses[i] == MEDIA_OK;
        n_busy += statuses[i] == MEDIA_BUSY;
    }
    assert_int_equal(n_done + n_busy, ARRAY_LEN(threads));
    assert_true(n_done >= 2 && n_busy >= 1);
    struct media_state now;
    media_state(media, &now);
    assert_int_equal(now.n_running + now.n_waiting, 0);
}

static void test_deadline(void **state)
{
    (void)state;
    char path[SCRATCH_PATH_MAX + 64];
    struct stat st = {0};
    struct media_facts facts;
    (void)snprintf(path, sizeof path, "%s/clip.mp4", scratch.path);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(media_examine(media, &config, fd, (uint64_t)st.st_size,
                                   clock_mono_ms() + 5, &facts),
                     MEDIA_TIMEOUT);
    (void)close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_works),        cmocka_unit_test(test_clip),
        cmocka_unit_test(test_tags),         cmocka_unit_test(test_strip_keeps),
        cmocka_unit_test(test_strip_bounds), cmocka_unit_test(test_good),
        cmocka_unit_test(test_no_video),     cmocka_unit_test(test_truncated),
        cmocka_unit_test(test_disguised),    cmocka_unit_test(test_bombs),
        cmocka_unit_test(test_durations),    cmocka_unit_test(test_streams),
        cmocka_unit_test(test_rubbish),      cmocka_unit_test(test_costly),
        cmocka_unit_test(test_queue),        cmocka_unit_test(test_deadline),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
