/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Users and videos as JSON: every field and its type, absolute URLs, and that a lack
 * of memory gives nothing rather than a part. */
#include <jansson.h>
#include <string.h>

#include "shard/base/json_out.h"

#include "server/api/views.h"
#include "server/base/app.h"
#include "server/config/config.h"
#include "server/request/request.h"

#include "tests/unit/cmocka_all.h"

/* The largest id: exact as a double. */
#define ID_TOP INT64_C(9007199254740991)

static struct config config;
static struct app app;
static struct request req;

static int begin(void **state)
{
    (void)state;
    memset(&config, 0, sizeof config);
    memset(&app, 0, sizeof app);
    config.base_url = "https://v.example.org/api";
    config.listen_host = "0.0.0.0";
    config.listen_port = 8080;
    app.config = &config;
    request_init(&req, &app, 0);
    return 0;
}

static int end(void **state)
{
    (void)state;
    request_release(&req);
    return 0;
}

static const struct user_card CARD = {.id = (uint64_t)ID_TOP,
                                      .name = "\xe6\x8a\x96 \"<&>\\",
                                      .avatar = "",
                                      .background_image = "",
                                      .signature = "",
                                      .follow_count = 1,
                                      .follower_count = 2,
                                      .total_favorited = 3,
                                      .work_count = 4,
                                      .favorite_count = 5};

static void assert_text(const json_t *object, const char *key, const char *wanted)
{
    const json_t *value = json_object_get(object, key);

    assert_true(json_is_string(value));
    assert_string_equal(json_string_value(value), wanted);
}

static void assert_number(const json_t *object, const char *key, int64_t wanted)
{
    const json_t *value = json_object_get(object, key);

    assert_true(json_is_integer(value));
    assert_true(json_integer_value(value) == wanted);
}

static void assert_bool(const json_t *object, const char *key, bool wanted)
{
    const json_t *value = json_object_get(object, key);

    assert_true(json_is_boolean(value));
    assert_int_equal(json_is_true(value), wanted);
}

static struct json_out out;

static struct json_out *begin_out(void)
{
    json_out_init(&out, (size_t)1 << 20);
    return &out;
}

/* What was written since begin_out(), parsed; NULL: writing failed. */
static json_t *written(void)
{
    char *text = buf_detach(&out.buf, NULL);
    json_t *json = text != NULL ? json_loads(text, JSON_REJECT_DUPLICATES, NULL) : NULL;

    assert_true(text == NULL || json != NULL);
    free(text);
    return json;
}

static json_t *user_of(const struct user_card *card)
{
    view_user(begin_out(), &req, NULL, card);
    return written();
}

/* A list is a field of the answer; this function takes it out. */
static json_t *list_of(const char *name)
{
    json_out_object_end(&out);
    json_t *answer = written();
    json_t *list = answer != NULL ? json_incref(json_object_get(answer, name)) : NULL;

    json_decref(answer);
    return list;
}

static struct json_out *begin_answer(void)
{
    json_out_object(begin_out(), NULL);
    return &out;
}

static json_t *videos_of(const struct video_page *page)
{
    view_videos(begin_answer(), &req, page);
    return list_of("video_list");
}

static json_t *video_of(struct video_card *card)
{
    const struct video_page page = {.videos = card, .n = 1};
    json_t *list = videos_of(&page);
    json_t *video = list != NULL ? json_incref(json_array_get(list, 0)) : NULL;

    json_decref(list);
    return video;
}

static json_t *users_of(const struct user_card *cards, size_t n,
                        const struct relation_note *notes)
{
    view_users(begin_answer(), &req, cards, n, notes);
    return list_of("user_list");
}

static json_t *comments_of(const struct comment_page *page)
{
    view_comments(begin_answer(), &req, page);
    return list_of("comment_list");
}

static json_t *messages_of(const struct message_page *page)
{
    view_messages(begin_answer(), page);
    return list_of("message_list");
}

static void test_user(void **state)
{
    json_t *user = user_of(&CARD);

    (void)state;
    assert_non_null(user);
    assert_int_equal(json_object_size(user), 11);
    assert_number(user, "id", ID_TOP);
    assert_text(user, "name", CARD.name);
    assert_number(user, "follow_count", 1);
    assert_number(user, "follower_count", 2);
    assert_number(user, "total_favorited", 3);
    assert_number(user, "work_count", 4);
    assert_number(user, "favorite_count", 5);
    assert_bool(user, "is_follow", false);
    assert_text(user, "avatar", "https://v.example.org/api/assets/avatar.png");
    assert_text(user, "background_image",
                "https://v.example.org/api/assets/background.png");
    assert_true(json_string_length(json_object_get(user, "signature")) > 0);
    json_decref(user);
}

static void test_user_with_own_things(void **state)
{
    struct user_card card = CARD;

    (void)state;
    card.is_follow = true;
    card.avatar = "a1.jpg";
    card.background_image = "b2.jpg";
    card.signature = "\xe4\xbd\xa0\xe5\xa5\xbd";
    json_t *user = user_of(&card);
    assert_non_null(user);
    assert_text(user, "avatar", "https://v.example.org/api/static/a1.jpg");
    assert_text(user, "background_image", "https://v.example.org/api/static/b2.jpg");
    assert_text(user, "signature", card.signature);
    assert_bool(user, "is_follow", true);
    json_decref(user);
}

static const struct video_card VIDEO = {.id = 8193,
                                        .author = {.id = 8192,
                                                   .name = "bob",
                                                   .avatar = "",
                                                   .background_image = "",
                                                   .signature = ""},
                                        .title = "t",
                                        .media = "00ff",
                                        .favorite_count = 6,
                                        .comment_count = 7,
                                        .published_at_ms = 8};

/* is_follow is about the author, is_favorite about the video. */
static void test_video(void **state)
{
    const struct {
        bool is_follow;
        bool is_favorite;
    } rows[] = {{false, false}, {true, false}, {false, true}, {true, true}};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct video_card card = VIDEO;
        card.is_favorite = rows[i].is_favorite;
        card.author.is_follow = rows[i].is_follow;
        json_t *video = video_of(&card);
        assert_non_null(video);
        assert_int_equal(json_object_size(video), 8);
        assert_number(video, "id", 8193);
        assert_number(video, "favorite_count", 6);
        assert_number(video, "comment_count", 7);
        assert_text(video, "title", "t");
        assert_text(video, "play_url", "https://v.example.org/api/static/00ff.mp4");
        assert_text(video, "cover_url", "https://v.example.org/api/static/00ff.jpg");
        assert_bool(video, "is_favorite", rows[i].is_favorite);
        const json_t *author = json_object_get(video, "author");
        assert_int_equal(json_object_size(author), 11);
        assert_number(author, "id", 8192);
        assert_bool(author, "is_follow", rows[i].is_follow);
        json_decref(video);
    }
}

static void test_videos(void **state)
{
    struct video_card videos[3] = {VIDEO, VIDEO, VIDEO};
    struct video_page page = {.videos = videos, .n = 0};

    (void)state;
    json_t *list = videos_of(&page);
    assert_true(json_is_array(list)); /* [], never null */
    assert_int_equal(json_array_size(list), 0);
    json_decref(list);
    page.n = 3;
    for (size_t i = 0; i < 3; i++) {
        videos[i].id = 100 - i;
    }
    list = videos_of(&page);
    assert_int_equal(json_array_size(list), 3);
    for (size_t i = 0; i < 3; i++) {
        assert_number(json_array_get(list, i), "id", (int64_t)(100 - i));
    }
    json_decref(list);
}

/* A friend is a user plus the last message and its direction; other users lack these
 * keys. */
static void test_friends(void **state)
{
    const struct user_card cards[] = {CARD, CARD, CARD};
    const struct relation_note notes[] = {
        {.text = "", .is_sent = false},
        {.text = "\xe4\xbd\xa0", .is_sent = false},
        {.text = "x", .is_sent = true},
    };

    (void)state;
    json_t *list = users_of(cards, 3, notes);
    assert_int_equal(json_array_size(list), 3);
    for (size_t i = 0; i < 3; i++) {
        const json_t *user = json_array_get(list, i);
        assert_int_equal(json_object_size(user), 13);
        assert_text(user, "message", notes[i].text);
        assert_number(user, "msgType", i == 2 ? 1 : 0);
    }
    json_decref(list);
    list = users_of(cards, 3, NULL);
    assert_int_equal(json_object_size(json_array_get(list, 0)), 11);
    json_decref(list);
}

static void test_comments(void **state)
{
    /* 2024-02-29 23:59:59.999 and the next millisecond */
    static const int64_t last_ms = INT64_C(1709251199999);
    struct comment comments[] = {
        {.id = 8, .author = CARD, .text = "\xf0\x9f\x90\xbb", .created_at_ms = last_ms},
        {.id = 7, .author = CARD, .text = "b", .created_at_ms = last_ms + 1},
    };
    const struct comment_page page = {.comments = comments, .n = 2};

    (void)state;
    json_t *list = comments_of(&page);
    assert_int_equal(json_array_size(list), 2);
    const json_t *first = json_array_get(list, 0);
    assert_int_equal(json_object_size(first), 4);
    assert_number(first, "id", 8);
    assert_text(first, "content", comments[0].text);
    assert_text(first, "create_date", "02-29");
    assert_int_equal(json_object_size(json_object_get(first, "user")), 11);
    assert_text(json_array_get(list, 1), "create_date", "03-01");
    json_decref(list);
    comments[1].text = "\xff";
    assert_null(comments_of(&page));
}

static void test_messages(void **state)
{
    struct message messages[] = {
        {.id = 9, .from_user_id = 1, .to_user_id = 2, .text = "a", .at_ms = ID_TOP}};
    struct message_page page = {.messages = messages, .n = 1};

    (void)state;
    json_t *list = messages_of(&page);
    assert_int_equal(json_array_size(list), 1);
    const json_t *first = json_array_get(list, 0);
    assert_int_equal(json_object_size(first), 5);
    assert_number(first, "id", 9);
    assert_number(first, "from_user_id", 1);
    assert_number(first, "to_user_id", 2);
    assert_text(first, "content", "a");
    assert_number(first, "create_time", ID_TOP);
    json_decref(list);
    page.n = 0;
    list = messages_of(&page);
    assert_true(json_is_array(list));
    json_decref(list);
}

/* Without base_url, URLs begin with the address that the server listens on, in a form
 * that clients can use. */
static void test_url(void **state)
{
    static const struct {
        const char *base_url;
        const char *host;
        const char *url;
    } rows[] = {
        {"http://a.example", "10.0.0.1", "http://a.example/assets/avatar.png"},
        {"", "10.0.0.1", "http://10.0.0.1:8080/assets/avatar.png"},
        {"", "0.0.0.0", "http://127.0.0.1:8080/assets/avatar.png"},
        {"", "::", "http://127.0.0.1:8080/assets/avatar.png"},
        {"", "::1", "http://[::1]:8080/assets/avatar.png"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        config.base_url = rows[i].base_url;
        config.listen_host = rows[i].host;
        req.base_url = NULL;
        json_t *user = user_of(&CARD);
        assert_text(user, "avatar", rows[i].url);
        json_decref(user);
    }
}

/* A text that is not valid UTF-8, or a full arena, gives nothing and leaks nothing
 * (the sanitizer checks): never an object without one of its fields. */
static void test_no_part(void **state)
{
    struct video_card videos[2] = {VIDEO, VIDEO};
    struct video_page page = {.videos = videos, .n = 2};
    struct user_card card = CARD;

    (void)state;
    videos[1].title = "\xff";
    assert_null(videos_of(&page));
    videos[1].title = "t";
    videos[1].author.name = "\xff";
    assert_null(videos_of(&page));
    card.name = "\xff";
    assert_null(user_of(&card));

    config.base_url = "";
    req.base_url = NULL;
    while (arena_alloc(&req.arena, 16) != NULL) {
    }
    assert_null(user_of(&CARD));
    assert_null(video_of(&videos[0]));
}

#define WITH_REQUEST(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_REQUEST(test_user),     WITH_REQUEST(test_user_with_own_things),
        WITH_REQUEST(test_video),    WITH_REQUEST(test_videos),
        WITH_REQUEST(test_friends),  WITH_REQUEST(test_comments),
        WITH_REQUEST(test_messages), WITH_REQUEST(test_url),
        WITH_REQUEST(test_no_part),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
