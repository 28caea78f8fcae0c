/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The page: a frame, the current view, and what may lie over both. */
import { useEffect } from "preact/hooks";
import { ChangePassword } from "./account/change-password";
import { Login } from "./account/login";
import { Settings, helpOpen } from "./account/settings";
import { Visitor } from "./account/visitor";
import { Friends } from "./chat/friends";
import { FeedView } from "./feed/view";
import { words } from "./i18n";
import { People } from "./profile/people";
import { Profile } from "./profile/profile";
import { Watch } from "./profile/watch";
import { type Place, place, to } from "./router";
import { myId } from "./session";
import { Shell } from "./shell";
import { users } from "./store";
import { Empty } from "./ui/states";
import { commandOf } from "./ui/keys";
import { Toasts } from "./ui/toast";
import { UploadView } from "./upload/upload";

function Me() {
  return myId.value ? <Profile id={myId.value} shelf="works" /> : <Visitor reason="visitorText" />;
}

function Nowhere() {
  const w = words.value;
  return (
    <Empty title={w.notFound}>
      <a class="button" href={to.feed}>
        {w.feed}
      </a>
    </Empty>
  );
}

function View({ now }: { now: Place }) {
  switch (now.at) {
    case "feed":
      return <FeedView />;
    case "friends":
      return <Friends />;
    case "chat":
      return <Friends open={now.id} />;
    case "upload":
      return <UploadView />;
    case "me":
      return <Me />;
    case "user":
      return <Profile key={now.id} id={now.id} shelf={now.shelf} />;
    case "people":
      return <People key={now.crowd} id={now.id} crowd={now.crowd} />;
    case "watch":
      return <Watch key={`${now.id} ${now.shelf}`} id={now.id} shelf={now.shelf} video={now.video} />;
    case "nowhere":
      return <Nowhere />;
  }
}

function titleOf(now: Place): string {
  const w = words.value;
  switch (now.at) {
    case "friends":
    case "chat":
      return w.friends;
    case "upload":
      return w.newClip;
    case "me":
      return w.me;
    case "user":
    case "people":
      return users.find(now.id)?.value.name ?? w.profile;
    default:
      return "";
  }
}

/* A new view has a new title; and if the element with the focus is gone, keyboard users continue in
 * the view. */
function useArrival(now: Place) {
  const title = titleOf(now);
  useEffect(() => {
    document.title = title ? `${title} · Doushard` : "Doushard";
  }, [title]);
  useEffect(() => {
    if (document.activeElement === document.body) document.getElementById("content")?.focus({ preventScroll: true });
  }, [now]);
}

function useHelpKey() {
  useEffect(() => {
    const obey = (event: KeyboardEvent) => {
      if (commandOf(event) !== "?") return;
      event.preventDefault();
      helpOpen.value = true;
    };
    document.addEventListener("keydown", obey);
    return () => document.removeEventListener("keydown", obey);
  }, []);
}

export function App() {
  useHelpKey();
  useArrival(place.value);
  return (
    <>
      <Shell>
        <View now={place.value} />
      </Shell>
      <Login />
      <Settings />
      <ChangePassword />
      <Toasts />
    </>
  );
}
