/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Every handler that the route table names.
 *
 * A handler runs on a fiber (ROUTE_THREAD, ROUTE_FILES: on a thread of its own,
 * ROUTE_INLINE: in the connection's thread) with checked parameters and an identified
 * caller. On a fiber it may wait for shards until req->deadline_ms, and for nothing else
 * (shard/base/wait.h). It frees nothing in the arena, and ends by calling one reply
 * function of reply.h. Functions named *_quick are of type route_quick (route.h). */
#ifndef DOUSHARD_API_HANDLERS_H
#define DOUSHARD_API_HANDLERS_H

#include <stdbool.h>

struct request;

/* h_user.c */
void h_user_register(struct request *req);
void h_user_login(struct request *req);
void h_user_logout(struct request *req);
void h_user_password(struct request *req);
void h_user_profile(struct request *req);
void h_user_get(struct request *req);
bool h_user_quick(struct request *req);

/* h_feed.c */
void h_feed_list(struct request *req);
bool h_feed_quick(struct request *req);

/* h_publish.c */
void h_publish_action(struct request *req);
void h_publish_list(struct request *req);
void h_publish_delete(struct request *req);

/* h_favorite.c */
void h_favorite_action(struct request *req);
void h_favorite_list(struct request *req);

/* h_comment.c */
void h_comment_action(struct request *req);
void h_comment_list(struct request *req);

/* h_relation.c */
void h_relation_action(struct request *req);
void h_relation_follow_list(struct request *req);
void h_relation_follower_list(struct request *req);
void h_relation_friend_list(struct request *req);

/* h_message.c */
void h_message_action(struct request *req);
void h_message_chat(struct request *req);

/* static_file.c */
void h_static_get(struct request *req);
bool h_static_quick(struct request *req);

/* site.c */
void h_site_get(struct request *req);

/* admin.c; h_ping is on the public listener, the others on the operator's */
void h_ping(struct request *req);
void h_livez(struct request *req);
void h_readyz(struct request *req);
void h_metrics(struct request *req);

#endif
