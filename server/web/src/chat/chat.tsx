/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* One conversation: its messages, and a field for a new one. */
import { useEffect, useLayoutEffect, useMemo, useRef } from "preact/hooks";
import { draft } from "../drafts";
import { inWords, moment, words } from "../i18n";
import { type Id, NO_ID } from "../net/ids";
import type { Message } from "../net/types";
import { loadUser } from "../profile/load";
import { to } from "../router";
import { myId } from "../session";
import { users } from "../store";
import { Avatar } from "../ui/avatar";
import { Back } from "../ui/back";
import { Composer } from "../ui/composer";
import { FriendsIcon } from "../ui/icons";
import { useLoading } from "../ui/loaded";
import { Empty, ErrorText, Failed, Spinner } from "../ui/states";
import { announce, tellError } from "../ui/toast";
import { Conversation } from "./conversation";
import { everyFew } from "./polling";
import { markRead } from "./read";
import type { Outgoing } from "./unsent";

const LONGEST = 500;
/* Other clients of this service poll about as often. */
const POLL_MS = 2000;
const WHILE_MS = 5 * 60_000;

function useConversation(id: Id): Conversation {
  const me = myId.value ?? NO_ID;
  const conversation = useMemo(() => new Conversation(me, id), [me, id]);
  useEffect(() => everyFew(POLL_MS, () => conversation.poll()), [conversation]);
  return conversation;
}

/* A time is shown where a conversation begins, and where it continues after a while. */
function When({ time, before }: { time: number; before: number | undefined }) {
  if (before !== undefined && time - before < WHILE_MS) return null;
  return (
    <li class="when">
      <time>{moment(time)}</time>
    </li>
  );
}

function Received({ message, before }: { message: Message; before: Message | undefined }) {
  const isMine = message.from_user_id === myId.value;
  return (
    <>
      <When time={message.create_time} before={before?.create_time} />
      <li class={isMine ? "bubble is-mine" : "bubble"} data-id={message.id}>
        {isMine && <span class="sr-only">{words.value.you}: </span>}
        <p>{message.content}</p>
      </li>
    </>
  );
}

function OnItsWay({ message, again }: { message: Outgoing; again: () => void }) {
  const w = words.value;
  const { state, content, error } = message;
  return (
    <li class={`bubble is-mine is-${state}`}>
      <span class="sr-only">{w.you}: </span>
      <p>{content}</p>
      {state === "failed" && error ? (
        <div class="bubble-failed" role="alert">
          <span>
            {w.notSent} {inWords(error)}
          </span>
          <button type="button" class="link" onClick={again}>
            {w.tryAgain}
          </button>
        </div>
      ) : (
        <small>{state === "sending" ? w.sending : w.sent}</small>
      )}
    </li>
  );
}

/* Keeps the newest message in sight, unless the user is reading older ones. */
function useBottom(count: number) {
  const box = useRef<HTMLDivElement>(null);
  const atBottom = useRef(true);
  useLayoutEffect(() => {
    if (box.current && atBottom.current) box.current.scrollTop = box.current.scrollHeight;
  }, [count]);
  const onScroll = () => {
    if (!box.current) return;
    const { scrollTop, scrollHeight, clientHeight } = box.current;
    atBottom.current = scrollHeight - scrollTop - clientHeight < 48;
  };
  return { box, atBottom, onScroll };
}

function Messages({ conversation }: { conversation: Conversation }) {
  const w = words.value;
  const received = conversation.messages.value;
  const outgoing = conversation.outgoing.value;
  const { box, onScroll } = useBottom(received.length + outgoing.length);
  const last = received.at(-1);

  useEffect(() => {
    if (last?.from_user_id !== conversation.peer) return;
    announce(last.content);
    markRead(conversation.peer, last.content);
  }, [last?.id]);

  if (!conversation.loaded.value && !conversation.error.value) return <Spinner />;
  return (
    <div class="messages" ref={box} onScroll={onScroll} tabIndex={0} role="log" aria-live="off" aria-label={w.messages}>
      {conversation.hasOlder.value && (
        <button type="button" class="button button-quiet" onClick={() => void conversation.older().catch(tellError)}>
          {w.olderMessages}
        </button>
      )}
      {received.length + outgoing.length === 0 && conversation.loaded.value && (
        <Empty icon={<FriendsIcon size={32} />} title={w.noMessages} text={w.noMessagesText} />
      )}
      <ul>
        {received.map((message, n) => (
          <Received key={message.id} message={message} before={received[n - 1]} />
        ))}
        {outgoing.map((message) => (
          <OnItsWay key={message.key} message={message} again={() => void conversation.again(message)} />
        ))}
      </ul>
    </div>
  );
}

export function Chat({ id }: { id: Id }) {
  const w = words.value;
  const { error, again } = useLoading(() => loadUser(id), [id, myId.value]);
  const conversation = useConversation(id);
  const user = users.find(id)?.value;
  const back = <Back otherwise={to.friends} class="chat-back" />;
  if (!user)
    return (
      <section class="chat">
        <header class="chat-head">{back}</header>
        {error.value ? <Failed error={error.value} again={again} /> : <Spinner />}
      </section>
    );
  return (
    <section class="chat" aria-label={w.chatWith(user.name)}>
      <header class="chat-head">
        {back}
        <a class="chat-user" href={to.user(id)}>
          <Avatar user={user} size={36} />
          <h1>{user.name}</h1>
        </a>
      </header>
      <Messages conversation={conversation} />
      {conversation.error.value && <ErrorText error={conversation.error.value} />}
      <Composer
        text={draft(`chat.${id}`)}
        label={w.writeMessage}
        longest={LONGEST}
        send={async (text) => {
          /* From now on it is in the list, whether it arrives or not. */
          void conversation.send(text);
          return true;
        }}
      />
    </section>
  );
}
