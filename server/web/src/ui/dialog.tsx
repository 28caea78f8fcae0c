/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* A modal dialog: the browser's own, which keeps the focus inside, is closed by Escape or a phone's
 * back gesture, and returns the focus to where it was. */
import { signal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { words } from "../i18n";
import { CloseIcon } from "./icons";

/** How many are open. */
export const openDialogs = signal(0);

interface DialogProps {
  label: string;
  /** The look: on phones a "sheet" comes from below. */
  kind?: "card" | "sheet";
  /** Shown next to the label: how much is inside. */
  count?: string;
  /** False if the content has its own title. */
  hasHead?: boolean;
  close: () => void;
  children: ComponentChildren;
}

export function Dialog({ label, kind = "card", count, hasHead = true, close, children }: DialogProps) {
  const box = useRef<HTMLDialogElement>(null);

  useEffect(() => {
    const dialog = box.current;
    const before = document.activeElement;
    dialog?.showModal();
    openDialogs.value += 1;
    return () => {
      openDialogs.value -= 1;
      dialog?.close();
      if (before instanceof HTMLElement && before.isConnected) before.focus({ preventScroll: true });
    };
  }, []);

  return (
    <dialog
      ref={box}
      class={`dialog dialog-${kind}`}
      aria-label={label}
      onCancel={(event) => {
        if (event.target !== box.current) return; /* from a file chooser inside */
        event.preventDefault();
        close();
      }}
      /* Browsers let a page keep a dialog open only once per user action: the next attempt to close
       * it is not reported. */
      onClose={(event) => event.currentTarget.isConnected && close()}
      onClick={(event) => event.target === box.current && close()}
    >
      <div class="dialog-box">
        {kind === "sheet" && <span class="dialog-grip" aria-hidden="true" />}
        <header class={hasHead ? "dialog-head" : "dialog-head dialog-headless"}>
          {hasHead && (
            <h2>
              {label} {count !== undefined && <span>{count}</span>}
            </h2>
          )}
          <button type="button" class="icon-button" aria-label={words.value.close} onClick={close}>
            <CloseIcon size={22} />
          </button>
        </header>
        {children}
      </div>
    </dialog>
  );
}
