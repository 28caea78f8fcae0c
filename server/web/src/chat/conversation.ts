/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The messages with one user. The service is polled, since it cannot call back; the user's own
 * messages are shown before they have arrived. */
import { type Signal, batch, computed, signal } from "@preact/signals";
import { asUser } from "../asking";
import * as api from "../net/api";
import { CODE, ServiceError, asServiceError } from "../net/errors";
import { newKey } from "../net/http";
import { type Id, NO_ID } from "../net/ids";
import type { Message } from "../net/types";
import { end, myId } from "../session";
import { type Outgoing, unsentTo } from "./unsent";

/* Among so many polls one asks for everything: others return only what the user has received, but
 * not what the user has sent from another device. */
const FULL_EVERY = 10;

const newestOf = (list: Message[]) => list.reduce((newest, { create_time }) => Math.max(newest, create_time), 0);

function merge(before: Message[], more: Message[]): Message[] {
  const known = new Set(before.map(({ id }) => id));
  const fresh = more.filter(({ id }) => !known.has(id));
  return fresh.length === 0 ? before : [...before, ...fresh].sort((a, b) => a.create_time - b.create_time);
}

export class Conversation {
  readonly messages = signal<Message[]>([]);
  readonly outgoing: Signal<Outgoing[]>;
  readonly loaded = signal(false);
  readonly error = signal<ServiceError | undefined>(undefined);
  readonly olderBusy = signal(false);
  readonly hasOlder = computed(() => this.#older.value !== NO_ID);
  #older = signal<Id>(NO_ID);
  #polls = 0;

  constructor(
    readonly me: Id,
    readonly peer: Id,
  ) {
    this.outgoing = unsentTo(me, peer);
  }

  /* What the service lists has arrived: it replaces what is shown as sent. */
  async #load() {
    const sentBefore = new Set(this.outgoing.peek().filter(({ state }) => state === "sent"));
    const { items, next } = await api.chat(this.peer);
    batch(() => {
      if (!this.loaded.peek()) this.#older.value = next;
      this.messages.value = merge(this.messages.peek(), items);
      this.outgoing.value = this.outgoing.peek().filter((message) => !sentBefore.has(message));
      this.loaded.value = true;
    });
  }

  /* Without a message to start from, the service returns the newest messages of both users, as at
   * the start. Otherwise it returns received messages only: where the user's own belong among them,
   * a full load tells. */
  async #fetchNew() {
    for (;;) {
      const since = newestOf(this.messages.peek());
      if (since === 0) return this.#load();
      const { items, next } = await api.newMessages(this.peer, since);
      const isAnswer = items.length > 0 && this.outgoing.peek().some(({ state }) => state === "sent");
      if (isAnswer && next === NO_ID) return this.#load();
      this.messages.value = merge(this.messages.peek(), items);
      if (next === NO_ID || items.length === 0) return;
    }
  }

  /** Fetches what is new. An error is kept until the next success. */
  async poll() {
    try {
      if (this.loaded.peek()) await this.#fetchNew();
      if (this.#polls % FULL_EVERY === 0) await this.#load();
      this.#polls += 1;
      this.error.value = undefined;
    } catch (thrown) {
      this.error.value = asServiceError(thrown);
      if (this.error.value.reason === CODE.notLoggedIn) end();
    }
  }

  async older() {
    if (this.olderBusy.value) return;
    this.olderBusy.value = true;
    try {
      const { items, next } = await api.chat(this.peer, this.#older.value);
      this.messages.value = merge(this.messages.peek(), items);
      this.#older.value = next;
    } finally {
      this.olderBusy.value = false;
    }
  }

  #change(key: string, fields: Partial<Outgoing>) {
    this.outgoing.value = this.outgoing.peek().map((message) => (message.key === key ? { ...message, ...fields } : message));
  }

  /* Whoever logs in when the session has ended may be somebody else: the message is not theirs. */
  async #sendOnce({ key, content }: Outgoing) {
    if (myId.peek() !== this.me) return false;
    await api.send(this.peer, content, key);
    return true;
  }

  async #deliver(message: Outgoing) {
    const { key } = message;
    try {
      const sent = await asUser("toChat", () => this.#sendOnce(message));
      if (!sent) throw new ServiceError(CODE.notLoggedIn);
      this.#change(key, { state: "sent" });
    } catch (thrown) {
      this.#change(key, { state: "failed", error: asServiceError(thrown) });
    }
  }

  send(content: string) {
    const message: Outgoing = { key: newKey(), content, state: "sending" };
    this.outgoing.value = [...this.outgoing.peek(), message];
    return this.#deliver(message);
  }

  again(message: Outgoing) {
    this.#change(message.key, { state: "sending", error: undefined });
    return this.#deliver(message);
  }
}
