/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Users who cannot see, who use the keyboard only, or who read Chinese. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { uniqueName } from "../lib/api.js";
import { fillIn, nav, nextClip, openSettings, plays, shown, signUp } from "../lib/browser.js";
import { clip, jpeg, uniqueClip } from "../lib/media.js";
import { seriousFaults } from "./axe.js";

/* Open dialogs whose content is wider than they are. */
const tooNarrow = (page) =>
  page.evaluate(() =>
    [...document.querySelectorAll("dialog[open]")]
      .filter(({ scrollWidth, clientWidth }) => scrollWidth > clientWidth)
      .map(({ scrollWidth, clientWidth }) => `a dialog of ${clientWidth}px has content of ${scrollWidth}px`),
  );

const focused = (page) =>
  page.evaluate(() => document.activeElement?.getAttribute("aria-label") ?? document.activeElement?.tagName);

async function tabTo(page, label) {
  for (let presses = 0; presses < 60; presses += 1) {
    if ((await focused(page)) === label) return;
    await page.keyboard.press("Tab");
  }
  assert.fail(`${label} cannot be reached by Tab`);
}

const go = (page, hash) =>
  page.evaluate((to) => {
    location.hash = to;
  }, hash);

/* Gives the user of PAGE a friend, who has written, and each of them a clip. */
async function befriend(page, api) {
  const me = await page.evaluate(() => JSON.parse(localStorage.getItem("doushard.session")));
  const friend = await api.register();
  await Promise.all([api.follow(me.token, friend.id), api.follow(friend.token, me.userId)]);
  await api.say(friend.token, me.userId, "Hello");
  await api.say(me.token, friend.id, "Hi");
  for (const [token, title] of [
    [me.token, "Mine"],
    [friend.token, "Theirs"],
  ])
    assert.equal((await api.publish(token, uniqueClip(), title)).status_code, 0);
  return { me, friend };
}

export function access(people, { api, layout }) {
  for (const colorScheme of ["dark", "light"])
    test(`axe finds nothing serious in these views, and every dialog fits, ${colorScheme}`, async () => {
      const page = await people.somebody({ colorScheme });
      const faults = {};
      const dialog = page.getByRole("dialog");
      const look = async (name) => {
        faults[name] = [...(await seriousFaults(page)), ...(await tooNarrow(page))];
      };
      await plays(page);
      await look("feed");
      await nav(page, "Me");
      await look("visitor");
      await page.getByRole("main").getByRole("button", { name: "Log in" }).click();
      await dialog.waitFor();
      await look("login");
      await fillIn(page, uniqueName("eve"), "not-the-password");
      await page.getByText("Wrong username or password.").waitFor();
      await look("wrong password");
      await signUp(page, uniqueName("eve"));
      await page.getByText("No clips yet").waitFor();
      await look("profile");
      await page.getByRole("button", { name: "Edit profile" }).click();
      await dialog.waitFor();
      await look("edit");
      await page.getByLabel("Cover").setInputFiles({ name: "sky.jpg", mimeType: "image/jpeg", buffer: jpeg() });
      await page.waitForFunction(() => document.querySelector("dialog canvas")?.width > 1);
      await look("cover");
      await page.keyboard.press("Escape");
      await openSettings(page, layout);
      await dialog.waitFor();
      await look("settings");
      await page.getByRole("button", { name: "Change password" }).click();
      await page.getByRole("dialog", { name: "Change password" }).waitFor();
      await look("password");
      await page.keyboard.press("Escape");
      await nav(page, "Post");
      await look("upload");
      await page
        .locator("input[type=file]")
        .setInputFiles({ name: "bears.mp4", mimeType: "video/mp4", buffer: clip() });
      await page.getByLabel("Preview of bears.mp4").waitFor();
      await look("chosen");
      await nav(page, "Friends");
      await page.getByText("No friends yet").waitFor();
      await look("friends");
      const { me, friend } = await befriend(page, api);
      await go(page, `#/chat/${friend.id}`);
      await page.getByRole("log").getByText("Hello", { exact: true }).waitFor();
      await look("conversation");
      await go(page, `#/user/${me.userId}/followers`);
      await page.getByRole("main").getByRole("link", { name: friend.name }).waitFor();
      await look("people");
      await go(page, `#/user/${friend.id}`);
      await page.getByRole("link", { name: "Play Theirs" }).waitFor();
      await look("somebody else");
      await nav(page, "Me");
      await page.getByRole("link", { name: "Play Mine" }).waitFor();
      await look("tiles");
      await page.getByRole("button", { name: "Delete clips…" }).click();
      await page.getByRole("button", { name: "Delete this clip: Mine" }).click();
      await dialog.waitFor();
      await look("delete");
      await page.keyboard.press("Escape");
      await nav(page, "Feed");
      await plays(page);
      await page.keyboard.press("c");
      if (layout === "phone") await dialog.waitFor();
      await look("comments");
      await page.keyboard.press("Escape");
      await dialog.waitFor({ state: "detached" });
      await page.keyboard.press("?");
      await dialog.waitFor();
      await look("keys");
      await page.keyboard.press("Escape");
      assert.deepEqual(
        Object.entries(faults).filter(([, list]) => list.length > 0),
        [],
      );
    });

  if (layout === "desktop")
    test("the feed, an account, a like and a comment need only the keyboard", async () => {
      const page = await people.somebody();
      const { keyboard } = page;
      const playing = () => shown(page).locator("video");
      await plays(page);
      const first = await shown(page).getAttribute("data-id");
      await keyboard.press("j");
      await page.waitForFunction(
        (id) => document.querySelector("article.slide:not([inert])")?.dataset.id !== id,
        first,
      );
      await keyboard.press("k");
      await page.waitForFunction(
        (id) => document.querySelector("article.slide:not([inert])")?.dataset.id === id,
        first,
      );
      await plays(page);

      await keyboard.press("Space");
      await shown(page).getByRole("button", { name: "Play" }).waitFor();
      assert.equal(await playing().evaluate(({ paused }) => paused), true);
      await keyboard.press("Space");
      await plays(page);
      assert.equal(await playing().evaluate(({ muted }) => muted), true);
      await keyboard.press("m");
      await shown(page).getByRole("button", { name: "Mute", exact: true }).waitFor();
      assert.equal(await playing().evaluate(({ muted }) => muted), false);

      /* A like asks for an account; the dialog takes the focus and gives it back. */
      await tabTo(page, "Mute");
      await keyboard.press("l");
      await page.getByRole("dialog").waitFor();
      await page.getByText("No account yet?").waitFor();
      await keyboard.press("Escape");
      await page.getByRole("dialog").waitFor({ state: "detached" });
      await page.locator('[aria-label="Mute"]:focus').waitFor();
      await keyboard.press("l");
      await page.getByText("No account yet?").waitFor();
      for (let n = 0; n < 4; n += 1) await keyboard.press("Tab"); /* password, its eye, log in, sign up */
      await keyboard.press("Enter");
      await page.getByText("Have an account already?").waitFor(); /* and the name has the focus */
      await keyboard.type(uniqueName("kai"));
      await keyboard.press("Tab");
      await keyboard.type("a-password");
      await keyboard.press("Enter");
      await shown(page).getByRole("button", { name: /^Like/, pressed: true }).waitFor();

      await tabTo(page, "Write a comment");
      await keyboard.type("Typed");
      await keyboard.press("Enter");
      await page.getByRole("complementary").getByText("Typed", { exact: true }).waitFor();
      await page.evaluate(() => document.activeElement.blur());
      await keyboard.press("c");
      await page.getByRole("complementary").waitFor({ state: "detached" });
      await keyboard.press("?");
      await page.getByRole("dialog", { name: "Keyboard shortcuts" }).waitFor();
      await keyboard.press("Escape");
      await page.getByRole("dialog").waitFor({ state: "detached" });
    });

  test("the position of a clip can be set", async () => {
    const page = await people.somebody();
    await plays(page);
    await page.keyboard.press("Space");
    const player = shown(page).locator("video");
    const half = await player.evaluate(({ duration }) => Math.floor(duration * 5) / 10);
    await shown(page).getByLabel("Position").fill(String(half));
    assert.equal(await player.evaluate(({ currentTime }) => Math.round(currentTime * 10) / 10), half);
  });

  if (layout === "phone")
    test("how to get to the next clip is shown until somebody does it", async () => {
      const page = await people.somebody();
      await plays(page);
      const hint = page.getByText("Swipe up for the next clip");
      await hint.waitFor();
      /* Not under what is opened over it, and not again after that. */
      await page.keyboard.press("c");
      await page.getByRole("dialog", { name: "Comments" }).waitFor();
      await hint.waitFor({ state: "detached" });
      await page.keyboard.press("Escape");
      await page.getByRole("dialog").waitFor({ state: "detached" });
      assert.equal(await hint.count(), 0);
      await page.reload();
      await plays(page);
      await hint.waitFor();
      await nextClip(page);
      await hint.waitFor({ state: "detached" });
      await page.reload();
      await plays(page);
      assert.equal(await hint.count(), 0);
    });

  test("a visitor is asked for an account before writing a comment, and finds the way to one", async () => {
    const page = await people.somebody();
    await plays(page);
    const around = layout === "desktop" ? page.getByRole("navigation", { name: "Main" }) : page.getByRole("banner");
    for (const name of ["Log in", "Sign up"]) await around.getByRole("button", { name, exact: true }).waitFor();
    if (layout === "phone")
      await shown(page)
        .getByRole("button", { name: /comment/ })
        .click();
    assert.equal(await page.getByLabel("Write a comment").count(), 0);
    await page.getByRole("button", { name: "Log in to comment" }).click();
    await signUp(page, uniqueName("vic"));
    await page.getByLabel("Write a comment").waitFor();
  });

  test("the page is in Chinese for users who prefer it, and can be switched to the other language", async () => {
    const page = await people.somebody({ locale: "zh-CN" });
    await plays(page);
    assert.equal(await page.locator("html").getAttribute("lang"), "zh-CN");
    if (layout === "desktop")
      await page.getByRole("navigation", { name: "主导航" }).getByRole("button", { name: "设置" }).click();
    else await page.getByRole("button", { name: "设置" }).click();
    await page.getByText("English").click();
    await page.getByText("浅色").waitFor({ state: "detached" });
    assert.equal(await page.locator("html").getAttribute("lang"), "en");
    await page.getByText("Light", { exact: true }).click();
    const background = () => page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor);
    assert.equal(await background(), "rgb(246, 245, 243)");
    await page.reload();
    await plays(page);
    assert.equal(await page.locator("html").getAttribute("lang"), "en", "the choice is kept");
    assert.equal(await background(), "rgb(246, 245, 243)");
  });

  test("users who prefer less motion get less", async () => {
    const page = await people.somebody({ reducedMotion: "reduce" });
    await plays(page);
    const first = await shown(page).getAttribute("data-id");
    /* One frame after the key press the next slide is there: nothing has scrolled. */
    const next = await page.evaluate(
      () =>
        new Promise((done) => {
          document.dispatchEvent(new KeyboardEvent("keydown", { key: "j" }));
          requestAnimationFrame(() =>
            requestAnimationFrame(() =>
              done(document.querySelector(".feed").scrollTop / document.querySelector(".feed").clientHeight),
            ),
          );
        }),
    );
    assert.equal(next, 1);
    assert.notEqual(await shown(page).getAttribute("data-id"), first);
  });

  test("no page reported an error", async () => {
    people.assertQuiet();
    await people.goHome();
  });
}
