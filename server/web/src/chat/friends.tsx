/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Friends with the last message of each, and beside them, if there is room, one conversation. */
import { useEffect, useMemo } from "preact/hooks";
import { Visitor } from "../account/visitor";
import { words } from "../i18n";
import * as api from "../net/api";
import type { Id } from "../net/ids";
import type { Friend } from "../net/types";
import { hasSideNav } from "../media";
import { to } from "../router";
import { myId } from "../session";
import { users } from "../store";
import { Avatar } from "../ui/avatar";
import { CommentIcon, FriendsIcon } from "../ui/icons";
import { pagedList } from "../ui/list";
import { More } from "../ui/more";
import { Empty, Partial } from "../ui/states";
import { Chat } from "./chat";
import { everyFew } from "./polling";
import { lastRead } from "./read";

const POLL_MS = 5000;

const friendsOf = (id: Id) =>
  pagedList<Friend, Friend>(
    (cursor) => api.friends(id, cursor),
    (friends) => {
      for (const { message: _, msgType: __, ...user } of friends) users.put(user);
      return friends;
    },
    ({ id: friend }) => friend,
  );

function Row({ friend, isOpen }: { friend: Friend; isOpen: boolean }) {
  const w = words.value;
  const { message, msgType } = friend;
  const isNew = message !== "" && msgType === 0 && !isOpen && lastRead(friend.id) !== message;
  const last = message && msgType === 1 ? w.youWrote(message) : message;
  return (
    <li>
      <a class={`person person-link friend ${isNew ? "is-new" : ""}`} href={to.chat(friend.id)} aria-current={isOpen ? "page" : undefined}>
        <Avatar user={friend} size={48} />
        <span class="person-words">
          <strong>{friend.name}</strong>
          {last ? <span>{last}</span> : <span class="say-hi">{w.noMessagesText}</span>}
        </span>
        {isNew && (
          <span class="unread">
            <span class="sr-only">{w.unread}</span>
          </span>
        )}
      </a>
    </li>
  );
}

/* Friends with a conversation come before friends without one. */
const talkedFirst = (friends: Friend[]) => [
  ...friends.filter(({ message }) => message),
  ...friends.filter(({ message }) => !message),
];

function FriendList({ me, open }: { me: Id; open: Id | undefined }) {
  const w = words.value;
  const list = useMemo(() => friendsOf(me), [me]);
  /* Only the first page is fetched again: while reading on, the user would see the list jump. */
  useEffect(
    () =>
      everyFew(POLL_MS, async () => {
        if (list.items.peek().length <= 50 && !list.busy.peek()) await list.reload();
      }),
    [list],
  );
  const friends = talkedFirst(list.items.value);
  const isFirst = friends.length === 0 && !list.ended.value;
  return (
    <section class="friends">
      <header class="page-head">
        <h1>{w.friendsTitle}</h1>
      </header>
      {friends.length > 0 && <p class="page-hint">{w.friendsAre}</p>}
      <Partial partial={list.partial.value} />
      <ul class="people">
        {friends.map((friend) => (
          <Row key={friend.id} friend={friend} isOpen={friend.id === open} />
        ))}
      </ul>
      {list.ended.value && friends.length === 0 && (
        <Empty icon={<FriendsIcon size={36} />} title={w.noFriends} text={w.noFriendsText} />
      )}
      {(isFirst || (!list.ended.value && !list.busy.value) || list.error.value) && <More list={list} />}
    </section>
  );
}

export function Friends({ open }: { open?: Id }) {
  const w = words.value;
  const me = myId.value;
  if (!me) return <Visitor reason="toChat" />;
  const showsList = hasSideNav.value || !open;
  return (
    <div class={open ? "talk has-chat" : "talk"}>
      {showsList && <FriendList me={me} open={open} />}
      {open ? (
        <Chat key={open} id={open} />
      ) : (
        hasSideNav.value && (
          <div class="chat-none">
            <Empty icon={<CommentIcon size={40} />} title={w.pickFriend} />
          </div>
        )
      )}
    </div>
  );
}
