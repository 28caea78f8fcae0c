/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Which messages were seen, in this browser: the service does not store that. Its list of friends
 * has the text of the last message but no id, so that only texts can be compared. */
import { remembered } from "../remembered";
import type { Id } from "../net/ids";

const read = remembered<Record<Id, string>>("read", {}, (value) => typeof value === "object");

/** The last message from PEER that was seen. */
export const lastRead = (peer: Id): string | undefined => read.value[peer];

export function markRead(peer: Id, text: string) {
  if (read.peek()[peer] !== text) read.value = { ...read.peek(), [peer]: text };
}
