/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* What is shown where there is nothing else: waiting, empty, failed. */
import type { ComponentChildren } from "preact";
import { inWords, words } from "../i18n";
import type { ServiceError } from "../net/errors";
import { CloudOffIcon } from "./icons";

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

/** TEXT: what it means here, where that is less than what it may mean. */
export function ErrorText({ error, text = inWords(error) }: { error: ServiceError; text?: string }) {
  return (
    <p class="error-text" role="alert">
      {text}
      {error.requestId && <small>{words.value.request(error.requestId)}</small>}
    </p>
  );
}

export function Failed({ error, again }: { error: ServiceError; again: () => void }) {
  const w = words.value;
  return (
    <div class="empty" role="alert">
      <span class="empty-icon">
        <CloudOffIcon size={36} />
      </span>
      <p class="empty-title">{inWords(error)}</p>
      {error.requestId && <p class="empty-text">{w.request(error.requestId)}</p>}
      <button type="button" class="button" onClick={again}>
        {w.tryAgain}
      </button>
    </div>
  );
}

/** Said above a list that is not whole. */
export function Partial({ partial }: { partial: boolean }) {
  return partial ? <p class="partial">{words.value.somethingMissing}</p> : null;
}
