/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* One video with the controls on it. */
import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { like } from "../actions";
import { words } from "../i18n";
import type { Video } from "../net/types";
import { PlayIcon } from "../ui/icons";
import { muted, paused, start } from "./playback";
import { Progress } from "./progress";
import { tellShape } from "./shapes";

export type Nearness = "shown" | "next" | "far";

/* A second tap within this time makes the two a like rather than two pauses. */
const DOUBLE_TAP_MS = 280;
const HEART_MS = 900;

interface Heart {
  key: number;
  x: number;
  y: number;
}

function usePlaying(nearness: Nearness) {
  const video = useRef<HTMLVideoElement>(null);
  const plays = nearness === "shown" && !paused.value;

  useEffect(() => {
    if (!video.current) return;
    if (plays) void start(video.current);
    else video.current.pause();
  }, [plays]);

  useEffect(() => {
    if (nearness !== "shown" && video.current && video.current.currentTime > 0) video.current.currentTime = 0;
  }, [nearness]);
  return video;
}

/* Tells one tap from two: the first one waits for a second. */
function useTaps(once: () => void, twice: (event: MouseEvent) => void) {
  const timer = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  useEffect(() => () => clearTimeout(timer.current), []);
  return (event: MouseEvent) => {
    clearTimeout(timer.current);
    if (event.detail > 1 || timer.current !== undefined) {
      timer.current = undefined;
      twice(event);
    } else {
      timer.current = setTimeout(() => {
        timer.current = undefined;
        once();
      }, DOUBLE_TAP_MS);
    }
  };
}

function useHearts() {
  const hearts = useSignal<Heart[]>([]);
  const add = (event: MouseEvent) => {
    const box = (event.currentTarget as Element).getBoundingClientRect();
    const heart = { key: performance.now(), x: event.clientX - box.left, y: event.clientY - box.top };
    hearts.value = [...hearts.value, heart];
    setTimeout(() => {
      hearts.value = hearts.value.filter((other) => other !== heart);
    }, HEART_MS);
  };
  return { hearts, add };
}

const FILLED_HEART = "M12 20.3s-7.8-4.6-7.8-10.5A4.5 4.5 0 0 1 12 6.9a4.5 4.5 0 0 1 7.8 2.9c0 5.9-7.8 10.5-7.8 10.5z";

interface ClipProps {
  video: Video;
  nearness: Nearness;
}

export function Clip({ video, nearness }: ClipProps) {
  const element = usePlaying(nearness);
  const broken = useSignal(false);
  const { hearts, add } = useHearts();
  const tapped = useTaps(
    () => {
      paused.value = !paused.value;
    },
    (event) => {
      add(event);
      void like(video.id, true);
    },
  );

  /* Keys and buttons do what taps do. */
  return (
    <div class="clip">
      <video
        ref={element}
        class="clip-video"
        src={video.play_url}
        poster={video.cover_url}
        preload={nearness === "far" ? "none" : "auto"}
        muted={muted.value}
        loop
        playsInline
        aria-label={video.title}
        onLoadedMetadata={(event) => tellShape(video.id, event.currentTarget)}
        onError={() => {
          broken.value = true;
        }}
      />
      <div class="clip-taps" onClick={tapped}>
        {hearts.value.map(({ key, x, y }) => (
          <svg key={key} class="tap-heart" viewBox="0 0 24 24" aria-hidden="true" style={{ left: `${x}px`, top: `${y}px` }}>
            <path d={FILLED_HEART} />
          </svg>
        ))}
        {paused.value && nearness === "shown" && (
          <span class="clip-paused">
            <PlayIcon size={44} on />
          </span>
        )}
      </div>
      {broken.value && (
        <p class="clip-broken" role="alert">
          {words.value.clipBroken}
        </p>
      )}
      {nearness === "shown" && <Progress player={element} />}
    </div>
  );
}
