/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Keys for writes that may have to be repeated. */
import { type Signal, signal } from "@preact/signals";
import { newKey } from "./http";

/**
 * The idempotency key for sending TEXT: a text that is sent again, because nobody knows whether it
 * arrived, keeps its key and is stored once; another text gets another key.
 */
export class Attempt {
  /** KEPT: where key and text are remembered; a text that outlives this attempt needs its key as long. */
  constructor(readonly kept: Signal<string> = signal("")) {}

  keyFor(text: string): string {
    const [key, ...rest] = this.kept.peek().split(" ");
    if (key && rest.join(" ") === text) return key;
    const made = newKey();
    this.kept.value = `${made} ${text}`;
    return made;
  }

  /** It succeeded: the same text once more is another write. */
  done() {
    this.kept.value = "";
  }
}
