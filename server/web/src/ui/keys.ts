/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Keyboard shortcuts of the whole page. */

/* Elements in which keys have a meaning of their own. */
const TYPING = "input, textarea, select, [contenteditable]";
const PRESSING = "button, a[href], summary, [role=tab]";

/** The command key of EVENT; undefined if the key is meant for something else. */
export function commandOf(event: KeyboardEvent): string | undefined {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || event.isComposing) return undefined;
  const target = event.target instanceof Element ? event.target : undefined;
  if (target?.closest("dialog") || target?.closest(TYPING)) return undefined;
  if ((event.key === " " || event.key === "Enter") && target?.closest(PRESSING)) return undefined;
  return event.key.length === 1 ? event.key.toLowerCase() : event.key;
}
