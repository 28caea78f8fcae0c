/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The route table. */
#include "server/api/routes.h"

#include "server/api/handlers.h"

/* Lengths in code points, as the clients of this API know them. */
#define NAME_MAX_CP      32
#define PASSWORD_MAX_CP  32
#define TITLE_MAX_CP     128
#define SIGNATURE_MAX_CP 128
#define COMMENT_MAX_CP   300
#define MESSAGE_MAX_CP   500

/* Bytes of a token: ours have about 250. */
#define TOKEN_MAX_BYTES 2048

/* Largest page that a client may ask for; handlers limit it further to list_limit. */
#define LIMIT_MAX 1000

#define TOKEN                                                                            \
    {                                                                                    \
        .name = "token", .type = PARAM_TOKEN, .max = TOKEN_MAX_BYTES                     \
    }
#define TEXT(n, longest)                                                                 \
    {                                                                                    \
        .name = (n), .type = PARAM_TEXT, .flags = PARAM_REQUIRED, .min = 1,              \
        .max = (longest)                                                                 \
    }
#define SECRET(n)                                                                        \
    {                                                                                    \
        .name = (n), .type = PARAM_TEXT, .flags = PARAM_REQUIRED | PARAM_SECRET,         \
        .min = 1, .max = PASSWORD_MAX_CP                                                 \
    }
#define ID(n)                                                                            \
    {                                                                                    \
        .name = (n), .type = PARAM_ID, .flags = PARAM_REQUIRED                           \
    }
#define ACTION(last)                                                                     \
    {                                                                                    \
        .name = "action_type", .type = PARAM_INT, .flags = PARAM_REQUIRED, .min = 1,     \
        .max = (last)                                                                    \
    }
#define CURSOR                                                                           \
    {                                                                                    \
        .name = "cursor", .type = PARAM_INT, .min = 0, .max = PARAM_INTEGER_LIMIT - 1    \
    }
#define LIMIT                                                                            \
    {                                                                                    \
        .name = "limit", .type = PARAM_INT, .min = 1, .max = LIMIT_MAX                   \
    }
#define END                                                                              \
    {                                                                                    \
        .name = NULL                                                                     \
    }

static const struct param_spec login_params[] = {
    TEXT("username", NAME_MAX_CP),
    SECRET("password"),
    END,
};

static const struct param_spec token_params[] = {TOKEN, END};

static const struct param_spec password_params[] = {
    TOKEN,
    SECRET("old_password"),
    SECRET("new_password"),
    END,
};

static const struct param_spec profile_params[] = {
    TOKEN,
    {.name = "avatar", .type = PARAM_FILE, .flags = PARAM_PICTURE},
    {.name = "background_image", .type = PARAM_FILE, .flags = PARAM_PICTURE},
    {.name = "signature", .type = PARAM_TEXT, .min = 1, .max = SIGNATURE_MAX_CP},
    END,
};

static const struct param_spec user_params[] = {
    TOKEN,
    {.name = "user_id", .type = PARAM_ID}, /* absent: the caller */
    END,
};

static const struct param_spec feed_params[] = {
    TOKEN,
    {.name = "latest_time", .type = PARAM_TIME},
    END,
};

static const struct param_spec publish_params[] = {
    TOKEN,
    TEXT("title", TITLE_MAX_CP),
    {.name = "data", .type = PARAM_FILE},
    END,
};

static const struct param_spec list_params[] = {
    TOKEN,
    {.name = "user_id", .type = PARAM_ID}, /* absent: the caller, if there is one */
    CURSOR,
    LIMIT,
    END,
};

static const struct param_spec delete_params[] = {
    TOKEN,
    ID("video_id"),
    END,
};

static const struct param_spec favorite_params[] = {
    TOKEN,
    ID("video_id"),
    ACTION(2), /* 1 like, 2 take it back */
    END,
};

static const struct param_spec comment_params[] = {
    TOKEN,
    ID("video_id"),
    ACTION(2), /* 1 post, 2 delete */
    {.name = "comment_text", .type = PARAM_TEXT, .min = 1, .max = COMMENT_MAX_CP},
    {.name = "comment_id", .type = PARAM_ID},
    END,
};

static const struct param_spec comment_list_params[] = {
    TOKEN, ID("video_id"), CURSOR, LIMIT, END,
};

static const struct param_spec relation_params[] = {
    TOKEN,
    ID("to_user_id"),
    ACTION(2), /* 1 follow, 2 stop */
    END,
};

static const struct param_spec message_params[] = {
    TOKEN,
    ID("to_user_id"),
    ACTION(1), /* 1 send */
    TEXT("content", MESSAGE_MAX_CP),
    END,
};

static const struct param_spec chat_params[] = {
    TOKEN, ID("to_user_id"), {.name = "pre_msg_time", .type = PARAM_TIME}, CURSOR, LIMIT,
    END,
};

static const struct route routes[] = {
    {.method = "GET",
     .path = "/douyin/feed/",
     .handler = h_feed_list,
     .quick = h_feed_quick,
     .auth = AUTH_OPTIONAL,
     .params = feed_params,
     .failure_json = "\"video_list\":[],\"next_time\":0,\"partial\":false",
     .doc = "The newest videos of everybody, a page at a time"},
    {.method = "POST",
     .path = "/douyin/user/register/",
     .handler = h_user_register,
     .auth = AUTH_NONE,
     .flags = ROUTE_THREAD,
     .rate = RATE_REGISTER,
     .params = login_params,
     .failure_json = "\"user_id\":0,\"token\":\"\"",
     .doc = "Make an account and log in"},
    {.method = "POST",
     .path = "/douyin/user/login/",
     .handler = h_user_login,
     .auth = AUTH_NONE,
     .flags = ROUTE_THREAD,
     .rate = RATE_LOGIN,
     .params = login_params,
     .failure_json = "\"user_id\":0,\"token\":\"\"",
     .doc = "Log in"},
    {.method = "POST",
     .path = "/douyin/user/logout/",
     .handler = h_user_logout,
     .auth = AUTH_NONE, /* the handler reads the token, so that logging out twice
                         * succeeds */
     .params = token_params,
     .doc = "Log out: end the session of the token"},
    {.method = "POST",
     .path = "/douyin/user/password/",
     .handler = h_user_password,
     .auth = AUTH_REQUIRED,
     .flags = ROUTE_THREAD,
     .rate = RATE_LOGIN,
     .params = password_params,
     .failure_json = "\"user_id\":0,\"token\":\"\"",
     .doc = "Change the password; all other sessions end"},
    {.method = "POST",
     .path = "/douyin/user/profile/",
     .handler = h_user_profile,
     .auth = AUTH_REQUIRED,
     .budget = BUDGET_PUBLISH,
     .flags = ROUTE_UPLOAD | ROUTE_FILES,
     .rate = RATE_PROFILE,
     .params = profile_params,
     .doc = "Change avatar, background image, signature"},
    {.method = "GET",
     .path = "/douyin/user/",
     .handler = h_user_get,
     .quick = h_user_quick,
     .auth = AUTH_REQUIRED,
     .params = user_params,
     .failure_json = "\"partial\":false",
     .doc = "The profile and counters of one user"},
    {.method = "POST",
     .path = "/douyin/publish/action/",
     .handler = h_publish_action,
     .auth = AUTH_REQUIRED,
     .budget = BUDGET_PUBLISH,
     .flags = ROUTE_UPLOAD | ROUTE_FILES,
     .rate = RATE_PUBLISH,
     .params = publish_params,
     .doc = "Upload a video and publish it"},
    {.method = "GET",
     .path = "/douyin/publish/list/",
     .handler = h_publish_list,
     .auth = AUTH_OPTIONAL,
     .params = list_params,
     .failure_json = "\"video_list\":[],\"next_cursor\":0,\"partial\":false",
     .doc = "The videos of one user, newest first"},
    {.method = "POST",
     .path = "/douyin/publish/delete/",
     .handler = h_publish_delete,
     .auth = AUTH_REQUIRED,
     .params = delete_params,
     .doc = "Delete a video of your own"},
    {.method = "POST",
     .path = "/douyin/favorite/action/",
     .handler = h_favorite_action,
     .auth = AUTH_REQUIRED,
     .rate = RATE_FAVORITE,
     .params = favorite_params,
     .doc = "Like a video, or take the like back"},
    {.method = "GET",
     .path = "/douyin/favorite/list/",
     .handler = h_favorite_list,
     .auth = AUTH_REQUIRED,
     .params = list_params,
     .failure_json = "\"video_list\":[],\"next_cursor\":0,\"partial\":false",
     .doc = "The videos that a user likes, the newest like first"},
    {.method = "POST",
     .path = "/douyin/comment/action/",
     .handler = h_comment_action,
     .auth = AUTH_REQUIRED,
     .rate = RATE_COMMENT,
     .params = comment_params,
     .doc = "Comment on a video, or delete a comment"},
    {.method = "GET",
     .path = "/douyin/comment/list/",
     .handler = h_comment_list,
     .auth = AUTH_OPTIONAL,
     .params = comment_list_params,
     .failure_json = "\"comment_list\":[],\"next_cursor\":0,\"partial\":false",
     .doc = "The comments on a video, newest first"},
    {.method = "POST",
     .path = "/douyin/relation/action/",
     .handler = h_relation_action,
     .auth = AUTH_REQUIRED,
     .rate = RATE_RELATION,
     .params = relation_params,
     .doc = "Follow a user, or stop following"},
    {.method = "GET",
     .path = "/douyin/relation/follow/list/",
     .handler = h_relation_follow_list,
     .auth = AUTH_REQUIRED,
     .params = list_params,
     .failure_json = "\"user_list\":[],\"next_cursor\":0,\"partial\":false",
     .doc = "Users whom a user follows"},
    {.method = "GET",
     .path = "/douyin/relation/follower/list/",
     .handler = h_relation_follower_list,
     .auth = AUTH_REQUIRED,
     .params = list_params,
     .failure_json = "\"user_list\":[],\"next_cursor\":0,\"partial\":false",
     .doc = "Who follows a user"},
    {.method = "GET",
     .path = "/douyin/relation/friend/list/",
     .handler = h_relation_friend_list,
     .auth = AUTH_REQUIRED,
     .params = list_params,
     .failure_json = "\"user_list\":[],\"next_cursor\":0,\"partial\":false",
     .doc = "Friends: who follows a user and is followed back, with the last message"},
    {.method = "POST",
     .path = "/douyin/message/action/",
     .handler = h_message_action,
     .auth = AUTH_REQUIRED,
     .rate = RATE_MESSAGE,
     .params = message_params,
     .doc = "Write to another user"},
    {.method = "GET",
     .path = "/douyin/message/chat/",
     .handler = h_message_chat,
     .auth = AUTH_REQUIRED,
     .params = chat_params,
     .failure_json = "\"message_list\":[],\"next_cursor\":0",
     .doc = "The messages with another user, oldest first"},
    {.method = "GET",
     .path = "/static/",
     .handler = h_static_get,
     .quick = h_static_quick,
     .auth = AUTH_NONE,
     .flags = ROUTE_PREFIX | ROUTE_FILES,
     .doc = "Videos and covers, whole or a range"},
    {.method = "GET",
     .path = "/assets/",
     .handler = h_site_get,
     .auth = AUTH_NONE,
     .flags = ROUTE_PREFIX | ROUTE_INLINE,
     .doc = "Default avatars and backgrounds"},
    {.method = "GET",
     .path = "/",
     .handler = h_site_get,
     .auth = AUTH_NONE,
     .flags = ROUTE_INLINE,
     .doc = "The client page"},
    {.method = "GET",
     .path = "/web/",
     .handler = h_site_get,
     .auth = AUTH_NONE,
     .flags = ROUTE_PREFIX | ROUTE_INLINE,
     .doc = "What the client page is made of"},
    {.method = "GET",
     .path = "/docs/",
     .handler = h_site_get,
     .auth = AUTH_NONE,
     .flags = ROUTE_PREFIX | ROUTE_INLINE,
     .doc = "The page about the API"},
    {.method = "GET",
     .path = "/openapi.json/",
     .handler = h_site_get,
     .auth = AUTH_NONE,
     .flags = ROUTE_INLINE,
     .doc = "The description of the API"},
    {.method = "GET",
     .path = "/favicon.ico/",
     .handler = h_site_get,
     .auth = AUTH_NONE,
     .flags = ROUTE_INLINE,
     .doc = "The icon of the pages"},
    {.method = "GET",
     .path = "/robots.txt/",
     .handler = h_site_get,
     .auth = AUTH_NONE,
     .flags = ROUTE_INLINE,
     .doc = "What crawlers should leave alone"},
    {.method = "GET",
     .path = "/ping/",
     .handler = h_ping,
     .auth = AUTH_NONE,
     .flags = ROUTE_INLINE,
     .doc = "Is anybody there?"},
    {.method = "GET",
     .path = "/livez/",
     .handler = h_livez,
     .auth = AUTH_NONE,
     .flags = ROUTE_ADMIN | ROUTE_INLINE,
     .doc = "200 while the process answers at all"},
    {.method = "GET",
     .path = "/readyz/",
     .handler = h_readyz,
     .auth = AUTH_NONE,
     .flags = ROUTE_ADMIN | ROUTE_INLINE,
     .doc = "200 when every slot has a live shard and no shutdown has begun, else 503"},
    {.method = "GET",
     .path = "/metrics/",
     .handler = h_metrics,
     .auth = AUTH_NONE,
     .flags = ROUTE_ADMIN | ROUTE_INLINE,
     .doc = "Counters in the Prometheus text format"},
};

const struct route_table *routes_table(void)
{
    static const struct route_table table = {.rows = routes, .n = ARRAY_LEN(routes)};

    return &table;
}
