/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* One slide of the feed: a clip, its author, and what can be done with it. */
import { follow, toggleLike } from "../actions";
import { short, words } from "../i18n";
import type { Id } from "../net/ids";
import type { User, Video } from "../net/types";
import { to } from "../router";
import { myId } from "../session";
import { users, videos } from "../store";
import { Avatar } from "../ui/avatar";
import { CheckIcon, CommentIcon, HeartIcon, MutedIcon, PauseIcon, PlayIcon, PlusIcon, SoundIcon } from "../ui/icons";
import { Ambient } from "./ambient";
import { Clip, type Nearness } from "./clip";
import { muted, offersSound, paused } from "./playback";
import { isWide, ratioOf } from "./shapes";

function FollowBadge({ author }: { author: User }) {
  const w = words.value;
  if (author.id === myId.value) return null;
  return (
    <button
      type="button"
      class="follow-badge"
      aria-pressed={author.is_follow}
      aria-label={author.is_follow ? w.unfollowName(author.name) : w.followName(author.name)}
      onClick={() => void follow(author.id, !author.is_follow)}
    >
      {author.is_follow ? <CheckIcon size={14} /> : <PlusIcon size={14} />}
    </button>
  );
}

interface RailProps {
  video: Video;
  author: User;
  openComments: () => void;
}

function Rail({ video, author, openComments }: RailProps) {
  const w = words.value;
  const likes = short(video.favorite_count);
  const comments = short(video.comment_count);
  return (
    <div class="rail">
      <div class="rail-author">
        <a href={to.user(author.id)} aria-label={author.name}>
          <Avatar user={author} size={48} />
        </a>
        <FollowBadge author={author} />
      </div>
      <button
        type="button"
        class={video.is_favorite ? "rail-button is-liked" : "rail-button"}
        aria-pressed={video.is_favorite}
        aria-label={`${w.like}, ${w.likes(video.favorite_count, likes)}`}
        onClick={() => toggleLike(video.id)}
      >
        <span class="rail-icon">
          <HeartIcon size={28} on={video.is_favorite} />
        </span>
        <span class="rail-count">{likes}</span>
      </button>
      <button type="button" class="rail-button" aria-label={w.comments(video.comment_count, comments)} onClick={openComments}>
        <span class="rail-icon">
          <CommentIcon size={28} />
        </span>
        <span class="rail-count">{comments}</span>
      </button>
    </div>
  );
}

function Controls() {
  const w = words.value;
  const isOffered = muted.value && offersSound.value;
  return (
    <div class="controls">
      <button
        type="button"
        class="sound-button"
        aria-label={muted.value ? w.sound : w.soundOff}
        onClick={() => {
          muted.value = !muted.value;
        }}
      >
        {muted.value ? <MutedIcon size={20} /> : <SoundIcon size={20} />}
        {isOffered && <span>{w.sound}</span>}
      </button>
      <button
        type="button"
        class={paused.value ? "sound-button pause-button is-paused" : "sound-button pause-button"}
        aria-label={paused.value ? w.play : w.pause}
        onClick={() => {
          paused.value = !paused.value;
        }}
      >
        {paused.value ? <PlayIcon size={20} on /> : <PauseIcon size={20} />}
      </button>
    </div>
  );
}

interface SlideProps {
  id: Id;
  position: number;
  nearness: Nearness;
  openComments: () => void;
}

export function Slide({ id, position, nearness, openComments }: SlideProps) {
  const video = videos.find(id)?.value;
  const author = video && (users.find(video.author.id)?.value ?? video.author);
  if (!video || !author) return null;
  const shown = nearness === "shown";
  /* Only the visible slide can be reached by keyboard; its neighbours are there to be ready. */
  return (
    <article
      class="slide"
      aria-posinset={position + 1}
      aria-setsize={-1}
      aria-label={words.value.nowShowing(video.title, author.name)}
      inert={!shown}
      data-id={id}
      data-shape={isWide(id) ? "wide" : "tall"}
      style={{ "--ratio": String(ratioOf(id)) }}
    >
      <Ambient cover={video.cover_url} />
      <div class="slide-row">
        <div class="slide-clip">
          <Clip video={video} nearness={nearness} />
          {shown && <Controls />}
          <div class="caption">
            <a class="caption-name" href={to.user(author.id)}>
              @{author.name}
            </a>
            <p class="caption-title">{video.title}</p>
          </div>
        </div>
        <Rail video={video} author={author} openComments={openComments} />
      </div>
    </article>
  );
}
