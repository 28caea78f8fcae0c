/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The comments of a video, with a field for a new one. */
import { useSignal } from "@preact/signals";
import { useEffect, useMemo, useRef } from "preact/hooks";
import { askForAccount, asUser } from "../asking";
import { draft } from "../drafts";
import { monthDay, short, words } from "../i18n";
import type { Id } from "../net/ids";
import type { Comment, User } from "../net/types";
import { to } from "../router";
import { myId } from "../session";
import { videos } from "../store";
import { Avatar } from "../ui/avatar";
import { Composer } from "../ui/composer";
import { CommentIcon, TrashIcon } from "../ui/icons";
import { More } from "../ui/more";
import { Empty, Partial, Spinner } from "../ui/states";
import { announce, tell, tellError } from "../ui/toast";
import { threadOf } from "./thread";

const LONGEST = 300;
/* Comments are not fetched for videos that the user scrolls past quickly. */
const PATIENCE_MS = 200;

interface RowProps {
  comment: Comment;
  author: User;
  remove: () => void;
}

function Row({ comment: { user, content, create_date }, author, remove }: RowProps) {
  const w = words.value;
  const mayDelete = myId.value !== undefined && (myId.value === user.id || myId.value === author.id);
  return (
    <li class="comment">
      <a href={to.user(user.id)} tabIndex={-1} aria-hidden="true">
        <Avatar user={user} size={36} />
      </a>
      <div class="comment-body">
        <p class="comment-head">
          <a href={to.user(user.id)}>{user.name}</a>
          {user.id === author.id && <span class="tag">{w.author}</span>}
          <time>{monthDay(create_date)}</time>
        </p>
        <p class="comment-text">{content}</p>
      </div>
      {mayDelete && (
        <button type="button" class="icon-button" aria-label={w.deleteComment(user.name)} onClick={remove}>
          <TrashIcon size={18} />
        </button>
      )}
    </li>
  );
}

interface CommentsProps {
  videoId: Id;
  /** In a dialog, which has its own title. */
  isSheet?: boolean;
}

export function Comments({ videoId, isSheet = false }: CommentsProps) {
  const w = words.value;
  const video = videos.find(videoId)?.value;
  const thread = useMemo(() => threadOf(videoId), [videoId]);
  const top = useRef<HTMLDivElement>(null);
  const { list } = thread;

  const awaited = useSignal(true);

  useEffect(() => {
    awaited.value = true;
    const timer = setTimeout(() => {
      awaited.value = false;
      void list.more();
    }, PATIENCE_MS);
    return () => clearTimeout(timer);
  }, [list]);

  if (!video) return null;
  const post = async (text: string) => {
    const done = await asUser("toComment", async () => {
      await thread.post(text);
      return true;
    });
    if (!done) return false;
    top.current?.scrollTo({ top: 0 });
    announce(words.value.commentSent);
    return true;
  };
  const remove = (comment: Comment) =>
    asUser("sessionOver", async () => {
      await thread.remove(comment);
      tell(words.value.commentDeleted);
      top.current?.focus(); /* the button that had the focus is gone */
    }).catch(tellError);

  return (
    <div class="comments">
      {!isSheet && (
        <header class="comments-head">
          <h2>{w.commentsTitle}</h2>
          <span class="comments-count">{short(video.comment_count)}</span>
        </header>
      )}
      <div class="comments-list" ref={top} tabIndex={-1}>
        <Partial partial={list.partial.value} />
        <ul>
          {list.items.value.map((comment) => (
            <Row key={comment.id} comment={comment} author={video.author} remove={() => void remove(comment)} />
          ))}
        </ul>
        {list.ended.value && !list.partial.value && list.items.value.length === 0 && (
          <Empty icon={<CommentIcon size={32} />} title={w.noComments} text={w.noCommentsText} />
        )}
        {awaited.value ? <Spinner /> : <More list={list} />}
      </div>
      {myId.value ? (
        <Composer text={draft(`comment.${videoId}`)} label={w.writeComment} longest={LONGEST} send={post} />
      ) : (
        <div class="composer">
          <button type="button" class="composer-log-in" onClick={() => void askForAccount("toComment")}>
            {w.toComment}
          </button>
        </div>
      )}
    </div>
  );
}
