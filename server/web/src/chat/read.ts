/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* What of each conversation was seen, in this browser: the service keeps no such mark. Its list of friends has
 * the text of the last message and nothing that names it, so that a text is all that can be compared. */
import { remembered } from "../remembered";
import type { Id } from "../net/ids";

const read = remembered<Record<Id, string>>("read", {}, (value) => typeof value === "object");

/** The last message that was seen of what PEER wrote. */
export const lastRead = (peer: Id): string | undefined => read.value[peer];

export function markRead(peer: Id, text: string) {
  if (read.peek()[peer] !== text) read.value = { ...read.peek(), [peer]: text };
}
