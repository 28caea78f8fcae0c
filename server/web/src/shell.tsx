/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The frame around every view: navigation at the side or below. */
import type { ComponentChildren } from "preact";
import { askForAccount } from "./asking";
import { helpOpen, logOut, settingsOpen } from "./account/settings";
import { beginAnew } from "./feed/newest";
import { words } from "./i18n";
import { hasSideNav, online } from "./media";
import { type Place, place, to } from "./router";
import { session } from "./session";
import { FeedIcon, FriendsIcon, GearIcon, KeyboardIcon, LogOutIcon, Mark, PersonIcon, PlusIcon } from "./ui/icons";

interface Target {
  address: string;
  text: string;
  icon: ComponentChildren;
  isHere: boolean;
}

const isMine = (now: Place) => now.at === "me" || ("id" in now && now.at !== "chat" && now.id === session.value?.userId);

function targets(): Target[] {
  const w = words.value;
  const now = place.value;
  return [
    { address: to.feed, text: w.feed, icon: <FeedIcon />, isHere: now.at === "feed" },
    { address: to.friends, text: w.friends, icon: <FriendsIcon />, isHere: now.at === "friends" || now.at === "chat" },
    { address: to.upload, text: w.upload, icon: <PlusIcon />, isHere: now.at === "upload" },
    { address: to.me, text: w.me, icon: <PersonIcon />, isHere: isMine(now) },
  ];
}

/* Who is in the feed already and goes there wants to see what is new. */
const toFeed = (event: MouseEvent) => {
  if (place.peek().at !== "feed" || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  void beginAnew();
};

function Links() {
  return (
    <ul class="nav-links">
      {targets().map(({ address, text, icon, isHere }) => (
        <li key={address}>
          <a
            class={address === to.upload ? "nav-link nav-upload" : "nav-link"}
            href={address}
            aria-current={isHere ? "page" : undefined}
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

/* What a side has room for; on a phone it is in the profile. */
function SideFoot() {
  const w = words.value;
  return (
    <div class="nav-foot">
      {!session.value && (
        <button type="button" class="button button-wide" onClick={() => void askForAccount()}>
          {w.logIn}
        </button>
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
      {session.value && (
        <button type="button" class="nav-link" onClick={() => void logOut()}>
          <span class="nav-icon">
            <LogOutIcon />
          </span>
          <span class="nav-text">{w.logOut}</span>
        </button>
      )}
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

/* The bar lies over the video; elsewhere it is only where settings would be out of reach. */
const isBarred = (now: Place) => now.at === "feed" || (now.at === "me" && !session.value);

export function Shell({ children }: { children: ComponentChildren }) {
  const w = words.value;
  const side = hasSideNav.value;
  return (
    <div class={`shell at-${place.value.at}`}>
      <a
        class="skip"
        href="#content"
        onClick={(event) => {
          /* The address behind the # is the place in the page. */
          event.preventDefault();
          document.getElementById("content")?.focus();
        }}
      >
        {w.skipToContent}
      </a>
      {!side && isBarred(place.value) && <TopBar />}
      <nav class="nav" aria-label={w.mainNavigation}>
        {side && (
          <a class="brand" href={to.feed} onClick={toFeed}>
            <Mark size={32} />
            <span>Doushard</span>
          </a>
        )}
        <Links />
        {side && <SideFoot />}
      </nav>
      <main id="content" class="content" tabIndex={-1}>
        <Offline />
        {children}
      </main>
    </div>
  );
}
