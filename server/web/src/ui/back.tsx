/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The way back to where the user came from. */
import { words } from "../i18n";
import { goBack } from "../router";
import { BackIcon } from "./icons";

interface BackProps {
  /** Where it leads for users who came by a link from outside. */
  otherwise: string;
  class?: string;
  /** With the word beside the arrow. */
  isNamed?: boolean;
}

export function Back({ otherwise, class: name = "", isNamed = false }: BackProps) {
  const w = words.value;
  return (
    <a
      class={isNamed ? `back-link ${name}` : `icon-button ${name}`}
      href={otherwise}
      aria-label={w.back}
      onClick={(event) => {
        if (event.ctrlKey || event.metaKey || event.shiftKey) return;
        if (goBack()) event.preventDefault();
      }}
    >
      <BackIcon {...(isNamed ? { size: 20 } : {})} />
      {isNamed && w.back}
    </a>
  );
}
