/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The user's own messages that the service does not list yet: they outlive the view of their
 * conversation, so that one that was not sent is still there when the user comes back. */
import { type Signal, signal } from "@preact/signals";
import type { ServiceError } from "../net/errors";
import type { Id } from "../net/ids";

/** One of the user's own messages that is being sent. */
export interface Outgoing {
  /** Identifies it to the service, so that sending it again does not store it twice. */
  key: string;
  content: string;
  state: "sending" | "sent" | "failed";
  error?: ServiceError | undefined;
}

const unsent = new Map<string, Signal<Outgoing[]>>();

/** What USER has written to PEER, oldest first. */
export function unsentTo(user: Id, peer: Id): Signal<Outgoing[]> {
  const name = `${user} ${peer}`;
  const found = unsent.get(name) ?? signal<Outgoing[]>([]);
  unsent.set(name, found);
  return found;
}

/** For the next user of this browser nothing is left of it. */
export const forgetUnsent = () => unsent.clear();
