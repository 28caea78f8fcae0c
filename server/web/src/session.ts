/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Who is logged in, here and in the other tabs of this browser. */
import { computed, signal } from "@preact/signals";
import { type Id, idOf } from "./net/ids";

export interface Session {
  userId: Id;
  token: string;
  name: string;
}

/* The token lies in localStorage, which any script of this origin can read: a script that somebody
 * managed to inject could take it along, where a HttpOnly cookie could only be used in place. The
 * policy of the page limits that: scripts come from this origin's own files, there are no inline
 * ones, and connect-src lets nothing be sent to anybody else. Users' texts are text nodes and never
 * markup. Logging out ends the session at the service, too. */
const PLACE = "doushard.session";

function read(): Session | undefined {
  try {
    const found = JSON.parse(localStorage.getItem(PLACE) ?? "null") as Session | null;
    return found && idOf(found.userId) && found.token ? found : undefined;
  } catch {
    return undefined;
  }
}

function write(value: Session | undefined) {
  try {
    if (value) localStorage.setItem(PLACE, JSON.stringify(value));
    else localStorage.removeItem(PLACE);
  } catch {
    /* No storage in this browser's mode: the session lasts as long as the page. */
  }
}

export const session = signal<Session | undefined>(read());
export const myId = computed(() => session.value?.userId);

export function begin(value: Session) {
  write(value);
  session.value = value;
}

export function end() {
  write(undefined);
  session.value = undefined;
}

addEventListener("storage", (event) => {
  if (event.key !== PLACE && event.key !== null) return;
  const now = read();
  if (now?.token !== session.value?.token) session.value = now;
});
