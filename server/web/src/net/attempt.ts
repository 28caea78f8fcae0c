/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Keys for writes that may have to be repeated. */
import { newKey } from "./http";

/**
 * The idempotency key for sending TEXT: a text that is sent again, because nobody knows whether it
 * arrived, keeps its key and is stored once; another text gets another key.
 */
export class Attempt {
  #text = "";
  #key = "";

  keyFor(text: string): string {
    if (text !== this.#text || !this.#key) {
      this.#text = text;
      this.#key = newKey();
    }
    return this.#key;
  }

  /** It succeeded: the same text once more is another write. */
  done() {
    this.#key = "";
  }
}
