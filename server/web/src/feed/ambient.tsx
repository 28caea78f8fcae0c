/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The colours of a cover, without its shapes, behind a clip. A blur of that size would cost work for
 * every frame drawn over it; enlarging a picture of a few pixels costs none. */
import { useEffect, useRef } from "preact/hooks";

const WIDTH = 6;
const HEIGHT = 8;

export function Ambient({ cover }: { cover: string }) {
  const canvas = useRef<HTMLCanvasElement>(null);

  useEffect(() => {
    const picture = new Image();
    picture.onload = () => canvas.current?.getContext("2d")?.drawImage(picture, 0, 0, WIDTH, HEIGHT);
    picture.src = cover;
    return () => {
      picture.onload = null;
    };
  }, [cover]);

  return <canvas ref={canvas} class="slide-ambient" width={WIDTH} height={HEIGHT} aria-hidden="true" />;
}
