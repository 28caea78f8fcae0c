/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* A text and a button that sends it. */
import { type Signal, useSignal } from "@preact/signals";
import { useLayoutEffect, useRef } from "preact/hooks";
import { lengthOf } from "../drafts";
import { words } from "../i18n";
import { type ServiceError, asServiceError } from "../net/errors";
import { SendIcon } from "./icons";
import { ErrorText } from "./states";

/* From this many characters on, the number left is shown. */
const WARN_LEFT = 40;

interface ComposerProps {
  text: Signal<string>;
  label: string;
  /** In code points. */
  longest: number;
  /** Resolves to whether it was sent; an unsent text stays. */
  send: (text: string) => Promise<boolean>;
}

export function Composer({ text, label, longest, send }: ComposerProps) {
  const busy = useSignal(false);
  const error = useSignal<ServiceError | undefined>(undefined);
  const area = useRef<HTMLTextAreaElement>(null);
  const left = longest - lengthOf(text.value);
  const isReady = text.value.trim() !== "" && left >= 0 && !busy.value;

  /* As high as its text, up to the limit in the style sheet. */
  useLayoutEffect(() => {
    if (!area.current) return;
    area.current.style.height = "auto";
    area.current.style.height = `${area.current.scrollHeight}px`;
  }, [text.value]);

  const submit = async () => {
    if (!isReady) return;
    const sent = text.value.trim();
    const written = text.value;
    busy.value = true;
    error.value = undefined;
    try {
      if ((await send(sent)) && text.value === written) text.value = "";
    } catch (thrown) {
      error.value = asServiceError(thrown);
    }
    busy.value = false;
    area.current?.focus();
  };

  return (
    <form
      class="composer"
      onSubmit={(event) => {
        event.preventDefault();
        void submit();
      }}
    >
      {error.value && <ErrorText error={error.value} />}
      <div class="composer-row">
        <textarea
          ref={area}
          rows={1}
          aria-label={label}
          placeholder={label}
          value={text.value}
          onInput={(event) => {
            text.value = event.currentTarget.value;
          }}
          onKeyDown={(event) => {
            /* In input methods Enter also chooses words. */
            if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
            event.preventDefault();
            void submit();
          }}
        />
        <button type="submit" class="send-button" aria-label={words.value.send} disabled={!isReady}>
          <SendIcon size={20} />
        </button>
      </div>
      {left < WARN_LEFT && <small class={left < 0 ? "count count-over" : "count"}>{words.value.characters(left)}</small>}
    </form>
  );
}
