/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Short notes at the edge of the window, which screen readers announce. */
import { signal } from "@preact/signals";
import { inWords, words } from "../i18n";
import { asServiceError } from "../net/errors";

interface Note {
  number: number;
  text: string;
  requestId: string;
  isError: boolean;
}

const SHOWN_MS = 5000;
const notes = signal<Note[]>([]);
let last = 0;

function show(note: Omit<Note, "number">) {
  const number = ++last;
  const others = notes.value.filter(({ text }) => text !== note.text).slice(-1);
  notes.value = [...others, { ...note, number }];
  setTimeout(() => {
    notes.value = notes.value.filter((other) => other.number !== number);
  }, SHOWN_MS);
}

export const tell = (text: string) => show({ text, requestId: "", isError: false });

/** Shows a failure in words. Something that the user has cancelled is not reported. */
export function tellError(thrown: unknown) {
  const error = asServiceError(thrown);
  if (error.reason !== "cancelled") show({ text: inWords(error), requestId: error.isOfService ? error.requestId : "", isError: true });
}

const announced = signal("");

/** For screen readers only. */
export const announce = (text: string) => {
  announced.value = text;
};

/* The region exists before its first note: if both came together, screen readers would not announce
 * the note. */
export function Toasts() {
  return (
    <div class="toasts" role="status" aria-live="polite">
      <p class="sr-only">{announced.value}</p>
      {notes.value.map(({ number, text, requestId, isError }) => (
        <p key={number} class={isError ? "toast toast-error" : "toast"}>
          {text}
          {requestId && <small>{words.value.request(requestId)}</small>}
        </p>
      ))}
    </div>
  );
}
