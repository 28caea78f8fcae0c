/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* A form that is sent to the service: once at a time, and a failure is kept to be shown. */
import { type Signal, useSignal } from "@preact/signals";
import { useRef } from "preact/hooks";
import { Attempt } from "../net/attempt";
import { type ServiceError, asServiceError } from "../net/errors";

export interface Submit {
  busy: Signal<boolean>;
  error: Signal<ServiceError | undefined>;
  onSubmit: (event: SubmitEvent) => void;
}

/** WORK sends the form; ATTEMPT gives the key of a write that may have to be repeated. */
export function useSubmit(work: (form: HTMLFormElement, attempt: Attempt) => Promise<void>): Submit {
  const busy = useSignal(false);
  const error = useSignal<ServiceError | undefined>(undefined);
  const attempt = useRef(new Attempt()).current;

  const send = async (form: HTMLFormElement) => {
    busy.value = true;
    error.value = undefined;
    try {
      await work(form, attempt);
    } catch (thrown) {
      error.value = asServiceError(thrown);
    }
    busy.value = false;
  };
  return {
    busy,
    error,
    onSubmit: (event) => {
      event.preventDefault();
      if (!busy.value) void send(event.currentTarget as HTMLFormElement);
    },
  };
}
