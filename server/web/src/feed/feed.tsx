/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The vertical feed: one video at a time, of any list of videos. */
import { useSignal, useSignalEffect } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { toggleLike } from "../actions";
import { Comments } from "../comments/comments";
import { short, words } from "../i18n";
import { hasSidePanel } from "../media";
import type { Id } from "../net/ids";
import { to } from "../router";
import { users, videos } from "../store";
import { Dialog } from "../ui/dialog";
import { CheckIcon, DownIcon, FilmIcon, UpIcon } from "../ui/icons";
import { commandOf } from "../ui/keys";
import type { PagedList } from "../ui/list";
import { Empty, Failed, Spinner } from "../ui/states";
import { muted, paused } from "./playback";
import { type Scroller, useScroller } from "./scroller";
import { ratioOf } from "./shapes";
import { Slide } from "./slide";
import { panelOpen } from "./panel";

/* This many slides before and after the visible one are mounted: five in all. */
const REACH = 2;
/* The next page is fetched this many slides before the end. */
const AHEAD = 4;

interface TailProps {
  list: PagedList<Id>;
  restart: () => void;
}

/* What follows the last video. */
function Tail({ list, restart }: TailProps) {
  const w = words.value;
  if (list.error.value) return <Failed error={list.error.value} again={() => void list.more()} />;
  if (!list.ended.value) return <Spinner label={w.loadingFeed} />;
  if (list.items.value.length === 0)
    return (
      <Empty icon={<FilmIcon size={36} />} title={w.emptyFeed} text={w.emptyFeedText}>
        <a class="button" href={to.upload}>
          {w.upload}
        </a>
      </Empty>
    );
  return (
    <Empty icon={<CheckIcon size={36} />} title={w.feedEnd}>
      <button type="button" class="button" onClick={restart}>
        {w.fromTheTop}
      </button>
    </Empty>
  );
}

function useCommands(scroller: Scroller, shown: () => Id | undefined, openComments: () => void) {
  useEffect(() => {
    const withVideo = (work: (id: Id) => void) => () => {
      const id = shown();
      if (id) work(id);
    };
    const commands: Record<string, () => void> = {
      ArrowDown: () => scroller.step(1),
      ArrowUp: () => scroller.step(-1),
      j: () => scroller.step(1),
      k: () => scroller.step(-1),
      " ": () => {
        paused.value = !paused.peek();
      },
      l: withVideo(toggleLike),
      m: () => {
        muted.value = !muted.peek();
      },
      c: withVideo(openComments),
    };
    const obey = (event: KeyboardEvent) => {
      const command = commands[commandOf(event) ?? ""];
      if (!command) return;
      event.preventDefault();
      command();
    };
    document.addEventListener("keydown", obey);
    return () => document.removeEventListener("keydown", obey);
  });
}

interface StepsProps {
  scroller: Scroller;
  last: number;
  /** About the visible clip, above whose buttons these are. */
  ratio: number;
}

function Steps({ scroller, last, ratio }: StepsProps) {
  const w = words.value;
  const { index, step } = scroller;
  return (
    <div class="steps" style={{ "--ratio": String(ratio) }}>
      <button type="button" class="step" aria-label={w.previousVideo} disabled={index.value === 0} onClick={() => step(-1)}>
        <UpIcon />
      </button>
      <button type="button" class="step" aria-label={w.nextVideo} disabled={index.value >= last} onClick={() => step(1)}>
        <DownIcon />
      </button>
    </div>
  );
}

/* Announces the visible video to screen readers. */
function Announcer({ id }: { id: Id | undefined }) {
  const video = id && videos.find(id)?.value;
  const author = video && (users.find(video.author.id)?.value ?? video.author);
  return (
    <p class="sr-only" aria-live="polite">
      {video && author ? words.value.nowShowing(video.title, author.name) : ""}
    </p>
  );
}

const nearness = (place: number, index: number) => (place === index ? "shown" : place === index + 1 ? "next" : "far");

interface FeedProps {
  list: PagedList<Id>;
  /** The first video to show. */
  start?: Id | undefined;
  onShown?: (id: Id) => void;
}

export function Feed({ list, start, onShown }: FeedProps) {
  const ids = list.items.value;
  const places = ids.length + 1;
  const scroller = useScroller(Math.max(0, start ? ids.indexOf(start) : 0), places);
  const sheet = useSignal(false);
  const index = Math.min(scroller.index.value, places - 1);
  const shown = ids[index];

  useSignalEffect(() => {
    const all = list.items.value.length;
    const isNear = scroller.index.value >= all - AHEAD;
    if (isNear && !list.error.peek() && !list.busy.peek()) void list.more();
  });
  useEffect(() => {
    paused.value = false;
    if (shown) onShown?.(shown);
  }, [shown]);

  const openComments = () => {
    if (hasSidePanel.peek()) panelOpen.value = !panelOpen.peek();
    else sheet.value = true;
  };
  useCommands(scroller, () => shown, openComments);

  const restart = () => {
    scroller.jump(0);
    void list.reload();
  };
  const content = (place: number) => {
    const id = ids[place];
    if (!id) return <Tail list={list} restart={restart} />;
    return <Slide key={id} id={id} position={place} nearness={nearness(place, index)} openComments={openComments} />;
  };

  /* There is a box for every video, and its slide is in it while it is near: as slides come and go,
   * no box changes its position, since browsers would scroll to follow it. */
  const hasPanel = hasSidePanel.value && panelOpen.value && ids.length > 0;
  return (
    <div class="stage">
      <Announcer id={shown} />
      <div class="feed-note" role="status">
        {list.partial.value && <p>{words.value.clipsMissing}</p>}
      </div>
      <div class="feed-area">
        <div
          class="feed"
          role="feed"
          tabIndex={0}
          aria-label={words.value.feedLabel}
          aria-busy={list.busy.value}
          ref={scroller.box}
          onScroll={scroller.onScroll}
          onScrollEnd={scroller.onScrollEnd}
          onTouchStart={scroller.release}
          onWheel={scroller.release}
        >
          {Array.from({ length: places }, (_, place) => (
            /* A feed holds articles only: the place after the last clip is one, too. */
            <div key={place} class="place" role={place === ids.length ? "article" : undefined}>
              {Math.abs(place - index) <= REACH && content(place)}
            </div>
          ))}
        </div>
        <Steps scroller={scroller} last={places - 1} ratio={ratioOf(shown ?? ids.at(-1))} />
      </div>
      {/* After the last clip its place stays free: nothing moves sideways. */}
      {hasPanel && !shown && <div class="side-panel side-panel-free" />}
      {hasPanel && shown && (
        <aside class="side-panel" aria-label={words.value.commentsTitle}>
          <Comments videoId={shown} />
        </aside>
      )}
      {shown && sheet.value && !hasSidePanel.value && (
        <Dialog
          label={words.value.commentsTitle}
          kind="sheet"
          count={short(videos.find(shown)?.value.comment_count ?? 0)}
          close={() => {
            sheet.value = false;
          }}
        >
          <Comments videoId={shown} isSheet />
        </Dialog>
      )}
    </div>
  );
}
