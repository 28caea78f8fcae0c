/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Sound and pause, which apply to all clips. */
import { signal } from "@preact/signals";

/* Browsers let a page start playing by itself only without sound. */
export const muted = signal(true);
export const paused = signal(false);

const OFFER_MS = 6000;

/** At first a text offers sound; users who do not want it are not asked again. */
export const offersSound = signal(true);
setTimeout(() => {
  offersSound.value = false;
}, OFFER_MS);

/**
 * Play VIDEO as far as the browser allows it: one that may not be heard is played silently, one that may
 * not be played by itself waits for the user.
 */
export async function start(video: HTMLVideoElement): Promise<void> {
  try {
    await video.play();
  } catch (error) {
    if (!(error instanceof DOMException) || error.name !== "NotAllowedError") return;
    if (video.muted) {
      paused.value = true;
    } else {
      muted.value = true;
      video.muted = true;
      await start(video);
    }
  }
}
