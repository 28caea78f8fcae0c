/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Texts that were written but not sent: they survive errors, closed panels and reloads. */
import { type Signal, effect, signal } from "@preact/signals";

const drafts = new Map<string, Signal<string>>();

function before(place: string): string {
  try {
    return sessionStorage.getItem(place) ?? "";
  } catch {
    return "";
  }
}

function keep(place: string, text: string) {
  try {
    if (text) sessionStorage.setItem(place, text);
    else sessionStorage.removeItem(place);
  } catch {
    /* No storage: the draft lasts as long as the page. */
  }
}

/** The draft for NAME, which says what the text is for. */
export function draft(name: string): Signal<string> {
  const place = `doushard.draft.${name}`;
  let found = drafts.get(place);
  if (!found) {
    const text = signal(before(place));
    effect(() => keep(place, text.value));
    drafts.set(place, text);
    found = text;
  }
  return found;
}

/** A text as the service counts it: in code points. */
export const lengthOf = (text: string): number => [...text].length;
