/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The position in a clip, which can be changed. */
import { useSignal } from "@preact/signals";
import type { RefObject } from "preact";
import { useEffect } from "preact/hooks";
import { words } from "../i18n";

const NEWS = ["timeupdate", "seeking", "loadedmetadata"];
const STEP_S = 0.1;

const clock = (seconds: number) => `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, "0")}`;

export function Progress({ player }: { player: RefObject<HTMLVideoElement | null> }) {
  const time = useSignal(0);
  const length = useSignal(0);

  useEffect(() => {
    const video = player.current;
    if (!video) return undefined;
    const look = () => {
      time.value = video.currentTime;
      length.value = Number.isFinite(video.duration) ? video.duration : 0;
    };
    look();
    for (const name of NEWS) video.addEventListener(name, look);
    return () => {
      for (const name of NEWS) video.removeEventListener(name, look);
    };
  }, []);

  const share = length.value > 0 ? Math.min(1, time.value / length.value) : 0;
  const text = `${clock(time.value)} / ${clock(length.value)}`;
  return (
    <div class="clip-progress">
      <span class="clip-time" aria-hidden="true">
        {text}
      </span>
      <span class="clip-bar" aria-hidden="true">
        <span style={{ width: `${share * 100}%` }} />
      </span>
      <input
        type="range"
        min={0}
        max={length.value || 1}
        step={STEP_S}
        value={time.value}
        aria-label={words.value.position}
        aria-valuetext={text}
        onInput={(event) => {
          if (player.current) player.current.currentTime = Number(event.currentTarget.value);
        }}
      />
    </div>
  );
}
