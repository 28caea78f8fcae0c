/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The size of the window and the user's preferences, as signals. */
import { signal } from "@preact/signals";

function matches(query: string) {
  const list = matchMedia(query);
  const value = signal(list.matches);
  list.addEventListener("change", () => {
    value.value = list.matches;
  });
  return value;
}

/** Room for the navigation at the side. The same bounds are in styles/layout.css. */
export const hasSideNav = matches("(min-width: 900px)");
/** Room for comments beside the video. */
export const hasSidePanel = matches("(min-width: 1180px)");
/** A pointer that can hover and drag. */
export const canHover = matches("(hover: hover)");
export const reducedMotion = matches("(prefers-reduced-motion: reduce)");

/** How scripts scroll. */
export const scrollBehavior = (): ScrollBehavior => (reducedMotion.value ? "auto" : "smooth");

export const online = signal(navigator.onLine);
addEventListener("online", () => {
  online.value = true;
});
addEventListener("offline", () => {
  online.value = false;
});
