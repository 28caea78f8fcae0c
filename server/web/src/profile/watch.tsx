/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* A video of a profile, in a feed of the list that contains it. */
import { useEffect } from "preact/hooks";
import { Feed } from "../feed/feed";
import type { Id } from "../net/ids";
import { type Shelf, becomes, to } from "../router";
import { Back } from "../ui/back";
import { Failed, Spinner } from "../ui/states";
import { shelfOf } from "./shelves";

interface WatchProps {
  id: Id;
  shelf: Shelf;
  video: Id;
}

export function Watch({ id, shelf, video }: WatchProps) {
  const list = shelfOf(id, shelf);
  const isThere = list.items.value.includes(video);
  /* After following a link, the page with the video must be found first; if it cannot be found, the
   * feed starts at the newest video. */
  const isKnown = isThere || list.ended.value;

  useEffect(() => {
    if (!isKnown && !list.error.value) void list.more();
  }, [list, isKnown, list.items.value.length]);

  if (!isKnown) {
    const { value: error } = list.error;
    return error ? <Failed error={error} again={() => void list.more()} /> : <Spinner />;
  }
  return (
    <>
      <Back otherwise={to.user(id, shelf)} class="over-clip" />
      <Feed
        list={list}
        start={video}
        onShown={(shown) => becomes(to.watch(id, shelf, shown))}
      />
    </>
  );
}
