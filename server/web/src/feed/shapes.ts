/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The aspect ratio of each clip, which is known once its first bytes have arrived. */
import { signal } from "@preact/signals";
import type { Id } from "../net/ids";

/* The ratio of most clips, used for a clip until its own is known. */
const TALL = 9 / 16;

const ratios = signal(new Map<Id, number>());

export function tellShape(id: Id, { videoWidth: width, videoHeight: height }: HTMLVideoElement) {
  if (width > 0 && height > 0) ratios.value = new Map(ratios.peek()).set(id, width / height);
}

/** Width divided by height of clip ID. */
export const ratioOf = (id: Id | undefined): number => (id && ratios.value.get(id)) || TALL;

/** Whether it leaves much of a phone's screen free above and below. */
export const isWide = (id: Id): boolean => ratioOf(id) > 0.8;
