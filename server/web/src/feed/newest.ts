/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The feed of all videos, newest first. It is one list for the whole page: after a visit to a
 * profile it is as it was. */
import { signal } from "@preact/signals";
import * as api from "../net/api";
import { type Id, NO_ID } from "../net/ids";
import type { Page, Video } from "../net/types";
import { putVideos } from "../store";
import { type PagedList, pagedList } from "../ui/list";
import { tellError } from "../ui/toast";

/* Where the pages begin that are shown. */
let cursors: (Id | undefined)[] = [];

const timeOf = (cursor: Id | undefined) => (cursor === undefined ? undefined : Number(cursor));

/* At the end the service keeps answering, with the same time and nothing new: a page without new
 * videos is also the end. */
async function fetchPage(cursor?: Id): Promise<Page<Video>> {
  const { video_list: items, next_time, partial } = await api.feed(timeOf(cursor));
  const known = new Set(cursor === undefined ? [] : newest.items.peek());
  const goesOn = items.some(({ id }) => !known.has(id));
  cursors = cursor === undefined ? [undefined] : [...cursors, cursor];
  return { items, next: goesOn ? (String(next_time) as Id) : NO_ID, partial };
}

export const newest: PagedList<Id> = pagedList(fetchPage, putVideos);

/** The user has changed: fetch again what this user likes and follows, for everything shown. */
export async function refreshFlags(): Promise<void> {
  const pages = await Promise.allSettled(cursors.map((cursor) => api.feed(timeOf(cursor))));
  for (const page of pages) if (page.status === "fulfilled") putVideos(page.value.video_list);
}

/** The video of the feed that is shown; it outlives the view. */
export const lastShown: { id?: Id | undefined } = {};

/** How often the feed was started over; each time it gets a new view. */
export const beginning = signal(0);

/** Back to the top, with the newest videos. */
export async function beginAnew(): Promise<void> {
  lastShown.id = undefined;
  beginning.value += 1;
  await newest.reload();
  if (newest.error.value) tellError(newest.error.value);
}
