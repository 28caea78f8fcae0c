/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* A password is hidden while it is typed, unless the user wants to see it. */
import { useSignal } from "@preact/signals";
import { useId, useLayoutEffect, useRef } from "preact/hooks";
import { lengthOf } from "../drafts";
import { words } from "../i18n";
import { EyeIcon } from "../ui/icons";

/* The service accepts any length from 1; a new password should not be easy to guess. */
const SHORTEST = 8;
const LONGEST = 32;

interface PasswordFieldProps {
  name: string;
  label: string;
  /** A new password: it must be long enough, and the browser does not offer a stored one. */
  isNew: boolean;
  isWrong?: boolean;
  /** It has the focus when its dialog opens. */
  isFirst?: boolean;
}

export function PasswordField({ name, label, isNew, isWrong = false, isFirst = false }: PasswordFieldProps) {
  const w = words.value;
  const visible = useSignal(false);
  const text = useSignal("");
  const input = useRef<HTMLInputElement>(null);
  const id = useId();
  const length = lengthOf(text.value);
  const fault = isNew && length < SHORTEST ? w.passwordHint : isNew && length > LONGEST ? w.passwordTooLong : "";

  useLayoutEffect(() => input.current?.setCustomValidity(fault), [fault]);

  return (
    <div class="field">
      <label for={id}>{label}</label>
      <span class="field-row">
        <input
          ref={input}
          id={id}
          name={name}
          {...(visible.value ? { type: "text" as const } : { type: "password" as const })}
          autocomplete={isNew ? "new-password" : "current-password"}
          aria-describedby={isNew ? `${id}-hint` : undefined}
          aria-invalid={isWrong}
          required
          autofocus={isFirst}
          onInput={(event) => {
            text.value = event.currentTarget.value;
          }}
        />
        <button
          type="button"
          class="icon-button"
          aria-pressed={visible.value}
          aria-label={visible.value ? w.hidePassword : w.showPassword}
          onClick={() => {
            visible.value = !visible.value;
          }}
        >
          <EyeIcon size={20} />
        </button>
      </span>
      {isNew && <small id={`${id}-hint`}>{w.passwordRule}</small>}
    </div>
  );
}
