/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The page's language, and its texts. */
import { computed, effect } from "@preact/signals";
import type { ServiceError } from "../net/errors";
import { remembered } from "../remembered";
import { en, type Words } from "./en";
import { zh } from "./zh";

export const LANGUAGES = { en, zh } satisfies Record<string, Words>;
export type Language = keyof typeof LANGUAGES;

/* The value of <html lang>, by which browsers choose fonts and screen readers voices. */
const HTML_LANG: Record<Language, string> = { en: "en", zh: "zh-CN" };

const preferred = (): Language =>
  navigator.languages.map((tag) => tag.toLowerCase().split("-")[0]).find((tag) => tag === "zh" || tag === "en") === "zh"
    ? "zh"
    : "en";

export const language = remembered<Language>("language", preferred(), (value) => value in LANGUAGES);

/** The texts in the current language. */
export const words = computed<Words>(() => LANGUAGES[language.value]);

effect(() => {
  document.documentElement.lang = HTML_LANG[language.value];
});

/** An error in the page's language. */
export function inWords({ reason, waitSeconds }: ServiceError): string {
  const { errors, tryAgainIn } = words.value;
  if (waitSeconds !== undefined) return tryAgainIn(waitSeconds);
  return reason in errors ? errors[reason as keyof typeof errors] : errors.unknown;
}

/** A number short enough to fit below an icon: 1.2K, 3.4万. */
export const short = (n: number): string =>
  new Intl.NumberFormat(language.value, { notation: "compact", maximumFractionDigits: 1 }).format(n);

/** A comment's date, which comes as MM-DD. */
export function monthDay(date: string): string {
  const [month, day] = date.split("-").map(Number);
  if (!month || !day) return date;
  const when = new Date(Date.UTC(2000, month - 1, day));
  return when.toLocaleDateString(HTML_LANG[language.value], { month: "short", day: "numeric", timeZone: "UTC" });
}

/** When a message was written: today's without the day. */
export function moment(ms: number): string {
  const when = new Date(ms);
  const isToday = when.toDateString() === new Date().toDateString();
  const day = isToday ? {} : ({ month: "short", day: "numeric" } as const);
  return when.toLocaleString(HTML_LANG[language.value], { ...day, hour: "numeric", minute: "2-digit" });
}
