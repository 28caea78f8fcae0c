/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Which slide of a scrolling box is visible, and how to scroll to another one. Every slide is as
 * high as the box, so that both can be calculated. */
import { type Signal, useSignal } from "@preact/signals";
import type { RefObject } from "preact";
import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import { scrollBehavior } from "../media";

export interface Scroller {
  box: RefObject<HTMLDivElement | null>;
  index: Signal<number>;
  onScroll: () => void;
  onScrollEnd: () => void;
  /** The user takes over: a scroll that is under way need not arrive any more. */
  release: () => void;
  /** By how many slides to go on; counted from the target of the last scroll if that is still under
   * way. */
  step: (by: number) => void;
  jump: (index: number) => void;
}

export function useScroller(initial: number, count: number): Scroller {
  const box = useRef<HTMLDivElement>(null);
  const index = useSignal(initial);
  const target = useRef(initial);
  const moving = useRef(false);
  const last = useRef(0);
  last.current = count - 1; /* the present value, also if there were fewer when observing began */

  const scrollTo = (place: number, behavior: ScrollBehavior) => {
    target.current = Math.min(Math.max(place, 0), last.current);
    box.current?.scrollTo({ top: target.current * box.current.clientHeight, behavior });
  };

  useLayoutEffect(() => scrollTo(index.peek(), "instant"), []);

  /* After a change of height, such as turning a phone, the same slide is shown. */
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
    /* Snapping may stop a scroll over two slides, from two key presses in a row, at the first of
     * them. */
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
