/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Users with browsers: Debian's Chromium, because only that one plays H.264. Each has its own context, and
 * errors of pages and requests to other hosts are recorded. */

import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { createRequire } from "node:module";

/* Imported as an ES module it is parsed twice, which takes half a second of CPU time. */
const { chromium } = createRequire(import.meta.url)("playwright-core");

/* The headless shell, if it is installed: the whole browser takes twice as much CPU time for the same
 * pages. */
const CHROMIUM = ["/usr/bin/chromium-headless-shell", "/usr/bin/chromium"].find((path) => existsSync(path));

export const LAYOUTS = {
  phone: { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true },
  desktop: { viewport: { width: 1440, height: 900 } },
};

/* Records when the first frame of a playing clip was on the screen, and the largest contentful paint, in ms
 * since the page was opened. */
const WATCH = () => {
  globalThis.seen = { frame: undefined, paint: undefined };
  const awaitFrame = (player) =>
    player.requestVideoFrameCallback((now) => {
      if (player.paused) awaitFrame(player);
      else globalThis.seen.frame ??= now;
    });
  document.addEventListener("loadedmetadata", ({ target }) => awaitFrame(target), true);
  new PerformanceObserver((list) => {
    for (const { startTime } of list.getEntries()) globalThis.seen.paint = startTime;
  }).observe({ type: "largest-contentful-paint", buffered: true });
};

export class People {
  #browser;
  #contexts = [];
  complaints = [];

  /** A browser for the pages of the service at URL, which may be set later, with LAYOUT ("phone" or
   * "desktop"). */
  static async at(url, layout) {
    const people = new People();
    people.url = url;
    people.layout = layout;
    people.#browser = await chromium.launch({
      executablePath: CHROMIUM,
      args: ["--autoplay-policy=no-user-gesture-required", ...(process.getuid() === 0 ? ["--no-sandbox"] : [])],
    });
    return people;
  }

  /** A new user, on the page. OPTIONS are those of a context; QUIET: errors are expected, and not recorded. */
  async somebody({ quiet = false, path = "/", ...options } = {}) {
    const context = await this.#browser.newContext({
      locale: "en-US",
      colorScheme: "dark",
      ...LAYOUTS[this.layout],
      ...options,
    });
    this.#contexts.push(context);
    await context.addInitScript(WATCH);
    context.on("request", (request) => this.#judge(request.url()));
    const page = await context.newPage();
    page.setDefaultTimeout(60000);
    if (!quiet) {
      page.on("pageerror", (error) => this.complaints.push(String(error.stack)));
      page.on("console", (message) => {
        if (message.type() === "error" || message.type() === "warning") this.complaints.push(message.text());
      });
    }
    await page.goto(this.url + path);
    return page;
  }

  #judge(url) {
    if (new URL(url).origin !== this.url) this.complaints.push(`a request to another host: ${url}`);
  }

  /** Asserts that no page reported an error or sent a request to another host. */
  assertQuiet() {
    assert.deepEqual(this.complaints, []);
  }

  /** Close all contexts. A request handler of a test may still be busy with a request that is no longer
   * awaited. */
  async goHome() {
    const contexts = this.#contexts.splice(0);
    const pages = contexts.flatMap((context) => context.pages());
    await Promise.all(pages.map((page) => page.unrouteAll({ behavior: "ignoreErrors" })));
    await Promise.all(contexts.map((context) => context.close()));
  }

  async close() {
    await this.#browser.close();
  }
}

/* ---- User actions, by what is visible ---- */

export const nav = (page, name) =>
  page.getByRole("navigation", { name: "Main" }).getByRole("link", { name, exact: true }).click();

/** On a phone a conversation fills the window. */
export async function leaveChat(page, layout) {
  if (layout === "phone") await page.getByRole("link", { name: "Back" }).click();
}

export const openSettings = (page, layout) =>
  (layout === "phone" ? page.getByRole("main") : page.getByRole("navigation", { name: "Main" }))
    .getByRole("button", { name: "Settings" })
    .click();

/** Sign up in the dialog that asks for an account. */
export async function signUp(page, name, password = "a-password") {
  const dialog = page.getByRole("dialog");
  await dialog.getByRole("button", { name: "Sign up" }).click();
  await fillIn(page, name, password);
}

export async function fillIn(page, name, password) {
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("Username").fill(name);
  await dialog.getByLabel("Password", { exact: true }).fill(password);
  await dialog.getByLabel("Password", { exact: true }).press("Enter");
}

/** Logs the user in, on a view that asks for an account. */
export async function logIn(page, { name, password }) {
  await page.getByRole("main").getByRole("button", { name: "Log in" }).click();
  await fillIn(page, name, password);
}

/** Logs the user in on the page Me, and waits until it is theirs. */
export async function logInAsMe(page, user) {
  await logIn(page, user);
  await page.getByRole("heading", { name: user.name }).waitFor();
}

/** The visible slide and its video. */
export const shown = (page) => page.locator("article.slide:not([inert])");

/** Waits until the visible video has advanced between two checks. The visible video may change meanwhile: a
 * slide that was left stops and rewinds, and so does a clip at its end. */
export async function plays(page) {
  await page.waitForFunction(
    (seen) => {
      const player = document.querySelector("article.slide:not([inert]) video");
      const before = player === seen.player ? seen.time : Infinity;
      Object.assign(seen, { player, time: player?.currentTime });
      return player && player.readyState >= 3 && player.currentTime > before;
    },
    await page.evaluateHandle(() => ({})),
  );
}

/** Press the key for the next clip, and wait for it. */
export async function nextClip(page) {
  const before = await shown(page).getAttribute("data-id");
  await page.keyboard.press("ArrowDown");
  await page.waitForFunction(
    (id) => (document.querySelector("article.slide:not([inert])")?.dataset.id ?? id) !== id,
    before,
  );
}
