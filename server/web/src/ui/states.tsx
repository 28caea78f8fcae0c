/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* What is shown when there is no content: waiting, empty, failed. */
import type { ComponentChildren } from "preact";
import { useEffect } from "preact/hooks";
import { inWords, words } from "../i18n";
import type { ServiceError } from "../net/errors";
import { CloudOffIcon, WarningIcon } from "./icons";

export function Spinner({ label = words.value.loading }: { label?: string }) {
  return (
    <div class="spinner" role="status">
      <span class="spinner-ring" />
      <span class="sr-only">{label}</span>
    </div>
  );
}

interface EmptyProps {
  icon?: ComponentChildren;
  title: string;
  text?: string;
  children?: ComponentChildren;
}

export function Empty({ icon, title, text, children }: EmptyProps) {
  return (
    <div class="empty">
      {icon && <span class="empty-icon">{icon}</span>}
      <p class="empty-title">{title}</p>
      {text && <p class="empty-text">{text}</p>}
      {children}
    </div>
  );
}

/* For users who ask for help; nobody else needs to see it. */
function RequestName({ error }: { error: ServiceError }) {
  if (!error.requestId || !error.isOfService) return null;
  return (
    <details class="request">
      <summary>{words.value.details}</summary>
      <p>{words.value.request(error.requestId)}</p>
    </details>
  );
}

/** TEXT: what the error means here, if that is less than what it may mean elsewhere. */
export function ErrorText({ error, text = inWords(error) }: { error: ServiceError; text?: string }) {
  return (
    <div class="error-text" role="alert">
      <WarningIcon size={20} />
      <div>
        <p>{text}</p>
        <RequestName error={error} />
      </div>
    </div>
  );
}

/* How often it is retried automatically. */
const RETRY_MS = 8000;

export function Failed({ error, again }: { error: ServiceError; again: () => void }) {
  const w = words.value;
  const isPassing = error.isOfService;

  useEffect(() => {
    if (!isPassing) return undefined;
    const timer = setTimeout(again, RETRY_MS);
    return () => clearTimeout(timer);
  }, [error]);

  const isOffline = error.reason === "offline";
  const title = isOffline ? w.cannotConnect : w.failed;
  return (
    <div class="empty" role="alert">
      <span class="empty-icon">
        <CloudOffIcon size={36} />
      </span>
      <p class="empty-title">{isPassing ? title : inWords(error)}</p>
      {isPassing && <p class="empty-text">{isOffline ? w.retries : w.sentences(inWords(error), w.retries)}</p>}
      <button type="button" class="button" onClick={again}>
        {w.tryAgain}
      </button>
      <RequestName error={error} />
    </div>
  );
}

/** Shown above a list that is incomplete. */
export function Partial({ partial }: { partial: boolean }) {
  return partial ? <p class="partial">{words.value.somethingMissing}</p> : null;
}
