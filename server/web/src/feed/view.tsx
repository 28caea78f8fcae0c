/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The view that the page starts with. */
import { words } from "../i18n";
import { hasSideNav } from "../media";
import { remembered } from "../remembered";
import { UpIcon } from "../ui/icons";
import { Feed } from "./feed";
import { beginning, lastShown, newest } from "./newest";

/* Users who have gone on to another clip know how. */
const knowsHow = remembered("knows-how", false, (value) => typeof value === "boolean");

function Hint() {
  const w = words.value;
  if (knowsHow.value || hasSideNav.value || newest.items.value.length < 2) return null;
  return (
    <p class="swipe-hint">
      <UpIcon size={28} />
      <strong>{w.swipeUp}</strong>
      <span>{w.tagline}</span>
    </p>
  );
}

export function FeedView() {
  return (
    <>
      <Feed
        key={beginning.value}
        list={newest}
        start={lastShown.id}
        onShown={(id) => {
          if (lastShown.id && lastShown.id !== id) knowsHow.value = true;
          lastShown.id = id;
        }}
      />
      <Hint />
    </>
  );
}
