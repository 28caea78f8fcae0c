/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* What a user has begun goes on after the next login if the session has ended, and is done once if an answer
 * was lost. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { fillIn, logIn, logInAsMe, nav, nextClip, plays, shown } from "../lib/browser.js";
import { masked, uniqueClip } from "../lib/media.js";
import { until } from "../lib/wait.js";

const keyOf = (request) => request.headers()["idempotency-key"];

/* The first LOST requests to PATH arrive, but their answers do not. Returns the keys of all of them. */
async function loseAnswers(page, path, lost) {
  const keys = [];
  await page.route(`**${path}`, async (route) => {
    keys.push(keyOf(route.request()));
    const isLost = keys.length <= lost;
    const response = await route.fetch();
    if (isLost) await route.abort();
    else await route.fulfill({ response });
  });
  return keys;
}

export function again(people, { api, layout }) {
  /* A change of password ends all sessions. */
  const endSessions = async (user) => {
    const { token } = await api.login(user.name, user.password);
    const form = { token, old_password: user.password, new_password: `${user.password}+` };
    assert.equal((await api.post("/douyin/user/password/", form)).json.status_code, 0);
    user.password = form.new_password;
  };
  const logInAgain = async (page, { name, password }) => {
    await page.getByText("Your session has ended.").waitFor();
    await fillIn(page, name, password);
  };
  const contents = async (user, peer) => {
    const { token } = await api.login(user.name, user.password);
    const { message_list } = await api.chat({ token, to_user_id: peer.id });
    return message_list.map(({ content }) => content);
  };
  const openComments = async (page) => {
    if (layout === "phone")
      await shown(page)
        .getByRole("button", { name: /comment/ })
        .click();
  };

  test("an expired session is reported, and what was begun goes on after the next login", async () => {
    const user = await api.register();
    const page = await people.somebody();
    await plays(page);
    await page.keyboard.press("l");
    await fillIn(page, user.name, user.password);
    await shown(page).getByRole("button", { name: /^Like/, pressed: true }).waitFor();
    await endSessions(user);
    await page.waitForLoadState("networkidle");
    await page.keyboard.press("l");
    await logInAgain(page, user);
    await shown(page).getByRole("button", { name: /^Like/, pressed: false }).waitFor();
  });

  for (const [when, isEager] of [
    ["at once", true],
    ["later", false],
  ])
    test(`a message that met the end of its session is there for who logs in ${when}`, async () => {
      const user = await api.register();
      const peer = await api.register();
      const page = await people.somebody({ path: `/#/chat/${peer.id}` });
      await logIn(page, user);
      await page.getByText("No messages yet").waitFor();
      /* Otherwise a poll may find out first. */
      const empty = { status_code: 0, status_msg: "success", message_list: [], next_cursor: 0, partial: false };
      await page.route("**/douyin/message/chat/**", (route) => route.fulfill({ json: empty }));
      await endSessions(user);
      await page.getByLabel("Write a message").fill("Still there?");
      await page.keyboard.press("Enter");
      await page.getByText("Your session has ended.").waitFor();
      await page.unroute("**/douyin/message/chat/**");
      if (isEager) {
        await fillIn(page, user.name, user.password);
      } else {
        await page.keyboard.press("Escape");
        await page.getByRole("dialog").waitFor({ state: "detached" });
        await logIn(page, user);
        await page.getByText("Not sent. You are not logged in.").waitFor();
        await page.getByRole("button", { name: "Try again" }).click();
      }
      await page.locator(".bubble[data-id]", { hasText: "Still there?" }).waitFor();
      assert.deepEqual(await contents(user, peer), ["Still there?"]);
    });

  test("a message is not sent as somebody else, and nothing of it is left for them", async () => {
    const user = await api.register();
    const next = await api.register();
    const peer = await api.register();
    const page = await people.somebody({ quiet: true, path: `/#/chat/${peer.id}` });
    await logIn(page, user);
    await page.getByText("No messages yet").waitFor();
    await page.route("**/douyin/message/chat/**", () => {});
    await endSessions(user);
    await page.getByLabel("Write a message").fill("Only from me");
    await page.keyboard.press("Enter");
    await page.getByText("Your session has ended.").waitFor();
    await page.unroute("**/douyin/message/chat/**");
    await fillIn(page, next.name, next.password);
    await page.getByText("No messages yet").waitFor();
    assert.equal(await page.locator(".bubble").count(), 0);
    assert.deepEqual(await contents(next, peer), []);
  });

  test("clips and comments are deleted and a profile is changed after the next login", async () => {
    const user = await api.register();
    await api.publish(user.token, uniqueClip(), "Not for long");
    const { video_list } = await api.list({ user_id: user.id });
    await api.comment(user.token, video_list[0].id, "Nor is this");
    const page = await people.somebody({ path: "/#/me" });
    await logIn(page, user);
    await page.getByRole("button", { name: "Edit profile" }).click();
    await page.getByLabel("Bio").fill("Back again.");
    await endSessions(user);
    await page.getByRole("button", { name: "Save" }).click();
    await logInAgain(page, user);
    await page.getByText("Saved").waitFor();
    await page.getByText("Back again.").waitFor();

    await page.getByRole("link", { name: "Play Not for long" }).click();
    await plays(page);
    await openComments(page);
    await page.getByText("Nor is this", { exact: true }).waitFor();
    await endSessions(user);
    await page.getByRole("button", { name: `Delete the comment of ${user.name}` }).click();
    await logInAgain(page, user);
    await page.getByText("Comment deleted").waitFor();
    assert.deepEqual((await api.comments({ video_id: video_list[0].id })).comment_list, []);

    if (layout === "phone") await page.keyboard.press("Escape");
    await nav(page, "Me");
    await page.getByRole("button", { name: "Delete clips…" }).click();
    await page.getByRole("button", { name: "Delete this clip: Not for long" }).click();
    await endSessions(user);
    await page.getByRole("dialog").getByRole("button", { name: "Delete", exact: true }).click();
    await logInAgain(page, user);
    await page.getByText("Clip deleted").waitFor();
    assert.deepEqual((await api.list({ user_id: user.id })).video_list, []);
  });

  test("an upload that met the end of its session can be posted again", async () => {
    const user = await api.register();
    const page = await people.somebody({ path: "/#/me" });
    await logInAsMe(page, user);
    await nav(page, "Post");
    await page
      .locator("input[type=file]")
      .setInputFiles({ name: "a.mp4", mimeType: "video/mp4", buffer: masked(Buffer.alloc(900)) });
    await page.getByLabel("Title").fill("Not yet");
    await endSessions(user);
    await page.getByRole("button", { name: "Post", exact: true }).click();
    await page.getByText("Your session has ended.").waitFor();
    await page.keyboard.press("Escape");
    await page.getByRole("dialog").waitFor({ state: "detached" });
    await page.getByRole("button", { name: "Post", exact: true }).waitFor();
    assert.equal(await page.getByLabel("Title").inputValue(), "Not yet");
  });

  test("a message whose answer was lost is sent again with the same key, and stored once", async () => {
    const user = await api.register();
    const peer = await api.register();
    const page = await people.somebody({ quiet: true, path: `/#/chat/${peer.id}` });
    await logIn(page, user);
    await page.getByText("No messages yet").waitFor();
    const keys = await loseAnswers(page, "/douyin/message/action/", 1);
    await page.getByLabel("Write a message").fill("Once");
    await page.keyboard.press("Enter");
    await page.getByRole("button", { name: "Try again" }).click();
    await page.locator(".bubble.is-failed").waitFor({ state: "detached" });
    assert.equal(keys.length, 2);
    assert.equal(keys[0], keys[1]);
    assert.deepEqual(await contents(user, peer), ["Once"]);
  });

  test("so is a comment, although its view was closed and the page was loaded again", async () => {
    const user = await api.register();
    await api.publish(user.token, uniqueClip(), "One to come back from");
    const page = await people.somebody({ quiet: true, path: "/#/me", reducedMotion: "reduce" });
    await logInAsMe(page, user);
    await nav(page, "Feed");
    await plays(page);
    const id = await shown(page).getAttribute("data-id");
    const keys = await loseAnswers(page, "/douyin/comment/action/", 2);
    const box = page.getByLabel("Write a comment");
    const send = page.getByRole("button", { name: "Send", exact: true });
    const failed = page.getByText("The service cannot be reached.").first();
    await openComments(page);
    await box.fill("Only once");
    await send.click();
    await failed.waitFor();
    if (layout === "phone") await page.keyboard.press("Escape");
    await page.getByRole("dialog").waitFor({ state: "detached" });
    await page.evaluate(() => document.activeElement.blur());
    await nextClip(page);
    await page.keyboard.press("ArrowUp");
    await page.locator(`article.slide[data-id="${id}"]:not([inert])`).waitFor();
    await openComments(page);
    await send.click();
    await failed.waitFor();
    await page.reload();
    await page.locator(`article.slide[data-id="${id}"]:not([inert])`).waitFor();
    await openComments(page);
    await send.click();
    await page.locator(".comment-text", { hasText: "Only once" }).waitFor();
    await until("the draft to be gone", async () => (await box.inputValue()) === "");
    assert.equal(keys.length, 3);
    assert.deepEqual(new Set(keys).size, 1);
    const { comment_list } = await api.comments({ video_id: id });
    assert.equal(comment_list.filter(({ content }) => content === "Only once").length, 1);
  });

  test("so is a clip", async () => {
    const user = await api.register();
    const page = await people.somebody({ quiet: true, path: "/#/me" });
    await logInAsMe(page, user);
    await nav(page, "Post");
    const keys = [];
    page.on("request", (request) => {
      if (request.url().endsWith("/douyin/publish/action/")) keys.push(keyOf(request));
    });
    /* A file in a body cannot be passed on by a route: the answer is lost in the page. */
    await page.evaluate(() => {
      const { send } = XMLHttpRequest.prototype;
      XMLHttpRequest.prototype.send = function sendOnce(body) {
        XMLHttpRequest.prototype.send = send;
        this.onload = this.onerror;
        this.send(body);
      };
    });
    await page
      .locator("input[type=file]")
      .setInputFiles({ name: "once.mp4", mimeType: "video/mp4", buffer: uniqueClip() });
    await page.getByLabel("Title").fill("Posted once");
    await page.getByRole("button", { name: "Post", exact: true }).click();
    await page.getByText("The service cannot be reached.").first().waitFor();
    await page.getByRole("button", { name: "Try again" }).click();
    await page.getByText("Your clip is posted").waitFor();
    assert.equal(keys.length, 2);
    assert.equal(keys[0], keys[1]);
    assert.equal((await api.list({ user_id: user.id })).video_list.length, 1);
  });

  test("a like that fails, of a clip that was liked, leaves it liked", async () => {
    const user = await api.register();
    const page = await people.somebody({ quiet: true, path: "/#/me" });
    await logInAsMe(page, user);
    await nav(page, "Feed");
    await plays(page);
    await page.keyboard.press("l");
    const liked = shown(page).getByRole("button", { name: /^Like/, pressed: true });
    await liked.waitFor();
    await page.waitForLoadState("networkidle");
    const name = await liked.getAttribute("aria-label");
    await page.route("**/douyin/favorite/action/", (route) => route.abort());
    await shown(page).locator(".clip-taps").dblclick();
    await page.getByText("The service cannot be reached.").first().waitFor();
    assert.equal(await liked.getAttribute("aria-label"), name);
    /* One that was taken back, in vain, is liked again. */
    await page.keyboard.press("l");
    await until("the failure", async () => (await liked.count()) === 1);
    assert.equal(await liked.getAttribute("aria-label"), name);
  });

  test("messages that the user sends from another device appear in an open conversation", async () => {
    const user = await api.register();
    const peer = await api.register();
    const page = await people.somebody({ path: `/#/chat/${peer.id}` });
    await logIn(page, user);
    await page.getByText("No messages yet").waitFor();
    await api.say(peer.token, user.id, "Where are you?");
    await page.getByRole("log").getByText("Where are you?").first().waitFor();
    await api.say(user.token, peer.id, "On my phone");
    await page.clock.install();
    await until("the message to appear", async () => {
      await page.clock.runFor(2000);
      return (await page.getByRole("log").getByText("On my phone").count()) === 1;
    });
  });

  test("no page reported an error that it should not", async () => {
    people.assertQuiet();
    await people.goHome();
  });
}
