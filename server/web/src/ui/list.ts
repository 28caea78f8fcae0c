/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* A list that is fetched page by page. */
import { type Signal, batch, signal } from "@preact/signals";
import { type ServiceError, asServiceError } from "../net/errors";
import { type Id, NO_ID } from "../net/ids";
import type { Page } from "../net/types";

export interface PagedList<Item> {
  items: Signal<Item[]>;
  busy: Signal<boolean>;
  error: Signal<ServiceError | undefined>;
  ended: Signal<boolean>;
  partial: Signal<boolean>;
  /** Fetches the next page. Does nothing while one is being fetched, or at the end. */
  more(): Promise<void>;
  /** Starts over; what is shown stays until the first page has arrived. */
  reload(): Promise<void>;
}

/**
 * FETCH gets the page that begins at a cursor; KEEP makes of its items what the list holds; NAME tells
 * them apart, since an item that moved meanwhile may be on two pages.
 */
export function pagedList<Raw, Item>(
  fetch: (cursor?: Id) => Promise<Page<Raw>>,
  keep: (items: Raw[]) => Item[],
  name: (item: Item) => string = String,
): PagedList<Item> {
  const items = signal<Item[]>([]);
  const busy = signal(false);
  const error = signal<ServiceError | undefined>(undefined);
  const ended = signal(false);
  const partial = signal(false);
  let next: Id | undefined;
  let round = 0;

  function take(page: Page<Raw>, before: Item[]) {
    const known = new Set(before.map(name));
    next = page.next;
    batch(() => {
      items.value = [...before, ...keep(page.items).filter((item) => !known.has(name(item)))];
      ended.value = page.next === NO_ID;
      partial.value = page.partial || (before.length > 0 && partial.value);
    });
  }

  async function run(before: () => Item[], cursor?: Id) {
    const mine = ++round;
    busy.value = true;
    error.value = undefined;
    try {
      const page = await fetch(cursor);
      if (mine === round) take(page, before());
    } catch (thrown) {
      if (mine === round) error.value = asServiceError(thrown);
    } finally {
      if (mine === round) busy.value = false;
    }
  }

  return {
    items, busy, error, ended, partial,
    more: async () => {
      if (!busy.value && !ended.value) await run(() => items.value, next);
    },
    reload: () => run(() => []),
  };
}
