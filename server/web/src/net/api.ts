/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The calls of the service, one function each. All reject with a ServiceError. */
import { session } from "../session";
import { type Fields, get, post } from "./http";
import type { Id } from "./ids";
import type { Comment, Friend, Login, Message, Page, User, Video } from "./types";
import { type Upload, type UploadOptions, upload } from "./upload";

const token = () => session.value?.token;

interface ListAnswer {
  next_cursor: Id;
  partial?: boolean;
  video_list?: Video[];
  user_list?: User[];
  comment_list?: Comment[];
  message_list?: Message[];
}

async function page<Item>(path: string, name: keyof ListAnswer, fields: Fields): Promise<Page<Item>> {
  const answer = await get<ListAnswer>(path, fields, token());
  return { items: answer[name] as Item[], next: answer.next_cursor, partial: answer.partial ?? false };
}

const action = (done: boolean) => (done ? 1 : 2);

/* ---- accounts ---- */

export const register = (username: string, password: string, key: string): Promise<Login> =>
  post<Login>("/douyin/user/register/", { username, password }, undefined, key);

export const login = (username: string, password: string): Promise<Login> =>
  post<Login>("/douyin/user/login/", { username, password });

export const logout = () => post("/douyin/user/logout/", {}, token());

/** Ends all sessions of the caller and opens a new one. */
export const changePassword = (old_password: string, new_password: string, key: string): Promise<Login> =>
  post<Login>("/douyin/user/password/", { old_password, new_password }, token(), key);

export const user = async (user_id: Id): Promise<User> =>
  (await get<{ user: User }>("/douyin/user/", { user_id }, token())).user;

export function profile(fields: { signature?: string; avatar?: File; background_image?: File }): Upload {
  const form = new FormData();
  for (const [name, value] of Object.entries(fields)) if (value !== undefined) form.set(name, value);
  return upload("/douyin/user/profile/", form, { token: token() });
}

/* ---- videos ---- */

export interface FeedPage {
  video_list: Video[];
  /** Where the next page begins, in ms. */
  next_time: number;
  partial: boolean;
}

/** The newest videos before LATEST (ms; undefined: no bound). */
export const feed = (latest?: number): Promise<FeedPage> =>
  get<FeedPage>("/douyin/feed/", { latest_time: latest }, token());

export const works = (user_id: Id, cursor?: Id) =>
  page<Video>("/douyin/publish/list/", "video_list", { user_id, cursor, limit: 30 });

export const likes = (user_id: Id, cursor?: Id) =>
  page<Video>("/douyin/favorite/list/", "video_list", { user_id, cursor, limit: 30 });

export function publish(data: File, title: string, options: Omit<UploadOptions, "token">): Upload {
  const form = new FormData();
  form.set("title", title);
  form.set("data", data);
  return upload("/douyin/publish/action/", form, { ...options, token: token() });
}

export const deleteVideo = (video_id: Id) => post("/douyin/publish/delete/", { video_id }, token());

/* ---- likes, comments, follows ---- */

export const favorite = (video_id: Id, liked: boolean) =>
  post("/douyin/favorite/action/", { video_id, action_type: action(liked) }, token());

export const comments = (video_id: Id, cursor?: Id) =>
  page<Comment>("/douyin/comment/list/", "comment_list", { video_id, cursor, limit: 20 });

export const comment = async (video_id: Id, comment_text: string, key: string): Promise<Comment> =>
  (await post<{ comment: Comment }>("/douyin/comment/action/", { video_id, action_type: 1, comment_text }, token(), key))
    .comment;

export const deleteComment = (video_id: Id, comment_id: Id) =>
  post("/douyin/comment/action/", { video_id, action_type: 2, comment_id }, token());

export const follow = (to_user_id: Id, followed: boolean) =>
  post("/douyin/relation/action/", { to_user_id, action_type: action(followed) }, token());

export const follows = (user_id: Id, cursor?: Id) =>
  page<User>("/douyin/relation/follow/list/", "user_list", { user_id, cursor, limit: 30 });

export const followers = (user_id: Id, cursor?: Id) =>
  page<User>("/douyin/relation/follower/list/", "user_list", { user_id, cursor, limit: 30 });

export const friends = (user_id: Id, cursor?: Id) =>
  page<Friend>("/douyin/relation/friend/list/", "user_list", { user_id, cursor, limit: 50 });

/* ---- messages ---- */

/** The newest messages with a user, oldest first; CURSOR leads back to older ones. */
export const chat = (to_user_id: Id, cursor?: Id) =>
  page<Message>("/douyin/message/chat/", "message_list", { to_user_id, cursor });

/** What the caller has received from a user after SINCE (ms). */
export const newMessages = (to_user_id: Id, since: number) =>
  page<Message>("/douyin/message/chat/", "message_list", { to_user_id, pre_msg_time: since });

export const send = (to_user_id: Id, content: string, key: string) =>
  post("/douyin/message/action/", { to_user_id, action_type: 1, content }, token(), key);
