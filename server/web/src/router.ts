/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The current place in the page. It is behind the # of the address, so that the service has only one
 * page. */
import { signal } from "@preact/signals";
import { type Id, idOf } from "./net/ids";

export type Shelf = "works" | "likes";
export type Crowd = "follows" | "followers";

export type Place =
  | { at: "feed" }
  | { at: "friends" }
  | { at: "chat"; id: Id }
  | { at: "upload" }
  | { at: "me" }
  | { at: "user"; id: Id; shelf: Shelf }
  | { at: "people"; id: Id; crowd: Crowd }
  | { at: "watch"; id: Id; shelf: Shelf; video: Id }
  | { at: "nowhere" };

const NOWHERE: Place = { at: "nowhere" };

function placeOfUser([user, part, video]: string[]): Place {
  const id = idOf(user);
  if (!id) return NOWHERE;
  if (part === "follows" || part === "followers") return { at: "people", id, crowd: part };
  const shelf = part === undefined ? "works" : part;
  if (shelf !== "works" && shelf !== "likes") return NOWHERE;
  const watched = idOf(video);
  return watched ? { at: "watch", id, shelf, video: watched } : { at: "user", id, shelf };
}

function placeOf(hash: string): Place {
  const [first = "", ...rest] = hash.replace(/^#\/?/, "").split("/");
  if (first === "") return { at: "feed" };
  if (first === "friends" || first === "upload" || first === "me") return { at: first };
  if (first === "user") return placeOfUser(rest);
  const id = idOf(rest[0]);
  return first === "chat" && id ? { at: "chat", id } : NOWHERE;
}

export const place = signal<Place>(placeOf(location.hash));

/** What the navigation leads to; every other place is reached from one of these. */
export type Tab = "feed" | "friends" | "upload" | "me";

function tabOf({ at }: Place): Tab | undefined {
  if (at === "chat") return "friends";
  return at === "feed" || at === "friends" || at === "upload" || at === "me" ? at : undefined;
}

/** The one that the user came from. */
export const tab = signal<Tab>(tabOf(place.peek()) ?? "feed");

function arrive() {
  place.value = placeOf(location.hash);
  tab.value = tabOf(place.value) ?? tab.peek();
}

/* How many places of this page come before this one in the window's history: it is stored with each
 * of them, so that it is known after the browser's own back button as well. */
const depthOf = (state: unknown) => (state as { depth?: number } | null)?.depth;
let depth = depthOf(history.state) ?? 0;

addEventListener("hashchange", () => {
  depth = depthOf(history.state) ?? depth + 1;
  history.replaceState({ depth }, "");
  arrive();
});

/** Back to where the user came from; false if that is not in this page. */
export function goBack(): boolean {
  if (depth === 0) return false;
  history.back();
  return true;
}

/** Replaces the address: there is no way back to the present one. */
export function becomes(address: string) {
  history.replaceState({ depth }, "", address);
}

/** For links to another part of the same place: they replace the address, so that going back leads
 * out of the place. */
export function turn(event: MouseEvent) {
  if (event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  becomes((event.currentTarget as HTMLAnchorElement).hash);
  arrive();
}

/** Addresses, for links. */
export const to = {
  feed: "#/",
  friends: "#/friends",
  upload: "#/upload",
  me: "#/me",
  chat: (id: Id) => `#/chat/${id}`,
  user: (id: Id, shelf: Shelf = "works") => (shelf === "works" ? `#/user/${id}` : `#/user/${id}/${shelf}`),
  people: (id: Id, crowd: Crowd) => `#/user/${id}/${crowd}`,
  watch: (id: Id, shelf: Shelf, video: Id) => `#/user/${id}/${shelf}/${video}`,
};

export const go = (address: string) => {
  location.hash = address;
};
