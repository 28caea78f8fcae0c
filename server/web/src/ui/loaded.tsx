/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Something that has to be fetched before it can be shown. */
import { type Signal, useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { type ServiceError, asServiceError } from "../net/errors";

export interface Loading {
  busy: Signal<boolean>;
  error: Signal<ServiceError | undefined>;
  again: () => void;
}

/** Runs WORK now and whenever one of INPUTS changes; the latest run counts. */
export function useLoading(work: () => Promise<void>, inputs: unknown[]): Loading {
  const busy = useSignal(true);
  const error = useSignal<ServiceError | undefined>(undefined);
  const round = useSignal(0);

  useEffect(() => {
    let current = true;
    busy.value = true;
    error.value = undefined;
    work()
      .catch((thrown: unknown) => {
        if (current) error.value = asServiceError(thrown);
      })
      .finally(() => {
        if (current) busy.value = false;
      });
    return () => {
      current = false;
    };
  }, [...inputs, round.value]);

  return {
    busy,
    error,
    again: () => {
      round.value += 1;
    },
  };
}
