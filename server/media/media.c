/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Examine an uploaded video: its boxes here, its streams by ffprobe and its cover by
 * ffmpeg, both in jails and with a fixed demuxer, so that no content of a file can make
 * them read another file. */
#include "server/media/media.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "shard/base/clock.h"
#include "shard/base/log.h"

#include "server/base/gate.h"
#include "server/base/json_in.h"
#include "server/config/config.h"
#include "server/media/bytes.h"
#include "server/media/jail.h"

/* The cover: the most typical of the first 50 frames, within 540 x 960 pixels. Frames are
 * scaled first, so that those the filter keeps are small. */
static const char cover_filter[] =
    "scale=w='min(540,iw)':h='min(960,ih)'"
    ":force_original_aspect_ratio=decrease:force_divisible_by=2,"
    "thumbnail=50,format=yuvj420p,setsar=1";

/* Only the beginning is searched for it. */
#define COVER_SECONDS_S "30"

/* What ffprobe is asked for. */
static const char probe_entries[] =
    "format=duration:format_tags:"
    "stream=codec_type,codec_tag_string,width,height,duration:stream_tags:"
    "stream_disposition=attached_pic";

/* Input and output as both programs name them. */
static const char input_url[] = "file:" JAIL_INPUT;
static const char output_url[] = "file:" JAIL_OUTPUT;

/* Limit of ffprobe's output: editors put their whole history into XMP. */
#define PROBE_BYTES ((size_t)4 << 20)

/* Most streams in one film, and the same for the programs. */
#define STREAMS_MAX      16
#define STREAMS_MAX_TEXT "16"

/* Limit of pixels of an uploaded picture: twice what phones make. */
#define PICTURE_PIXELS_MAX 25000000

/* Boxes at the top of one file: a quarter of an hour in fragments of 100 ms has 18,000.
 */
#define TOP_BOXES_MAX 65536

struct media {
    struct gate gate;
    struct jail *jail; /* owned */
};

/* One examination. */
struct exam {
    struct media *media;         /* (ref) */
    const struct config *config; /* (ref) */
    int fd;
    int output_fd;       /* for a run that writes a file */
    uint64_t file_bytes; /* limit of that file; 0: no run writes one */
    int64_t deadline_ms;
    char pixels_max[24]; /* for the decoder */
};

const char *media_status_text(enum media_status status)
{
    static const char *const texts[MEDIA__COUNT] = {
        [MEDIA_OK] = "accepted",
        [MEDIA_NOT_VIDEO] = "this is not a readable mp4 or mov file",
        [MEDIA_TRUNCATED] = "the file is incomplete",
        [MEDIA_NO_PICTURE] = "the file has no video, only sound or nothing",
        [MEDIA_TOO_BIG] = "the picture has too many pixels",
        [MEDIA_NO_LENGTH] = "the video has no duration",
        [MEDIA_TOO_LONG] = "the video is too long",
        [MEDIA_STREAMS] = "the file has too many streams",
        [MEDIA_NOT_PICTURE] = "this is not a readable picture",
        [MEDIA_UNREADABLE] = "no picture of the video can be decoded",
        [MEDIA_TAGS] = "what the file says of its maker cannot be removed",
        [MEDIA_TOO_COSTLY] = "examining the file takes too long or too much memory",
        [MEDIA_BUSY] = "too many videos are being examined at the moment",
        [MEDIA_TIMEOUT] = "the video could not be examined in time",
        [MEDIA_FAILED] = "videos cannot be examined at the moment",
    };
    CHECK(status < MEDIA__COUNT);
    return texts[status];
}

struct media *media_new(unsigned concurrency, unsigned queue_max)
{
    struct media *media = calloc(1, sizeof *media);
    if (media == NULL) {
        return NULL;
    }
    media->jail = jail_new();
    if (media->jail == NULL) {
        log_write(LOG_ERROR, "media_jail_broken", "error=\"no filter of system calls\"");
        free(media);
        return NULL;
    }
    gate_init(&media->gate, concurrency, queue_max);
    return media;
}

void media_free(struct media **media)
{
    if (*media != NULL) {
        gate_release(&(*media)->gate);
        jail_free(&(*media)->jail);
        free(*media);
        *media = NULL;
    }
}

void media_state(struct media *media, struct media_state *state)
{
    struct gate_state gate;

    gate_state(&media->gate, &gate);
    *state =
        (struct media_state){.n_running = gate.n_inside, .n_waiting = gate.n_waiting};
}

void media_facts_release(struct media_facts *facts)
{
    free(facts->cover);
    facts->cover = NULL;
    facts->cover_len = 0;
}

/* ---- Boxes ---- */

/* *BOX_LEN of the box at OFFSET of a file of SIZE bytes, 0 when it does not fit in;
 * *IS_INDEX when it describes the film (moov). False: the disk does not give it. */
static bool read_box(int fd, uint64_t offset, uint64_t size, uint64_t *box_len,
                     bool *is_index)
{
    unsigned char head[16];
    size_t want = size - offset < sizeof head ? (size_t)(size - offset) : sizeof head;
    ssize_t n = pread(fd, head, want, (off_t)offset);
    if (n != (ssize_t)want) {
        log_write(LOG_ERROR, "media_unread", "error=\"%s\"",
                  n < 0 ? strerrordesc_np(errno) : "the file has become shorter");
        return false;
    }
    uint64_t least = 8;
    uint64_t length = bytes_be32(head);
    if (length == 0) {
        length = size - offset; /* to the end of the file */
    } else if (length == 1) {
        length = want == sizeof head ? bytes_be64(head + 8) : 0;
        least = sizeof head;
    }
    *is_index = memcmp(head + 4, "moov", 4) == 0;
    *box_len = length >= least && length <= size - offset ? length : 0;
    return true;
}

/* Walk the boxes at the top of the file: the last must end where the file ends. ffprobe
 * does not mind if it does not, as long as the index comes first. */
static enum media_status check_boxes(int fd, uint64_t size)
{
    uint64_t offset = 0;
    bool has_index = false;
    for (unsigned n = 0; n < TOP_BOXES_MAX && size - offset >= 8; n++) {
        bool is_index = false;
        uint64_t length = 0;
        if (!read_box(fd, offset, size, &length, &is_index)) {
            return MEDIA_FAILED;
        }
        if (length == 0) {
            return MEDIA_TRUNCATED;
        }
        has_index = has_index || is_index;
        offset += length;
    }
    if (size - offset >= 8 || !has_index) {
        return MEDIA_NOT_VIDEO;
    }
    return MEDIA_OK;
}

/* ---- Programs ---- */

/* Run one of the programs. OK: it exited with 0. */
static enum media_status run(const struct exam *exam, const char *const argv[],
                             size_t stdout_bytes, struct jail_result *result)
{
    const struct config *config = exam->config;
    int64_t limit_ms = clock_mono_ms() + config->media_timeout_ms;
    struct jail_limits limits = {
        .prlimit_path = JAIL_PRLIMIT,
        .bwrap_path = config->bwrap_path,
        .cpu_s = (config->media_timeout_ms + 999) / 1000,
        .memory_bytes = config->media_memory_bytes,
        .stdout_bytes = stdout_bytes,
        .deadline_ms = clock_earlier(limit_ms, exam->deadline_ms),
        .file_bytes = exam->file_bytes,
        .output_fd = exam->output_fd,
    };
    jail_run(exam->media->jail, &limits, argv, exam->fd, result);
    log_write(LOG_DEBUG, "media_run", "program=\"%s\" end=%d status=%d errors=\"%s\"",
              argv[0], (int)result->end, result->exit_status, result->errors);
    switch (result->end) {
    case JAIL_EXITED:
        return result->exit_status == 0 ? MEDIA_OK : MEDIA_NOT_VIDEO;
    case JAIL_KILLED:
    case JAIL_TOO_LOUD:
        return MEDIA_TOO_COSTLY;
    case JAIL_TIMED_OUT:
        return limit_ms <= exam->deadline_ms ? MEDIA_TOO_COSTLY : MEDIA_TIMEOUT;
    case JAIL_BROKEN:
        break;
    }
    log_write(LOG_ERROR, "media_jail_broken", "program=\"%s\" error=\"%.300s\"", argv[0],
              result->errors);
    return MEDIA_FAILED;
}

/* Why a program gave up, if we know its message; else STATUS. */
static enum media_status reason(const struct jail_result *result,
                                enum media_status status)
{
    static const struct {
        const char *words;
        enum media_status status;
    } known[] = {
        {"exceeds max_streams", MEDIA_STREAMS},
        {"exceeds specified max pixel", MEDIA_TOO_BIG},
        {"Cannot allocate memory", MEDIA_TOO_COSTLY},
        {"matches no streams", MEDIA_NO_PICTURE},
    };
    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        if (strstr(result->errors, known[i].words) != NULL) {
            return known[i].status;
        }
    }
    return status;
}

/* ---- Streams ---- */

/* A duration as ffprobe prints it, in ms; 0 when there is none. */
static double duration_ms(const json_t *object)
{
    const char *text = json_string_value(json_object_get(object, "duration"));
    double seconds = text == NULL ? 0 : strtod(text, NULL);
    return isfinite(seconds) && seconds > 0 ? seconds * 1000 : 0;
}

/* The first stream with moving pictures; pictures attached to sound do not count. */
static const json_t *find_video(const json_t *streams)
{
    size_t i;
    const json_t *stream;
    json_array_foreach(streams, i, stream)
    {
        const char *type = json_string_value(json_object_get(stream, "codec_type"));
        const json_t *traits = json_object_get(stream, "disposition");
        if (type != NULL && strcmp(type, "video") == 0 &&
            json_integer_value(json_object_get(traits, "attached_pic")) == 0) {
            return stream;
        }
    }
    return NULL;
}

/* Tags that every program and camera writes, and that reveal nothing else. */
static bool is_plain_tag(const char *name)
{
    static const char *const plain[] = {
        "major_brand", "minor_version", "compatible_brands", "encoder", "handler_name",
        "vendor_id",   "language",      "timecode",          "rotate",
    };
    for (size_t i = 0; i < ARRAY_LEN(plain); i++) {
        if (strcasecmp(name, plain[i]) == 0) {
            return true;
        }
    }
    return false;
}

static bool has_tags(const json_t *object)
{
    const json_t *tags = json_object_get(object, "tags");

    /* Only read, but json_object_iter() takes no const. */
    for (void *at = json_object_iter((json_t *)(uintptr_t)tags); at != NULL;
         at = json_object_iter_next((json_t *)(uintptr_t)tags, at)) {
        if (!is_plain_tag(json_object_iter_key(at))) {
            return true;
        }
    }
    return false;
}

/* Is STREAM a track of a camera's notes, such as positions and movements? Time codes and
 * chapters are not; subtitles may be, because drones write there where they are. */
static bool is_notes(const json_t *stream)
{
    const char *type = json_string_value(json_object_get(stream, "codec_type"));
    const char *tag = json_string_value(json_object_get(stream, "codec_tag_string"));

    if (type == NULL || strcmp(type, "subtitle") == 0) {
        return true;
    }
    if (strcmp(type, "data") != 0 && strcmp(type, "attachment") != 0) {
        return false;
    }
    return tag == NULL || (strcmp(tag, "tmcd") != 0 && strcmp(tag, "text") != 0);
}

static bool is_tagged(const json_t *format, const json_t *streams)
{
    size_t i;
    const json_t *stream;
    json_array_foreach(streams, i, stream)
    {
        if (has_tags(stream) || is_notes(stream)) {
            return true;
        }
    }
    return has_tags(format);
}

/* Compare what ffprobe found with the limits. */
static enum media_status judge(const struct config *config, const json_t *root,
                               struct media_facts *facts)
{
    const json_t *format = json_object_get(root, "format");
    const json_t *streams = json_object_get(root, "streams");
    if (json_array_size(streams) > STREAMS_MAX) {
        return MEDIA_STREAMS;
    }
    const json_t *video = find_video(streams);
    if (video == NULL) {
        return MEDIA_NO_PICTURE;
    }
    int64_t width = json_integer_value(json_object_get(video, "width"));
    int64_t height = json_integer_value(json_object_get(video, "height"));
    if (width <= 0 || height <= 0 || width > INT32_MAX || height > INT32_MAX) {
        return MEDIA_UNREADABLE;
    }
    if (width * height > config->media_pixels_max) {
        return MEDIA_TOO_BIG;
    }
    double length_ms = duration_ms(format);
    if (duration_ms(video) > length_ms) {
        length_ms = duration_ms(video);
    }
    if (length_ms < 1) {
        return MEDIA_NO_LENGTH;
    }
    if (length_ms > config->media_duration_max_s * 1000.0) {
        return MEDIA_TOO_LONG;
    }
    facts->duration_ms = (int32_t)length_ms;
    facts->width = (int32_t)width;
    facts->height = (int32_t)height;
    facts->is_tagged = is_tagged(format, streams);
    return MEDIA_OK;
}

/* The same of what it wrote. */
static enum media_status judge_text(const struct config *config,
                                    const struct jail_result *result,
                                    struct media_facts *facts)
{
    const char *text = result->output != NULL ? result->output : "";
    json_t *root = NULL;
    if (!json_in(text, result->output_len, 0, &root)) {
        log_write(LOG_ERROR, "media_unjudged", "error=\"out of memory\"");
        return MEDIA_FAILED;
    }
    enum media_status status =
        root == NULL ? MEDIA_NOT_VIDEO : judge(config, root, facts);
    json_decref(root);
    return status;
}

static enum media_status probe(const struct exam *exam, struct media_facts *facts)
{
    // clang-format off
    const char *const argv[] = {
        exam->config->ffprobe_path, "-v", "error",
        "-protocol_whitelist", "file", "-f", "mov", "-export_xmp", "1",
        "-max_streams", STREAMS_MAX_TEXT,
        "-max_pixels", exam->pixels_max, "-threads", "1", "-show_entries",
        probe_entries,
        "-of", "json=c=1", input_url, NULL,
    };
    // clang-format on
    struct jail_result result;
    enum media_status status = run(exam, argv, PROBE_BYTES, &result);
    if (status == MEDIA_OK) {
        status = judge_text(exam->config, &result, facts);
    }
    if (status == MEDIA_NOT_VIDEO || status == MEDIA_UNREADABLE) {
        status = reason(&result, status);
    }
    jail_result_release(&result);
    return status;
}

/* ---- Cover ---- */

static bool is_jpeg(const char *data, size_t len)
{
    return len > 4 && memcmp(data, "\xff\xd8", 2) == 0 &&
           memcmp(data + len - 2, "\xff\xd9", 2) == 0;
}

/* Run ARGV, which prints a picture: *JPEG, malloc'ed, and *LEN. FAILURE is the status if
 * no picture can be made of the file. */
static enum media_status run_for_jpeg(const struct exam *exam, const char *const argv[],
                                      enum media_status failure, char **jpeg, size_t *len)
{
    struct jail_result result;
    enum media_status status = run(exam, argv, MEDIA_COVER_BYTES, &result);

    if (status == MEDIA_OK &&
        (result.output == NULL || !is_jpeg(result.output, result.output_len))) {
        status = failure;
    }
    if (status == MEDIA_OK) {
        *jpeg = result.output;
        *len = result.output_len;
        result.output = NULL;
    } else if (status == MEDIA_NOT_VIDEO || status == failure) {
        status = reason(&result, failure);
    }
    jail_result_release(&result);
    return status;
}

static enum media_status cut_cover(const struct exam *exam, struct media_facts *facts)
{
    // clang-format off
    const char *const argv[] = {
        exam->config->ffmpeg_path, "-nostdin", "-v", "error",
        "-protocol_whitelist", "file", "-f", "mov", "-max_streams", STREAMS_MAX_TEXT,
        "-max_pixels", exam->pixels_max, "-threads", "1", "-t", COVER_SECONDS_S,
        "-i", input_url, "-map", "0:V:0", "-map_metadata", "-1",
        "-vf", cover_filter,
        "-filter_threads", "1", "-threads", "1", "-frames:v", "1",
        "-c:v", "mjpeg", "-q:v", "4", "-f", "image2pipe", "pipe:1", NULL,
    };
    // clang-format on
    return run_for_jpeg(exam, argv, MEDIA_UNREADABLE, &facts->cover, &facts->cover_len);
}

/* ---- Both ---- */

/* A limited number of files is examined at a time; gate_leave() is due after MEDIA_OK. */
static enum media_status wait_for_turn(struct media *media, int64_t deadline_ms)
{
    switch (gate_enter(&media->gate, deadline_ms)) {
    case GATE_FULL:
        return MEDIA_BUSY;
    case GATE_LATE:
        return MEDIA_TIMEOUT;
    case GATE_ENTERED:
        break;
    }
    return MEDIA_OK;
}

static struct exam exam_make(struct media *media, const struct config *config, int fd,
                             int64_t deadline_ms)
{
    struct exam exam = {
        .media = media, .config = config, .fd = fd, .deadline_ms = deadline_ms};
    /* judge() checks the declared size. This limit stops a stream that lies about its
     * size; it has slack because decoders count whole blocks. */
    (void)snprintf(exam.pixels_max, sizeof exam.pixels_max, "%lld",
                   2LL * config->media_pixels_max + 65536);
    return exam;
}

bool media_works(struct media *media, const struct config *config)
{
    const char *const programs[] = {config->ffprobe_path, config->ffmpeg_path};
    struct exam exam =
        exam_make(media, config, -1, clock_mono_ms() + config->media_timeout_ms);
    for (size_t i = 0; i < ARRAY_LEN(programs); i++) {
        const char *const argv[] = {programs[i], "-hide_banner", "-version", NULL};
        struct jail_result result;
        enum media_status status = run(&exam, argv, PROBE_BYTES, &result);
        jail_result_release(&result);
        if (status != MEDIA_OK) {
            log_write(LOG_ERROR, "media_unusable",
                      "program=\"%s\" error=\"%.300s\" hint=\"bubblewrap needs user "
                      "namespaces: sysctl kernel.unprivileged_userns_clone, "
                      "user.max_user_namespaces\"",
                      programs[i], result.errors);
            return false;
        }
    }
    return true;
}

enum media_status media_examine(struct media *media, const struct config *config, int fd,
                                uint64_t size_bytes, int64_t deadline_ms,
                                struct media_facts *facts)
{
    enum media_status status = check_boxes(fd, size_bytes);
    if (status != MEDIA_OK) {
        return status;
    }
    status = wait_for_turn(media, deadline_ms);
    if (status != MEDIA_OK) {
        return status;
    }
    struct exam exam = exam_make(media, config, fd, deadline_ms);
    struct media_facts found = {0};
    status = probe(&exam, &found);
    if (status == MEDIA_OK) {
        status = cut_cover(&exam, &found);
    }
    gate_leave(&media->gate);
    if (status == MEDIA_OK) {
        *facts = found;
    }
    return status;
}

/* ---- A copy without tags ---- */

/* Copy pictures and sound with MUXER. */
static enum media_status copy_streams(const struct exam *exam, const char *muxer)
{
    // clang-format off
    const char *const argv[] = {
        exam->config->ffmpeg_path, "-nostdin", "-v", "error", "-y",
        "-protocol_whitelist", "file", "-f", "mov", "-max_streams", STREAMS_MAX_TEXT,
        "-i", input_url, "-map", "0:V", "-map", "0:a?", "-c", "copy",
        "-map_metadata", "-1", "-map_metadata:s", "-1", "-map_chapters", "-1",
        "-fflags", "+bitexact", "-write_tmcd", "0", "-movflags", "+faststart",
        "-f", muxer, output_url, NULL,
    };
    // clang-format on
    struct jail_result result;
    enum media_status status = run(exam, argv, 0, &result);
    jail_result_release(&result);
    return status == MEDIA_NOT_VIDEO ? MEDIA_TAGS : status;
}

/* Is the copy what it should be? */
static enum media_status look_at_copy(const struct exam *exam)
{
    struct exam again = *exam;
    struct media_facts facts = {0};

    again.fd = exam->output_fd;
    again.file_bytes = 0;
    enum media_status status = probe(&again, &facts);
    return status == MEDIA_OK && facts.is_tagged ? MEDIA_TAGS : status;
}

uint64_t media_copy_max_bytes(uint64_t size_bytes)
{
    return size_bytes + size_bytes / 8 + ((uint64_t)1 << 20);
}

enum media_status media_strip(struct media *media, const struct config *config,
                              const struct media_copy *copy)
{
    enum media_status status = wait_for_turn(media, copy->deadline_ms);
    if (status != MEDIA_OK) {
        return status;
    }
    struct exam exam = exam_make(media, config, copy->fd, copy->deadline_ms);
    exam.output_fd = copy->copy_fd;
    exam.file_bytes = media_copy_max_bytes(copy->size_bytes);
    status = copy_streams(&exam, "mp4");
    if (status == MEDIA_TAGS) {
        status = copy_streams(&exam, "mov"); /* which holds every kind of sound */
    }
    if (status == MEDIA_OK) {
        status = look_at_copy(&exam);
    }
    gate_leave(&media->gate);
    return status;
}

/* ---- Pictures of users ---- */

/* Within 1280 x 1280, without transparency. */
static const char picture_filter[] =
    "scale=w='min(1280,iw)':h='min(1280,ih)'"
    ":force_original_aspect_ratio=decrease,format=yuvj420p,setsar=1";

static const char *demuxer_of(enum sniff_verdict kind)
{
    switch (kind) {
    case SNIFF_JPEG:
        return "jpeg_pipe";
    case SNIFF_PNG:
        return "png_pipe";
    case SNIFF_WEBP:
        return "webp_pipe";
    default:
        return NULL;
    }
}

static enum media_status convert(const struct exam *exam, const char *demuxer,
                                 char **jpeg, size_t *len)
{
    // clang-format off
    const char *const argv[] = {
        exam->config->ffmpeg_path, "-nostdin", "-v", "error",
        "-protocol_whitelist", "file", "-f", demuxer, "-max_streams", "1",
        "-max_pixels", exam->pixels_max, "-threads", "1",
        "-i", input_url, "-map", "0:v:0", "-map_metadata", "-1",
        "-vf", picture_filter,
        "-filter_threads", "1", "-threads", "1", "-frames:v", "1",
        "-c:v", "mjpeg", "-q:v", "3", "-f", "image2pipe", "pipe:1", NULL,
    };
    // clang-format on
    return run_for_jpeg(exam, argv, MEDIA_NOT_PICTURE, jpeg, len);
}

enum media_status media_picture(struct media *media, const struct config *config,
                                const struct media_picture_source *source, char **jpeg,
                                size_t *len)
{
    const char *demuxer = demuxer_of(source->kind);
    if (demuxer == NULL) {
        return MEDIA_NOT_PICTURE;
    }
    enum media_status status = wait_for_turn(media, source->deadline_ms);
    if (status != MEDIA_OK) {
        return status;
    }
    struct exam exam = exam_make(media, config, source->fd, source->deadline_ms);
    (void)snprintf(exam.pixels_max, sizeof exam.pixels_max, "%d", PICTURE_PIXELS_MAX);
    status = convert(&exam, demuxer, jpeg, len);
    gate_leave(&media->gate);
    return status;
}
