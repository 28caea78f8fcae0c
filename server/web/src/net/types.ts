/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The answers of the service: server/api/openapi.yaml, with ids as strings (ids.ts). */
import type { Id } from "./ids";

export interface User {
  id: Id;
  name: string;
  follow_count: number;
  follower_count: number;
  is_follow: boolean;
  avatar: string;
  background_image: string;
  signature: string;
  total_favorited: number;
  work_count: number;
  favorite_count: number;
}

export interface Friend extends User {
  message: string;
  /** 0: received, 1: sent. */
  msgType: 0 | 1;
}

export interface Video {
  id: Id;
  author: User;
  play_url: string;
  cover_url: string;
  favorite_count: number;
  comment_count: number;
  is_favorite: boolean;
  title: string;
}

export interface Comment {
  id: Id;
  user: User;
  content: string;
  /** MM-DD in UTC. */
  create_date: string;
}

export interface Message {
  id: Id;
  to_user_id: Id;
  from_user_id: Id;
  content: string;
  /** ms since 1970 UTC. */
  create_time: number;
}

/** A page of a list; `next` is NO_ID at the end. */
export interface Page<Item> {
  items: Item[];
  next: Id;
  /** A shard did not answer: something is missing. */
  partial: boolean;
}

export interface Login {
  user_id: Id;
  token: string;
}
