/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* A box whose colour depends on data. The page's policy allows no styles in markup, but scripts may
 * set them on elements. */
import type { ComponentChildren } from "preact";

interface TintedProps {
  hue: number;
  class: string;
  size?: number;
  children?: ComponentChildren;
}

export function Tinted({ hue, class: name, size, children }: TintedProps) {
  const style: Record<string, string> = { "--hue": String(hue) };
  if (size !== undefined) style["--size"] = `${size}px`;
  return (
    <span class={name} style={style} aria-hidden="true">
      {children}
    </span>
  );
}
