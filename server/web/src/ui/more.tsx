/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The end of a list with more pages: the next one is fetched when the end becomes visible, or by a
 * button. */
import { useEffect, useRef } from "preact/hooks";
import { words } from "../i18n";
import type { PagedList } from "./list";
import { Failed, Spinner } from "./states";

export function More<Item>({ list }: { list: PagedList<Item> }) {
  const mark = useRef<HTMLDivElement>(null);

  useEffect(() => {
    if (!mark.current) return undefined;
    const observer = new IntersectionObserver(([seen]) => {
      if (seen?.isIntersecting && !list.error.peek()) void list.more();
    });
    observer.observe(mark.current);
    return () => observer.disconnect();
  }, [list, list.items.value.length, list.ended.value]);

  if (list.error.value) return <Failed error={list.error.value} again={() => void list.more()} />;
  if (list.busy.value) return <Spinner />;
  if (list.ended.value) return null;
  return (
    <div ref={mark} class="more">
      <button type="button" class="button button-quiet" onClick={() => void list.more()}>
        {words.value.loadMore}
      </button>
    </div>
  );
}
