/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The users whom a user follows, or the user's followers. */
import { useEffect, useMemo } from "preact/hooks";
import { follow } from "../actions";
import { short, words } from "../i18n";
import * as api from "../net/api";
import type { Id } from "../net/ids";
import { type Crowd, to, turn } from "../router";
import { myId } from "../session";
import { putUsers, users } from "../store";
import { Avatar, signatureOf } from "../ui/avatar";
import { Back } from "../ui/back";
import { CheckIcon, FriendsIcon } from "../ui/icons";
import { pagedList } from "../ui/list";
import { useLoading } from "../ui/loaded";
import { More } from "../ui/more";
import { Empty, Partial } from "../ui/states";
import { Visitor } from "../account/visitor";
import { loadUser } from "./load";

export function FollowButton({ id }: { id: Id }) {
  const w = words.value;
  const user = users.find(id)?.value;
  if (!user || id === myId.value) return null;
  return (
    <button
      type="button"
      class={user.is_follow ? "button button-outlined" : "button"}
      aria-pressed={user.is_follow}
      /* It contains what is written on the button: users who speak their commands say that. */
      aria-label={user.is_follow ? `${w.following}, ${w.unfollowName(user.name)}` : w.followName(user.name)}
      onClick={() => void follow(id, !user.is_follow)}
    >
      {user.is_follow && <CheckIcon size={16} />}
      {user.is_follow ? w.following : w.follow}
    </button>
  );
}

interface PersonProps {
  id: Id;
  /** Whether this user is known to follow the caller. */
  followsMe: boolean;
}

function Person({ id, followsMe }: PersonProps) {
  const w = words.value;
  const user = users.find(id)?.value;
  if (!user) return null;
  return (
    <li class="person">
      <a class="person-link" href={to.user(id)}>
        <Avatar user={user} size={48} />
        <span class="person-words">
          <strong class="person-name">{user.name}</strong>
          <span class="person-about">
            {followsMe && user.is_follow && <span class="tag">{w.isFriend}</span>}
            <span>{signatureOf(user) ?? w.noSignature}</span>
          </span>
        </span>
      </a>
      <FollowButton id={id} />
    </li>
  );
}

const CROWDS: Crowd[] = ["followers", "follows"];

/* The count is in the user's card, which is already there when one comes from the profile. */
function Tabs({ id, crowd }: { id: Id; crowd: Crowd }) {
  const w = words.value;
  const user = users.find(id)?.value;
  const texts = { follows: w.followsCount, followers: w.followersCount };
  const counts = { follows: user?.follow_count, followers: user?.follower_count };
  return (
    <nav class="tabs" aria-label={user?.name ?? w.profile}>
      {CROWDS.map((which) => (
        <a
          key={which}
          class="tab"
          href={to.people(id, which)}
          onClick={turn}
          aria-current={which === crowd ? "page" : undefined}
        >
          {texts[which]} <span>{counts[which] !== undefined && short(counts[which])}</span>
        </a>
      ))}
    </nav>
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
  useLoading(() => loadUser(id), [id, me]);

  return (
    <section class="page page-narrow">
      <header class="page-head">
        <Back otherwise={to.user(id)} />
        <h1>{users.find(id)?.value.name ?? w.profile}</h1>
      </header>
      {!me ? (
        <Visitor reason="toSeeProfile" />
      ) : (
        <>
          <Tabs id={id} crowd={crowd} />
          <Partial partial={list.partial.value} />
          <ul class="people">
            {list.items.value.map((user) => (
              <Person key={user} id={user} followsMe={id === me && crowd === "followers"} />
            ))}
          </ul>
          {list.ended.value && list.items.value.length === 0 && <Empty icon={<FriendsIcon size={36} />} title={w.nobody} />}
          <More list={list} />
        </>
      )}
    </section>
  );
}
