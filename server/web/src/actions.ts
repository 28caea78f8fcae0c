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

/* What is under way for one switch, such as the like of one clip. */
interface Wishes {
  open: number;
  latest: number;
  /** What the service has, as far as is known. */
  stored: boolean;
}

const wishes = new Map<string, Wishes>();

/* SHOW that switch NAME is now ON, and do WORK. If that fails, what the service has is shown again,
 * unless the user has wished something else meanwhile: the latest wish counts. */
async function wish(name: string, was: boolean, on: boolean, show: (on: boolean) => void, work: () => Promise<unknown>) {
  const all = wishes.get(name) ?? { open: 0, latest: 0, stored: was };
  const mine = ++all.latest;
  all.open += 1;
  wishes.set(name, all);
  show(on);
  try {
    await work();
    all.stored = on;
  } catch (error) {
    if (mine === all.latest) show(all.stored);
    throw error;
  } finally {
    all.open -= 1;
    if (all.open === 0) wishes.delete(name);
  }
}

function showLike(id: Id, liked: boolean) {
  videos.change(id, (video) =>
    video.is_favorite === liked
      ? {}
      : { is_favorite: liked, favorite_count: Math.max(0, video.favorite_count + (liked ? 1 : -1)) },
  );
}

export function like(id: Id, liked: boolean): Promise<void> {
  return asUser("toLike", () => {
    const was = videos.find(id)?.peek().is_favorite ?? false;
    return wish(`like ${id}`, was, liked, (on) => showLike(id, on), () => api.favorite(id, liked));
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
  return asUser("toFollow", async () => {
    /* After logging in, the user may turn out to be the one to follow. */
    if (id === myId.value) return;
    const was = users.find(id)?.peek().is_follow ?? false;
    await wish(`follow ${id}`, was, followed, (on) => showFollow(id, on), () => api.follow(id, followed));
  }).then(() => {}, tellError);
}

/** Deletes one of the caller's videos; resolves to whether it is gone. */
export async function deleteVideo(id: Id): Promise<boolean> {
  try {
    const done = await asUser("sessionOver", () => api.deleteVideo(id));
    if (done) tell(words.value.videoDeleted);
    return done !== undefined;
  } catch (error) {
    tellError(error);
    return false;
  }
}
