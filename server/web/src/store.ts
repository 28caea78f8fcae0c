/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Users and videos that the service has returned, each stored once: a like in the feed is a like in
 * the profile, too. */
import { type Signal, signal } from "@preact/signals";
import type { Id } from "./net/ids";
import type { User, Video } from "./net/types";

class Shelf<Item extends { id: Id }> {
  #items = new Map<Id, Signal<Item>>();
  #size = signal(0);

  /** The latest data about an item replaces the earlier. */
  put(item: Item): Signal<Item> {
    const known = this.#items.get(item.id);
    if (known) {
      known.value = item;
      return known;
    }
    const made = signal(item);
    this.#items.set(item.id, made);
    this.#size.value = this.#items.size;
    return made;
  }

  /** A view that finds nothing is drawn again when something arrives. */
  find(id: Id): Signal<Item> | undefined {
    const known = this.#items.get(id);
    if (!known) void this.#size.value;
    return known;
  }

  /** Changes some fields of an item, if it is known. */
  change(id: Id, fields: (item: Item) => Partial<Item>) {
    const known = this.#items.get(id);
    if (known) known.value = { ...known.value, ...fields(known.value) };
  }

  changeAll(fields: Partial<Item>) {
    for (const known of this.#items.values()) known.value = { ...known.value, ...fields };
  }
}

export const users = new Shelf<User>();
export const videos = new Shelf<Video>();

/** Stores a page of videos with their authors; returns their ids, in order. */
export function putVideos(list: Video[]): Id[] {
  for (const video of list) {
    users.put(video.author);
    videos.put(video);
  }
  return list.map(({ id }) => id);
}

export function putUsers(list: User[]): Id[] {
  for (const user of list) users.put(user);
  return list.map(({ id }) => id);
}

/** What the caller likes and follows is no longer known, or is nothing. */
export function forgetCaller() {
  videos.changeAll({ is_favorite: false });
  users.changeAll({ is_follow: false });
}
