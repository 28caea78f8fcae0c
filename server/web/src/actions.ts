/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* What a user does with videos and people. It shows at once, and is undone on the screen if it
 * fails. */
import * as api from "./net/api";
import { asUser } from "./asking";
import type { Id } from "./net/ids";
import { users, videos } from "./store";
import { myId } from "./session";
import { tell, tellError } from "./ui/toast";
import { words } from "./i18n";

/* The latest action counts: one that was followed by another changes nothing any more. */
const wishes = new Map<string, number>();

function wish(name: string): () => boolean {
  const number = (wishes.get(name) ?? 0) + 1;
  wishes.set(name, number);
  return () => wishes.get(name) === number;
}

function showLike(id: Id, liked: boolean) {
  videos.change(id, (video) =>
    video.is_favorite === liked
      ? {}
      : { is_favorite: liked, favorite_count: Math.max(0, video.favorite_count + (liked ? 1 : -1)) },
  );
}

export function like(id: Id, liked: boolean): Promise<void> {
  const isNewest = wish(`like ${id}`);
  return asUser("toLike", async () => {
    showLike(id, liked);
    try {
      await api.favorite(id, liked);
    } catch (error) {
      if (isNewest()) showLike(id, !liked);
      throw error;
    }
  }).then(() => {}, tellError);
}

export function toggleLike(id: Id) {
  const video = videos.find(id)?.peek();
  if (video) void like(id, !video.is_favorite);
}

function showFollow(id: Id, followed: boolean) {
  const step = followed ? 1 : -1;
  users.change(id, (user) =>
    user.is_follow === followed
      ? {}
      : { is_follow: followed, follower_count: Math.max(0, user.follower_count + step) },
  );
}

export function follow(id: Id, followed: boolean): Promise<void> {
  const isNewest = wish(`follow ${id}`);
  return asUser("toFollow", async () => {
    /* After logging in, the user may turn out to be the one to follow. */
    if (id === myId.value) return;
    showFollow(id, followed);
    try {
      await api.follow(id, followed);
    } catch (error) {
      if (isNewest()) showFollow(id, !followed);
      throw error;
    }
  }).then(() => {}, tellError);
}

/** Deletes one of the caller's videos; resolves to whether it is gone. */
export async function deleteVideo(id: Id): Promise<boolean> {
  try {
    await api.deleteVideo(id);
    tell(words.value.videoDeleted);
    return true;
  } catch (error) {
    tellError(error);
    return false;
  }
}
