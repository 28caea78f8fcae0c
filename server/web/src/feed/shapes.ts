/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The shape of each clip, which is known when its first bytes are there. */
import { signal } from "@preact/signals";
import type { Id } from "../net/ids";

/* What most clips are, and the place for one that is not known yet. */
const TALL = 9 / 16;

const ratios = signal(new Map<Id, number>());

export function tellShape(id: Id, { videoWidth: width, videoHeight: height }: HTMLVideoElement) {
  if (width > 0 && height > 0) ratios.value = new Map(ratios.peek()).set(id, width / height);
}

/** Width by height of clip ID. */
export const ratioOf = (id: Id | undefined): number => (id && ratios.value.get(id)) || TALL;

/** Does it leave much of a phone's screen free above and below? */
export const isWide = (id: Id): boolean => ratioOf(id) > 0.8;
