/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Who is logged in, here and in the browser's other tabs. */
import { computed, signal } from "@preact/signals";
import { type Id, idOf } from "./net/ids";

export interface Session {
  userId: Id;
  token: string;
  name: string;
}

/* The token is in localStorage, which any script of this origin can read: an injected script could
 * steal it, whereas an HttpOnly cookie could only be used from this page. The page's policy limits
 * that: scripts come from this origin's own files, there are no inline ones, and connect-src allows
 * no other host. Users' texts are text nodes, never markup. Logging out ends the session in the
 * service, too. */
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
