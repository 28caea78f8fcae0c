/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The place where the page begins. */
import { lastShown, newest } from "./newest";
import { Feed } from "./feed";

export function FeedView() {
  return (
    <Feed
      list={newest}
      start={lastShown.id}
      onShown={(id) => {
        lastShown.id = id;
      }}
    />
  );
}
