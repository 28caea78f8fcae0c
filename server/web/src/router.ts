/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Where in the page one is. It stands behind the # of the address, so that the service has one page. */
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

addEventListener("hashchange", () => {
  place.value = placeOf(location.hash);
});

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
