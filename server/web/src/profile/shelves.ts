/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The lists of videos on profiles. They outlive the view, so that going back from a video leads to
 * the same position. */
import * as api from "../net/api";
import type { Id } from "../net/ids";
import type { Shelf } from "../router";
import { myId } from "../session";
import { putVideos } from "../store";
import { type PagedList, pagedList } from "../ui/list";

interface Kept {
  name: string;
  list: PagedList<Id>;
}

/* Those of the last few users are enough. */
const MOST = 8;
let kept: Kept[] = [];

/** The list SHELF of user ID, as the caller sees it. */
export function shelfOf(id: Id, shelf: Shelf): PagedList<Id> {
  const name = `${myId.value ?? ""} ${id} ${shelf}`;
  const found = kept.find((other) => other.name === name);
  if (found) return found.list;
  const fetch = shelf === "works" ? api.works : api.likes;
  const list = pagedList((cursor) => fetch(id, cursor), putVideos);
  kept = [{ name, list }, ...kept].slice(0, MOST);
  return list;
}

/** A video was deleted: removes it from the caller's lists. */
export function dropVideo(video: Id) {
  for (const { list } of kept) list.items.value = list.items.value.filter((id) => id !== video);
}

/** Something was published or deleted: the stored lists of USER are outdated. */
export function forgetWorks(user: Id) {
  kept = kept.filter(({ name }) => !name.endsWith(` ${user} works`));
}
