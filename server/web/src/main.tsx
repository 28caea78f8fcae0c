/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Where the program starts. */
import { effect } from "@preact/signals";
import { render } from "preact";
import { App } from "./app";
import { newest } from "./feed/newest";
import { online } from "./media";
import { myId } from "./session";
import { forgetCaller } from "./store";
import "./theme";
import "./styles/base.css";
import "./styles/layout.css";
import "./styles/feed.css";
import "./styles/panels.css";
import "./styles/pages.css";

/* The first page of the feed is requested before anything is drawn. */
void newest.more();

/* Likes and follows belong to a user: they leave the screen when the user does. */
let caller = myId.peek();
effect(() => {
  if (myId.value === caller) return;
  caller = myId.value;
  forgetCaller();
});

/* What could not be fetched is fetched once there is a connection again. */
effect(() => {
  if (online.value && newest.error.peek()) void newest.more();
});

const root = document.getElementById("app");
if (root) render(<App />, root);
