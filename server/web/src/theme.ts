/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Dark or light: what the system says, unless the user chose. */
import { effect } from "@preact/signals";
import { remembered } from "./remembered";

export const THEMES = ["system", "light", "dark"] as const;
export type Theme = (typeof THEMES)[number];

export const theme = remembered<Theme>("theme", "system", (value) => THEMES.includes(value));

/* The style sheet asks for the attribute first and for prefers-color-scheme second. */
effect(() => {
  if (theme.value === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme.value;
});
