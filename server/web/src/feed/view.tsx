/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The place where the page begins. */
import { beginning, lastShown, newest } from "./newest";
import { Feed } from "./feed";

export function FeedView() {
  return (
    <Feed
      key={beginning.value}
      list={newest}
      start={lastShown.id}
      onShown={(id) => {
        lastShown.id = id;
      }}
    />
  );
}
