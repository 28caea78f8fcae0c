/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Settings that this browser keeps. */
import { type Signal, effect, signal } from "@preact/signals";

function stored(place: string): unknown {
  try {
    return JSON.parse(localStorage.getItem(place) ?? "null");
  } catch {
    return null;
  }
}

/** A signal whose value outlives the page; a stored value is used only if it IS VALID. */
export function remembered<T>(name: string, initial: T, isValid: (value: never) => boolean): Signal<T> {
  const place = `doushard.${name}`;
  const before = stored(place);
  const value = signal<T>(before !== null && isValid(before as never) ? (before as T) : initial);
  let first = true;
  effect(() => {
    const text = JSON.stringify(value.value);
    /* A setting that nobody has chosen is not stored, so that it follows the system's. */
    if (first) first = false;
    else
      try {
        localStorage.setItem(place, text);
      } catch {
        /* No storage: the choice lasts as long as the page. */
      }
  });
  return value;
}
