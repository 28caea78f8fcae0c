/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Whom a user follows, or who follows him. */
import { useEffect, useMemo } from "preact/hooks";
import { follow } from "../actions";
import { words } from "../i18n";
import * as api from "../net/api";
import type { Id } from "../net/ids";
import { type Crowd, to } from "../router";
import { myId } from "../session";
import { putUsers, users } from "../store";
import { Avatar, signatureOf } from "../ui/avatar";
import { BackIcon, FriendsIcon } from "../ui/icons";
import { pagedList } from "../ui/list";
import { More } from "../ui/more";
import { Empty, Partial } from "../ui/states";
import { Visitor } from "../account/visitor";

export function FollowButton({ id }: { id: Id }) {
  const w = words.value;
  const user = users.find(id)?.value;
  if (!user || id === myId.value) return null;
  return (
    <button
      type="button"
      class={user.is_follow ? "button button-quiet" : "button"}
      aria-pressed={user.is_follow}
      aria-label={user.is_follow ? w.unfollowName(user.name) : w.followName(user.name)}
      onClick={() => void follow(id, !user.is_follow)}
    >
      {user.is_follow ? w.following : w.follow}
    </button>
  );
}

function Person({ id }: { id: Id }) {
  const user = users.find(id)?.value;
  if (!user) return null;
  return (
    <li class="person">
      <a class="person-link" href={to.user(id)}>
        <Avatar user={user} size={48} />
        <span class="person-words">
          <strong>{user.name}</strong>
          <span>{signatureOf(user) ?? words.value.noSignature}</span>
        </span>
      </a>
      <FollowButton id={id} />
    </li>
  );
}

export function People({ id, crowd }: { id: Id; crowd: Crowd }) {
  const w = words.value;
  const me = myId.value;
  const list = useMemo(
    () => pagedList((cursor) => (crowd === "follows" ? api.follows : api.followers)(id, cursor), putUsers),
    [id, crowd, me],
  );
  useEffect(() => {
    if (me) void list.more();
  }, [list]);

  return (
    <section class="page page-narrow">
      <header class="page-head">
        <a class="icon-button" href={to.user(id)} aria-label={w.back}>
          <BackIcon />
        </a>
        <h1>{crowd === "follows" ? w.followsCount : w.followersCount}</h1>
      </header>
      {!me ? (
        <Visitor reason="toSeeProfile" />
      ) : (
        <>
          <Partial partial={list.partial.value} />
          <ul class="people">
            {list.items.value.map((user) => (
              <Person key={user} id={user} />
            ))}
          </ul>
          {list.ended.value && list.items.value.length === 0 && <Empty icon={<FriendsIcon size={36} />} title={w.nobody} />}
          <More list={list} />
        </>
      )}
    </section>
  );
}
