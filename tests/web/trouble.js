/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* What the page says when something fails, and what is left of what the user had begun. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { uniqueName } from "../lib/api.js";
import { fillIn, leaveChat, logIn, logInAsMe, nav, openSettings, plays, shown, signUp } from "../lib/browser.js";
import { masked } from "../lib/media.js";

/* Larger than the integers of JavaScript's numbers: 2^53 + 1 would become 2^53. */
const EXACT = "9007199254740993";

export function trouble(people, { api, server, layout }) {
  test("a wrong password is reported in words, in the page's language, next to the form", async () => {
    const { name } = await api.register();
    for (const [locale, logIn, words] of [
      ["en-US", "Log in", "Wrong username or password."],
      ["zh-CN", "登录", "用户名或密码不正确。"],
    ]) {
      const page = await people.somebody({ locale, path: "/#/me" });
      await page.getByRole("main").getByRole("button", { name: logIn }).click();
      const dialog = page.getByRole("dialog");
      await dialog.locator("[name=username]").fill(name);
      await dialog.locator("[name=password]").fill("not-the-password");
      await dialog.locator("[name=password]").press("Enter");
      const alert = dialog.getByRole("alert");
      await alert.getByText(words).waitFor();
      assert.equal(await alert.textContent(), words, "no request id: nothing went wrong in the service");
      assert.deepEqual(
        await dialog.locator("[aria-invalid=true]").evaluateAll((fields) => fields.map(({ name: field }) => field)),
        ["username", "password"],
      );
    }
  });

  test("an error of the service shows the request's id, for finding it in the log", async () => {
    const page = await people.somebody({ path: "/#/me" });
    await page.route("**/douyin/user/login/", (route) =>
      route.fulfill({
        json: { status_code: 1009, status_msg: "internal error", user_id: 0, token: "" },
        headers: { "x-request-id": "72bb155f5f926849" },
      }),
    );
    await logIn(page, { name: "anybody", password: "a-password" });
    const alert = page.getByRole("alert");
    await alert.getByText("Something went wrong in the service.").waitFor();
    const number = alert.getByText("Request 72bb155f5f926849");
    assert.equal(await number.isVisible(), false);
    await alert.getByText("Details").click();
    await number.waitFor();
  });

  test("a new password must be long enough, and nothing is sent before", async () => {
    const page = await people.somebody({ path: "/#/me" });
    let sent = 0;
    page.on("request", (request) => {
      sent += request.url().includes("/register/") ? 1 : 0;
    });
    await page.getByRole("main").getByRole("button", { name: "Sign up" }).click();
    await fillIn(page, uniqueName("lou"), "熊熊熊熊熊熊熊");
    const field = page.getByRole("dialog").getByLabel("Password", { exact: true });
    assert.equal(await field.evaluate(({ validationMessage }) => validationMessage), "At least 8 characters");
    assert.equal(sent, 0);
    await field.fill("熊熊熊熊熊熊熊熊");
    await field.press("Enter");
    await page.getByText("No clips yet").waitFor();
    assert.equal(sent, 1);
  });

  test("when some shards do not answer, the feed says so", async () => {
    const page = await people.somebody();
    await plays(page);
    const note = page.getByText("Some clips cannot be reached right now.");
    assert.equal(await note.count(), 0);
    await page.route("**/douyin/feed/**", async (route) => {
      const json = await (await route.fetch()).json();
      await route.fulfill({ json: { ...json, partial: true } });
    });
    await page.reload();
    await note.waitFor();
    await plays(page);
  });

  test("what cannot be shown is retried automatically, and the way back stays", async () => {
    const { id, name } = await api.register();
    const page = await people.somebody({ quiet: true });
    await plays(page);
    await nav(page, "Me");
    const peer = await api.register();
    await logInAsMe(page, peer);
    await page.clock.install();
    await page.route("**/douyin/user/**", (route) => route.abort());
    await page.evaluate((user) => {
      location.hash = `#/user/${user}`;
    }, String(id));
    await page.getByText("Can't reach Doushard").waitFor();
    await page.getByText("Trying again every few seconds.", { exact: true }).waitFor();
    await page.getByRole("link", { name: "Back" }).waitFor();
    await page.unroute("**/douyin/user/**");
    await page.clock.runFor(10000);
    await page.getByRole("heading", { name }).waitFor();
  });

  test("a missing title or a missing clip is reported where it is missing", async () => {
    const page = await people.somebody({ path: "/#/upload" });
    const post = page.getByRole("button", { name: "Post", exact: true });
    await post.click();
    await page.getByText("Choose a clip first.").waitFor();
    await page
      .locator("input[type=file]")
      .setInputFiles({ name: "a.mp4", mimeType: "video/mp4", buffer: masked(Buffer.alloc(900)) });
    await post.click();
    await page.getByText("It needs a title.").waitFor();
    await page.locator("input[name=title]:focus").waitFor();
    assert.equal(await page.getByRole("dialog").count(), 0, "nothing was sent yet");
  });

  test("a file that is not a clip is refused in words, and its title is kept", async () => {
    const page = await people.somebody({ path: "/#/upload" });
    const choose = (name, buffer) => page.locator("input[type=file]").setInputFiles({ name, mimeType: "", buffer });
    await choose("notes.txt", Buffer.from("no clip"));
    await page.getByText("This does not look like a video.").waitFor();
    await choose("clip.mp4", masked(Buffer.alloc(4000)));
    await page.getByLabel("Title").fill("A clip that is none");
    await page.getByRole("button", { name: "Post", exact: true }).click();
    await signUp(page, uniqueName("uma"));
    await page.getByRole("alert").getByText("The file was refused.").waitFor();
    assert.equal(await page.getByLabel("Title").inputValue(), "A clip that is none");
  });

  test("an upload can be cancelled", async () => {
    const { name, password } = await api.register();
    const page = await people.somebody({ path: "/#/upload" });
    /* It is cancelled before it reaches the service. */
    await page.route("**/douyin/publish/action/", () => {});
    await page
      .locator("input[type=file]")
      .setInputFiles({ name: "a.mp4", mimeType: "video/mp4", buffer: masked(Buffer.alloc(90000)) });
    await page.getByLabel("Title").fill("Cancelled");
    await page.getByRole("button", { name: "Post", exact: true }).click();
    await fillIn(page, name, password);
    await page.getByText("Checking the clip").or(page.getByText("Uploading")).first().waitFor();
    /* Another clip is not taken before this one is done. */
    assert.equal(await page.locator("input[type=file]").isDisabled(), true);
    await page.getByRole("button", { name: "Cancel" }).click();
    await page.getByText("Upload cancelled").waitFor();
    await page.getByRole("button", { name: "Post", exact: true }).waitFor();
    assert.equal(await page.locator("input[type=file]").isDisabled(), false);
  });

  test("a bio that was emptied is not saved, in words", async () => {
    const { name, password, token } = await api.register();
    await api.post("/douyin/user/profile/", { token, signature: "Likes bears." });
    const page = await people.somebody({ path: "/#/me" });
    await logIn(page, { name, password });
    await page.getByText("Likes bears.").waitFor();
    await page.getByRole("button", { name: "Edit profile" }).click();
    await page.getByLabel("Bio").fill(" ");
    await page.getByText("A bio can be changed, but not removed.").waitFor();
    assert.equal(await page.getByRole("button", { name: "Save" }).isDisabled(), true);
  });

  test("ids are passed on digit by digit, whatever titles look like", async () => {
    const page = await people.somebody();
    await plays(page);
    const title = 'he said "id": 12345678901234567890, "video_id":1';
    let asked;
    await page.route("**/douyin/feed/**", async (route) => {
      const answer = await (await route.fetch()).text();
      const json = JSON.parse(answer);
      if (json.video_list.length === 0) return route.fulfill({ json }); /* the page after it */
      const one = { ...json.video_list[0], title };
      const text = JSON.stringify({ ...json, video_list: [one] }).replace(`"id":${one.id}`, `"id":${EXACT}`);
      return route.fulfill({ body: text, contentType: "application/json" });
    });
    await page.route("**/douyin/comment/list/**", async (route) => {
      asked = new URL(route.request().url()).searchParams.get("video_id");
      await route.fulfill({
        json: { status_code: 0, status_msg: "success", comment_list: [], next_cursor: 0, partial: false },
      });
    });
    await page.reload();
    await shown(page).getByText(title).waitFor();
    if (layout === "phone")
      await shown(page)
        .getByRole("button", { name: /comment/ })
        .click();
    await page.getByText("No comments yet").waitFor();
    assert.equal(asked, EXACT);
  });

  test("a page of the feed with nothing new is the end", async () => {
    const page = await people.somebody();
    await page.unrouteAll();
    let pages = 0;
    let first;
    await page.route("**/douyin/feed/**", async (route) => {
      first ??= await (await route.fetch()).json();
      const one = first.video_list[0];
      pages += 1;
      await route.fulfill({ json: { ...first, video_list: [one], next_time: 1767225600000 + pages } });
    });
    await page.reload();
    await plays(page);
    await page.keyboard.press("ArrowDown");
    await page.getByText("You have seen it all").waitFor();
    assert.equal(pages, 2);
    assert.equal(await page.locator("article.slide").count(), 1);
  });

  test("a new password replaces the old one, and the page stays logged in", async () => {
    const { name, password } = await api.register();
    const page = await people.somebody({ path: "/#/me" });
    await logInAsMe(page, { name, password });
    await openSettings(page, layout);
    await page.getByRole("button", { name: "Change password" }).click();
    const dialog = page.getByRole("dialog", { name: "Change password" });
    await dialog.locator("input[name=old]:focus").waitFor();
    const change = async (before) => {
      await dialog.getByLabel("Current password").fill(before);
      await dialog.getByLabel("New password").fill("another-one");
      await dialog.getByRole("button", { name: "Save" }).click();
    };
    await change("not-the-password");
    await dialog.getByText("The current password is wrong.").waitFor();
    await change(password);
    await page.getByText("Password changed.").waitFor();
    assert.equal(
      (await api.send("POST", "/douyin/user/login/", { form: { username: name, password } })).json.status_code,
      1005,
    );
    const { token } = await api.login(name, "another-one");
    assert.ok(token);
    /* The page has the session that the change opened. */
    await page.reload();
    await page.getByRole("heading", { name }).waitFor();
    assert.equal(await page.getByRole("dialog").count(), 0);
  });

  test("a dialog that the browser closes without asking can be opened again", async () => {
    const page = await people.somebody();
    await plays(page);
    const comments = page.getByRole("dialog", { name: "Comments" });
    await page.setViewportSize({ width: 600, height: 800 });
    for (let n = 0; n < 2; n += 1) {
      await shown(page)
        .getByRole("button", { name: /comment/ })
        .click();
      await comments.waitFor();
      await comments.evaluate((dialog) => dialog.close());
      await comments.waitFor({ state: "detached" });
    }
  });

  test("an unreachable service is reported, a message and a comment stay, and are sent once when it is back", async () => {
    const user = await api.register();
    const peer = await api.register();
    const page = await people.somebody({ quiet: true });
    await plays(page);
    await nav(page, "Me");
    await logInAsMe(page, user);
    const openChat = () =>
      page.evaluate((id) => {
        location.hash = `#/chat/${id}`;
      }, String(peer.id));
    await openChat();
    await page.getByText("No messages yet").waitFor();
    await server.stop();
    await page.getByLabel("Write a message").fill("Is anybody there?");
    await page.keyboard.press("Enter");
    await page.getByText("Not sent. The service cannot be reached.").waitFor();

    await leaveChat(page, layout);
    await nav(page, "Feed");
    const id = await shown(page).getAttribute("data-id");
    const box = page.getByLabel("Write a comment");
    if (layout === "phone")
      await shown(page)
        .getByRole("button", { name: /comment/ })
        .click();
    await box.fill("Unsent");
    await page.keyboard.press("Enter");
    await page.getByText("The service cannot be reached.").first().waitFor();
    assert.equal(await box.inputValue(), "Unsent");

    await server.start();
    await page.getByRole("button", { name: "Send", exact: true }).click();
    await page.locator(".comment-text", { hasText: "Unsent" }).waitFor();
    assert.equal(await box.inputValue(), "");
    const { comment_list } = await api.comments({ video_id: id });
    assert.equal(comment_list.filter(({ content }) => content === "Unsent").length, 1);

    if (layout === "phone") await page.keyboard.press("Escape");
    await openChat();
    await page.getByText("Not sent. The service cannot be reached.").waitFor();
    await page.getByRole("button", { name: "Try again" }).click();
    await page.locator(".bubble[data-id]", { hasText: "Is anybody there?" }).waitFor();
    const { message_list } = await api.chat({ token: user.token, to_user_id: peer.id });
    assert.deepEqual(
      message_list.map(({ content }) => content),
      ["Is anybody there?"],
    );
  });

  test("no page reported an unexpected error", async () => {
    people.assertQuiet();
    await people.goHome();
  });
}
