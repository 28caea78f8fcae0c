/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* What the user chose to send, shown before it is sent. */
import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { words } from "../i18n";
import { PauseIcon, PlayIcon } from "./icons";

/* As wide as it is ever shown, on a screen with two pixels per point. */
const WIDTH = 800;

/** The picture in FILE, or nothing if the browser cannot read it. It is drawn on a canvas, since the
 * page's policy allows pictures from the service only. */
export function ChosenPicture({ file, class: name }: { file: File; class: string }) {
  const canvas = useRef<HTMLCanvasElement>(null);

  useEffect(() => {
    let current = true;
    createImageBitmap(file, { resizeWidth: WIDTH, resizeQuality: "medium" }).then(
      (picture) => {
        if (current && canvas.current) {
          canvas.current.width = picture.width;
          canvas.current.height = picture.height;
          canvas.current.getContext("2d")?.drawImage(picture, 0, 0);
        }
        picture.close();
      },
      () => {},
    );
    return () => {
      current = false;
    };
  }, [file]);

  return <canvas ref={canvas} class={name} width={1} height={1} aria-hidden="true" />;
}

/** The clip in FILE, or nothing if the browser cannot play it; the service may accept it all the
 * same. */
export function ChosenClip({ file, label }: { file: File; label: string }) {
  const address = useSignal("");
  const plays = useSignal(false);
  const player = useRef<HTMLVideoElement>(null);

  useEffect(() => {
    const made = URL.createObjectURL(file);
    address.value = made;
    return () => URL.revokeObjectURL(made);
  }, [file]);

  const w = words.value;
  if (!address.value) return null;
  const toggle = () => {
    if (player.current?.paused) void player.current.play();
    else player.current?.pause();
  };
  return (
    <div class="chosen-clip">
      <video
        ref={player}
        src={address.value}
        playsInline
        loop
        preload="auto"
        aria-label={label}
        onPlay={() => {
          plays.value = true;
        }}
        onPause={() => {
          plays.value = false;
        }}
        onError={() => {
          address.value = "";
        }}
      />
      <button type="button" aria-label={plays.value ? w.pause : w.play} onClick={toggle}>
        {plays.value ? <PauseIcon size={22} /> : <PlayIcon size={22} on />}
      </button>
    </div>
  );
}
