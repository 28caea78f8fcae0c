/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Actions that need an account: the user begins one, is asked for an account, and then it goes on. */
import { signal } from "@preact/signals";
import { CODE, ServiceError } from "./net/errors";
import { end, session } from "./session";
import type { Words } from "./i18n/en";

/** Why an account is needed. */
export type Reason = {
  [Key in keyof Words]: Words[Key] extends string ? Key : never;
}[keyof Words];

/** With an existing account, or with a new one. */
export type Kind = "login" | "register";

interface Asking {
  reason: Reason | undefined;
  kind: Kind;
  answer: (loggedIn: boolean) => void;
}

/** What the login dialog asks for; undefined: nothing. */
export const asking = signal<Asking | undefined>(undefined);

/** Asks for an account, suggesting KIND; resolves to whether there is one now. */
export function askForAccount(reason?: Reason, kind: Kind = "login"): Promise<boolean> {
  asking.value?.answer(false);
  return new Promise((resolve) => {
    asking.value = {
      reason,
      kind,
      answer: (loggedIn) => {
        asking.value = undefined;
        resolve(loggedIn);
      },
    };
  });
}

/**
 * Run WORK as somebody who is logged in. Whoever is not is asked to be, for REASON, and asked again when
 * the service says that the session is over. Resolves to undefined when the user did not want to; rejects
 * as WORK does.
 */
export async function asUser<T>(reason: Reason, work: () => Promise<T>): Promise<T | undefined> {
  if (!session.value && !(await askForAccount(reason))) return undefined;
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof ServiceError) || error.reason !== CODE.notLoggedIn) throw error;
    end();
    return (await askForAccount("sessionOver")) ? work() : undefined;
  }
}
