/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* What two users do with the page, from the first visit to a chat. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { uniqueName } from "../lib/api.js";
import { leaveChat, nav, nextClip, openSettings, plays, shown, signUp } from "../lib/browser.js";
import { jpeg, uniqueClip } from "../lib/media.js";
import { until } from "../lib/wait.js";
import { seriousFaults } from "./axe.js";
import { assertLight } from "./weight.js";

/* Texts that would do harm if the page took them for markup. */
const TITLE = `<b>Bären</b> & 熊 "bears" ${"<img src=x onerror=alert(1)>"}`;
const COMMENT = "<script>alert(1)</script> 好看！";

/* Only friends: the view that is being left may have other links to NAME. */
const friend = (page, name) => page.locator("a.friend", { hasText: name });

/* The entry of the navigation that is marked as the current one. */
const lit = (page) => page.getByRole("navigation", { name: "Main" }).locator("[aria-current]");

const liked = (page) => shown(page).getByRole("button", { name: /^Like/ });
const comments = (page, layout) =>
  layout === "desktop"
    ? page.getByRole("complementary", { name: "Comments" })
    : page.getByRole("dialog", { name: "Comments" });

async function openComments(page, layout) {
  if (layout === "phone")
    await shown(page)
      .getByRole("button", { name: /comment/ })
      .click();
  return comments(page, layout);
}

export function story(people, { api, layout }) {
  const anna = uniqueName("anna");
  const ben = uniqueName("ben");
  let annas;
  let bens;
  let visitor;

  async function publish(title) {
    const token = await annas.evaluate(() => JSON.parse(localStorage.getItem("doushard.session")).token);
    return api.publish(token, uniqueClip(16), title);
  }

  test("a visitor is told that the service is empty, signs up and publishes a clip", async () => {
    annas = await people.somebody();
    await annas.getByText("Nothing here yet").waitFor();
    await nav(annas, "Post");
    await annas.getByText("Choose a clip").waitFor();
    await annas
      .locator("input[type=file]")
      .setInputFiles({ name: "bears.mp4", mimeType: "video/mp4", buffer: uniqueClip(200000) });
    const preview = annas.getByLabel("Preview of bears.mp4");
    await preview.evaluate((video) => video.play());
    await annas.getByLabel("Title").fill(TITLE);
    await annas.getByRole("button", { name: "Post", exact: true }).click();
    await annas.getByText("Log in to post a clip.").waitFor();
    await signUp(annas, anna);
    /* Posting goes on where it was interrupted. */
    await annas.getByRole("heading", { name: anna }).waitFor();
    await annas.getByRole("link", { name: `Play ${TITLE}` }).waitFor();
    const [{ title }] = (await api.feed()).video_list;
    assert.equal(title, TITLE);
  });

  test("the clip plays from the profile and in the feed", async () => {
    await annas.getByRole("link", { name: `Play ${TITLE}` }).click();
    await plays(annas);
    await annas.getByRole("link", { name: "Back" }).click();
    await nav(annas, "Feed");
    await plays(annas);
    assert.equal(await shown(annas).locator(".caption-title").textContent(), TITLE);
  });

  test("another visitor sees it at once, and the page is small", async (t) => {
    bens = await people.somebody();
    await plays(bens);
    await assertLight(t, bens);
    assert.deepEqual(await seriousFaults(bens), [], "axe finds nothing in the feed");
    assert.equal(await bens.getByRole("dialog").count(), 0);
  });

  test("a visitor is not asked for an account before they like a clip", async () => {
    await liked(bens).click();
    await bens.getByText("Log in to like this clip.").waitFor();
    await signUp(bens, ben);
    await shown(bens).getByRole("button", { name: "Like, 1 like", pressed: true }).waitFor();
    /* The button shows it before the service has counted it. */
    await until("the like to be counted", async () => (await api.feed()).video_list[0].favorite_count === 1);
    await liked(bens).click();
    await shown(bens).getByRole("button", { name: "Like, 0 likes", pressed: false }).waitFor();
  });

  test("a double tap likes the clip, too, and shows a heart", async () => {
    await shown(bens).locator(".clip-taps").dblclick();
    await bens.locator(".tap-heart").waitFor();
    await shown(bens).getByRole("button", { name: "Like, 1 like", pressed: true }).waitFor();
    assert.equal(
      await shown(bens)
        .locator("video")
        .evaluate((video) => video.paused),
      false,
    );
  });

  test("Back on a profile leads to the clip from which it was opened", async () => {
    const id = await shown(bens).getAttribute("data-id");
    await shown(bens).locator(".caption-name").click();
    await bens.getByRole("heading", { name: anna }).waitFor();
    assert.deepEqual(await lit(bens).allTextContents(), ["Feed"], "the entry stays marked");
    /* Another tab of the same profile is not a step in the history. */
    await bens.getByRole("link", { name: /^Liked/ }).click();
    await bens.getByText("No likes yet").waitFor();
    await bens.getByRole("link", { name: "Back" }).click();
    await plays(bens);
    assert.equal(await shown(bens).getAttribute("data-id"), id);
  });

  test("a comment is shown as text, is counted, and is gone once its author deletes it", async () => {
    const box = await openComments(bens, layout);
    await box.getByText("No comments yet").waitFor();
    for (const text of [COMMENT, "Again"]) {
      await box.getByLabel("Write a comment").fill(text);
      await box.getByRole("button", { name: "Send" }).click();
      await box.getByText(text, { exact: true }).waitFor();
    }
    await box
      .getByRole("button", { name: `Delete the comment of ${ben}` })
      .first()
      .click();
    await box.getByText("Again", { exact: true }).waitFor({ state: "detached" });
    assert.equal(await box.getByText(COMMENT, { exact: true }).count(), 1);
    if (layout === "phone") await bens.keyboard.press("Escape");
    await shown(bens).getByRole("button", { name: "1 comment" }).waitFor();
    const [{ id }] = (await api.feed()).video_list;
    const list = await api.comments({ video_id: id });
    assert.deepEqual(
      list.comment_list.map(({ content }) => content),
      [COMMENT],
    );
  });

  test("they follow each other and are friends", async () => {
    await shown(bens)
      .getByRole("button", { name: `Follow ${anna}` })
      .click();
    await shown(bens)
      .getByRole("button", { name: `Unfollow ${anna}` })
      .waitFor();
    await nav(annas, "Me");
    await annas.getByRole("link", { name: /Followers/ }).click();
    await annas.getByRole("button", { name: `Follow ${ben}` }).click();
    await annas.getByRole("button", { name: `Unfollow ${ben}` }).waitFor();
    await annas.locator(".person", { hasText: ben }).getByText("Friend", { exact: true }).waitFor();
    assert.deepEqual(await lit(annas).allTextContents(), ["Me"]);
    await annas.getByRole("link", { name: ben }).click();
    await annas.getByRole("heading", { name: ben }).waitFor();
    assert.deepEqual(await lit(annas).allTextContents(), [], "the profile of another user is not Me");
    await nav(annas, "Friends");
    await friend(annas, ben).waitFor();
    await annas.getByText("People who follow each other can chat here.").waitFor();
  });

  test("they chat, and messages arrive by themselves", async () => {
    await nav(bens, "Friends");
    await friend(bens, anna).click();
    await bens.getByLabel("Write a message").fill("Hello <i>Anna</i>");
    await bens.keyboard.press("Enter");
    await friend(annas, ben).click();
    await annas.getByText("Hello <i>Anna</i>", { exact: true }).first().waitFor();
    await annas.getByLabel("Write a message").fill("你好，Ben");
    await annas.keyboard.press("Enter");
    /* While the message is on its way: clips for the tests below. */
    await Promise.all([1, 2, 3, 4].map((n) => publish(`Clip ${n}`)));
    const all = bens.getByRole("log").locator(".bubble p");
    for (const arrive of [() => {}, () => bens.reload()]) {
      await arrive();
      await all.filter({ hasText: "你好，Ben" }).waitFor();
      assert.deepEqual(await all.allTextContents(), ["Hello <i>Anna</i>", "你好，Ben"]);
    }
    assert.deepEqual(await seriousFaults(bens), [], "axe finds nothing in the chat");
    await leaveChat(annas, layout);
    await leaveChat(bens, layout);
  });

  test("a profile shows works and likes, and can be changed", async () => {
    await nav(bens, "Me");
    await bens.getByRole("link", { name: /^Liked/ }).click();
    await bens.getByRole("link", { name: `Play ${TITLE}` }).waitFor();
    await bens.getByRole("button", { name: "Edit profile" }).click();
    await bens.getByLabel("Bio").fill("I watch bears.");
    await bens.getByLabel("Profile photo").setInputFiles({ name: "me.jpg", mimeType: "image/jpeg", buffer: jpeg() });
    /* The photo is shown before it is sent. */
    await bens.waitForFunction(() => document.querySelector("dialog canvas")?.width > 1);
    await bens.getByRole("button", { name: "Save" }).click();
    await bens.getByText("I watch bears.").waitFor();
    await bens.locator(".profile-head img.avatar").waitFor();
  });

  test("Feed, pressed in the feed, shows the newest clips", async () => {
    visitor = await people.somebody();
    await plays(visitor);
    await nextClip(visitor);
    await publish("News");
    await nav(visitor, "Feed");
    await shown(visitor).getByText("News").waitFor();
    await plays(visitor);
  });

  test("at most five slides are mounted, the visible one plays, and the end leads back to the start", async () => {
    await visitor.emulateMedia({ reducedMotion: "reduce" }); /* the scrolling was tested above */
    const titles = [];
    for (let n = 0; n < 6; n += 1) {
      await plays(visitor);
      titles.push(await shown(visitor).locator(".caption-title").textContent());
      const state = await visitor.evaluate(() =>
        [...document.querySelectorAll("article.slide")].map((slide) => {
          const { paused, preload } = slide.querySelector("video");
          return { paused, preload, inert: slide.inert };
        }),
      );
      assert.ok(state.length <= 5, `${state.length} slides`);
      const at = state.findIndex(({ inert }) => !inert);
      assert.ok(
        state.every(({ paused }, place) => paused === (place !== at)),
        "only the visible one plays",
      );
      if (state[at + 1]) assert.equal(state[at + 1].preload, "auto");
      if (n < 5) await nextClip(visitor);
      else await visitor.keyboard.press("ArrowDown");
    }
    assert.equal(new Set(titles).size, 6, "no clip is shown twice");
    await visitor.getByText("You have seen it all").waitFor();
    await visitor.getByRole("button", { name: "Watch again from the newest" }).click();
    await shown(visitor).getByText("News").waitFor();
    await visitor.close();
  });

  test("a clip can be deleted, and logging out removes the session", async () => {
    await nav(annas, "Me");
    const deletes = annas.getByRole("button", { name: /^Delete this clip/ });
    await annas.getByRole("link", { name: "Play News" }).waitFor();
    assert.equal(await deletes.count(), 0, "Delete is hidden until Delete clips… is pressed");
    await annas.getByRole("button", { name: "Delete clips…" }).click();
    await annas.getByRole("button", { name: "Delete this clip: News" }).click();
    await annas.getByRole("dialog").getByText('Delete "News" for good?').waitFor();
    await annas.getByRole("dialog").getByRole("button", { name: "Delete", exact: true }).click();
    await annas.getByRole("link", { name: "Play News" }).waitFor({ state: "detached" });
    assert.equal(
      (await api.feed()).video_list.some(({ title }) => title === "News"),
      false,
    );
    await openSettings(annas, layout);
    await annas.getByRole("dialog").getByRole("button", { name: "Log out" }).click();
    await annas.getByText("Join Doushard").waitFor();
    assert.equal(await annas.evaluate(() => localStorage.getItem("doushard.session")), null);
  });

  test("no page reported an error or sent a request to another host", async () => {
    people.assertQuiet();
    await people.goHome();
  });
}
