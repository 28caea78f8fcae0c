/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Dark or light: the system's setting, unless the user chose one. */
import { effect } from "@preact/signals";
import { remembered } from "./remembered";

export const THEMES = ["system", "light", "dark"] as const;
export type Theme = (typeof THEMES)[number];

export const theme = remembered<Theme>("theme", "system", (value) => THEMES.includes(value));

/* The style sheet looks at the attribute first and at prefers-color-scheme second. */
effect(() => {
  if (theme.value === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme.value;
});
