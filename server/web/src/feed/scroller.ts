/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Which slide of a scrolling box is in sight, and how to get to another one. Every slide is as high as the
 * box, so that both are arithmetic. */
import { type Signal, useSignal } from "@preact/signals";
import type { RefObject } from "preact";
import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import { scrollBehavior } from "../media";

export interface Scroller {
  box: RefObject<HTMLDivElement | null>;
  index: Signal<number>;
  onScroll: () => void;
  onScrollEnd: () => void;
  /** The user takes over: a move that is under way need not arrive any more. */
  release: () => void;
  /** By how many slides to go on; from where the last move leads, when that is still under way. */
  step: (by: number) => void;
  jump: (index: number) => void;
}

export function useScroller(initial: number, count: number): Scroller {
  const box = useRef<HTMLDivElement>(null);
  const index = useSignal(initial);
  const target = useRef(initial);
  const moving = useRef(false);
  const last = useRef(0);
  last.current = count - 1; /* as it is now, also for who began to observe when there were fewer */

  const scrollTo = (place: number, behavior: ScrollBehavior) => {
    target.current = Math.min(Math.max(place, 0), last.current);
    box.current?.scrollTo({ top: target.current * box.current.clientHeight, behavior });
  };

  useLayoutEffect(() => scrollTo(index.peek(), "instant"), []);

  /* Another height, such as that of a turned phone, shows the same slide. */
  useEffect(() => {
    if (!box.current) return undefined;
    const observer = new ResizeObserver(() => scrollTo(index.peek(), "instant"));
    observer.observe(box.current);
    return () => observer.disconnect();
  }, []);

  return {
    box,
    index,
    onScroll: () => {
      const { scrollTop, clientHeight } = box.current ?? { scrollTop: 0, clientHeight: 0 };
      if (clientHeight > 0) index.value = Math.round(scrollTop / clientHeight);
      if (!moving.current) target.current = index.value;
    },
    /* Snapping may stop a move of two slides, made of two keys in a row, at the first of them. */
    onScrollEnd: () => {
      if (moving.current && index.value !== target.current) scrollTo(target.current, scrollBehavior());
      else moving.current = false;
    },
    release: () => {
      moving.current = false;
    },
    step: (by) => {
      moving.current = true;
      scrollTo(target.current + by, scrollBehavior());
    },
    jump: (place) => scrollTo(place, "instant"),
  };
}
