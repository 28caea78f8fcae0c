/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The comments of one video. */
import { draft } from "../drafts";
import * as api from "../net/api";
import { Attempt } from "../net/attempt";
import type { Id } from "../net/ids";
import type { Comment } from "../net/types";
import { videos } from "../store";
import { type PagedList, pagedList } from "../ui/list";

export interface Thread {
  list: PagedList<Comment>;
  post(text: string): Promise<void>;
  remove(comment: Comment): Promise<void>;
}

function count(video: Id, step: number) {
  videos.change(video, ({ comment_count }) => ({ comment_count: Math.max(0, comment_count + step) }));
}

export function threadOf(video: Id): Thread {
  const list = pagedList<Comment, Comment>(
    (cursor) => api.comments(video, cursor),
    (items) => items,
    ({ id }) => id,
  );
  /* As long as the draft: whoever closes the comments and comes back sends the same comment again. */
  const attempt = new Attempt(draft(`comment.${video}.attempt`));
  return {
    list,
    async post(text) {
      const comment = await api.comment(video, text, attempt.keyFor(text));
      attempt.done();
      list.items.value = [comment, ...list.items.value.filter(({ id }) => id !== comment.id)];
      count(video, 1);
    },
    async remove({ id }) {
      await api.deleteComment(video, id);
      list.items.value = list.items.value.filter((other) => other.id !== id);
      count(video, -1);
    },
  };
}
