/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The frame around every view: navigation at the side or at the bottom. */
import type { ComponentChildren } from "preact";
import { askForAccount } from "./asking";
import { helpOpen, settingsOpen } from "./account/settings";
import { beginAnew } from "./feed/newest";
import { words } from "./i18n";
import { hasSideNav, online } from "./media";
import { type Place, type Tab, place, tab, to } from "./router";
import { session } from "./session";
import { FeedIcon, FriendsIcon, GearIcon, KeyboardIcon, Mark, PersonIcon, PlusIcon } from "./ui/icons";

interface Target {
  address: string;
  text: string;
  icon: ComponentChildren;
  name: Tab;
}

/* The entry of the navigation to mark. A user's own profile is always "Me", wherever the user came from;
 * somebody else's profile never is. */
function entryOf(now: Place): Tab | undefined {
  if (!("id" in now) || now.at === "chat") return tab.value;
  if (now.id === session.value?.userId) return "me";
  return tab.value === "me" ? undefined : tab.value;
}

function targets(): Target[] {
  const w = words.value;
  return [
    { address: to.feed, text: w.feed, icon: <FeedIcon />, name: "feed" },
    { address: to.friends, text: w.friends, icon: <FriendsIcon />, name: "friends" },
    { address: to.upload, text: w.upload, icon: <PlusIcon />, name: "upload" },
    { address: to.me, text: w.me, icon: <PersonIcon />, name: "me" },
  ];
}

/* A user who presses Feed in the feed wants to see the newest clips. */
const toFeed = (event: MouseEvent) => {
  if (place.peek().at !== "feed" || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  void beginAnew();
};

function Links() {
  const now = place.value;
  const here = entryOf(now);
  const isThere = now.at === here || here === "me";
  return (
    <ul class="nav-links">
      {targets().map(({ address, text, icon, name }) => (
        <li key={address}>
          <a
            class={address === to.upload ? "nav-link nav-upload" : "nav-link"}
            href={address}
            aria-current={name === here ? (isThere ? "page" : "true") : undefined}
            {...(address === to.feed ? { onClick: toFeed } : {})}
          >
            <span class="nav-icon">{icon}</span>
            <span class="nav-text">{text}</span>
          </a>
        </li>
      ))}
    </ul>
  );
}

const opening = (open: typeof settingsOpen) => () => {
  open.value = true;
};

/* Views for users only ask for an account themselves. */
const asksItself = ({ at }: Place) => at === "me" || at === "friends" || at === "chat" || at === "people";

/* Only the side navigation has room for these; on a phone they are in the profile. */
function SideFoot() {
  const w = words.value;
  return (
    <div class="nav-foot">
      {!session.value && !asksItself(place.value) && (
        <div class="nav-account">
          <button type="button" class="button" onClick={() => void askForAccount(undefined, "register")}>
            {w.register}
          </button>
          <button type="button" class="button button-quiet" onClick={() => void askForAccount()}>
            {w.logIn}
          </button>
        </div>
      )}
      <button type="button" class="nav-link" onClick={opening(settingsOpen)}>
        <span class="nav-icon">
          <GearIcon />
        </span>
        <span class="nav-text">{w.settings}</span>
      </button>
      <button type="button" class="nav-link" onClick={opening(helpOpen)}>
        <span class="nav-icon">
          <KeyboardIcon />
        </span>
        <span class="nav-text">{w.keys}</span>
      </button>
    </div>
  );
}

function TopBar() {
  const w = words.value;
  return (
    <header class="top-bar">
      <a class="brand" href={to.feed} onClick={toFeed}>
        <Mark size={26} />
        <span>Doushard</span>
      </a>
      {!session.value && !asksItself(place.value) && (
        <>
          <button type="button" class="top-log-in" onClick={() => void askForAccount()}>
            {w.logIn}
          </button>
          <button type="button" class="button top-sign-up" onClick={() => void askForAccount(undefined, "register")}>
            {w.register}
          </button>
        </>
      )}
      <button type="button" class="icon-button" aria-label={w.settings} onClick={opening(settingsOpen)}>
        <GearIcon size={22} />
      </button>
    </header>
  );
}

function Offline() {
  const w = words.value;
  return (
    <div class="offline" role="status">
      {!online.value && (
        <p>
          <strong>{w.offline}.</strong> {w.offlineText}
        </p>
      )}
    </div>
  );
}

/* The feed has the bar over its video; other views only if there is no other way to the settings. */
const isBarred = (now: Place) => now.at === "feed" || (!session.value && asksItself(now));

/* On a phone a conversation needs the whole window; it has a link back. */
const isAlone = (now: Place) => now.at === "chat" && session.value !== undefined;

export function Shell({ children }: { children: ComponentChildren }) {
  const w = words.value;
  const side = hasSideNav.value;
  return (
    <div class={`shell at-${place.value.at}`}>
      <a
        class="skip"
        href="#content"
        onClick={(event) => {
          /* The router uses the part after the #, so the link must not change it. */
          event.preventDefault();
          document.getElementById("content")?.focus();
        }}
      >
        {w.skipToContent}
      </a>
      {!side && isBarred(place.value) && <TopBar />}
      {(side || !isAlone(place.value)) && (
        <nav class="nav" aria-label={w.mainNavigation}>
          {side && (
            <a class="brand" href={to.feed} onClick={toFeed}>
              <Mark size={32} />
              <span>Doushard</span>
            </a>
          )}
          {side && !session.value && <p class="tagline">{w.tagline}</p>}
          <Links />
          {side && <SideFoot />}
        </nav>
      )}
      <main id="content" class="content" tabIndex={-1}>
        <Offline />
        {children}
      </main>
    </div>
  );
}
