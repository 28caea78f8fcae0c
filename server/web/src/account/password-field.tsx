/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* A password is written blindly, unless its owner wants to see it. */
import { useSignal } from "@preact/signals";
import { useId } from "preact/hooks";
import { words } from "../i18n";
import { EyeIcon } from "../ui/icons";

interface PasswordFieldProps {
  name: string;
  label: string;
  /** It is thought up here: what the browser keeps for this page is not offered. */
  isNew: boolean;
}

export function PasswordField({ name, label, isNew }: PasswordFieldProps) {
  const w = words.value;
  const visible = useSignal(false);
  const id = useId();
  return (
    <div class="field">
      <label for={id}>{label}</label>
      <span class="field-row">
        <input
          id={id}
          name={name}
          {...(visible.value ? { type: "text" as const } : { type: "password" as const })}
          autocomplete={isNew ? "new-password" : "current-password"}
          aria-describedby={isNew ? `${id}-hint` : undefined}
          required
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
      {isNew && <small id={`${id}-hint`}>{w.passwordHint}</small>}
    </div>
  );
}
