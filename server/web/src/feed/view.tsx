/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The view that the page starts with. */
import { signal, useSignalEffect } from "@preact/signals";
import { words } from "../i18n";
import { hasSideNav } from "../media";
import { remembered } from "../remembered";
import { openDialogs } from "../ui/dialog";
import { UpIcon } from "../ui/icons";
import { Feed } from "./feed";
import { beginning, lastShown, newest } from "./newest";

/* Users who have gone on to another clip know how. */
const knowsHow = remembered("knows-how", false, (value) => typeof value === "boolean");

/* Users who have opened something over it have seen it, and would see its edges behind that. */
const wasCovered = signal(false);

function Hint() {
  const w = words.value;
  useSignalEffect(() => {
    if (openDialogs.value > 0) wasCovered.value = true;
  });
  if (knowsHow.value || wasCovered.value || hasSideNav.value || newest.items.value.length < 2) return null;
  return (
    <p class="swipe-hint">
      <UpIcon size={28} />
      <strong>{w.swipeUp}</strong>
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
