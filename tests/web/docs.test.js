/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The page about the API in Chromium: what it shows, and that calls can be tried. */

import assert from "node:assert/strict";
import { after, test } from "node:test";
import { uniqueName } from "../lib/api.js";
import { People } from "../lib/browser.js";
import { Cluster, UPLOADS } from "../lib/cluster.js";
import { uniqueClip } from "../lib/media.js";
import { seriousFaults } from "./axe.js";

const cluster = await Cluster.up({ shards: 1, options: UPLOADS });
const people = await People.at(cluster.server.url, "desktop");
after(async () => {
  await people.close();
  await cluster.down();
});
const { api } = cluster;
const page = await people.somebody({ path: "/docs/" });
const name = uniqueName("docs");

const show = async (id) => {
  const box = page.locator(`#operations-${id}`);
  await box.locator(".opblock-summary-control").click();
  await box.getByRole("button", { name: "Execute" }).waitFor();
  return box;
};
const field = (box, parameter) =>
  box
    .locator("tr", { has: page.locator(".parameter__name", { hasText: new RegExp(`^${parameter}`) }) })
    .locator("input")
    .first();
/** Sends the filled-in form; resolves to the answer as the page shows it. */
async function execute(box) {
  await box.getByRole("button", { name: "Execute" }).click();
  const live = box.locator(".live-responses-table .response");
  await live.locator(".response-col_status", { hasText: "200" }).waitFor();
  return JSON.parse(await live.locator(".highlight-code code, .highlight-code pre").first().textContent());
}

let token;

test("it shows every operation of this listener", async () => {
  await page.locator("#operations-user-user_register").waitFor();
  const { json } = await api.send("GET", "/openapi.json");
  const expected = Object.values(json.paths)
    .filter(({ servers }) => !servers)
    .map(({ get, post }) => (get ?? post).operationId);
  const shown = await page
    .locator(".opblock")
    .evaluateAll((boxes) => boxes.map(({ id }) => id.replace(/^operations-[a-z]+-/, "")));
  assert.deepEqual(shown.sort(), expected.sort());
});

test("an account can be made", async () => {
  const box = await show("user-user_register");
  await field(box, "username").fill(name);
  await field(box, "password").fill("a-password");
  const answer = await execute(box);
  assert.equal(answer.status_code, 0);
  ({ token } = answer);
});

test("with its token entered under Authorize, the caller is known", async () => {
  await page.getByRole("button", { name: "Authorize" }).first().click();
  const dialog = page.locator(".auth-container");
  await dialog.locator("input").fill(token);
  await dialog.getByRole("button", { name: "Apply credentials" }).click();
  await page.getByRole("button", { name: "Close" }).click();
  const { user } = await execute(await show("user-user_get"));
  assert.equal(user.name, name);
});

test("a clip can be published", async () => {
  const box = await show("video-publish_action");
  await box.locator("input[type=file]").setInputFiles({ name: "a.mp4", mimeType: "video/mp4", buffer: uniqueClip() });
  await field(box, "title").fill("From the page");
  assert.equal((await execute(box)).status_code, 0);
  assert.equal((await api.feed()).video_list[0].title, "From the page");
});

test("the feed can be read", async () => {
  const { video_list } = await execute(await show("video-feed_list"));
  assert.equal(video_list[0].author.name, name);
});

/* Swagger UI, which makes the forms, breaks these itself. */
const OF_SWAGGER_UI = new Set([
  "color-contrast",
  "label",
  "nested-interactive",
  "scrollable-region-focusable",
  "select-name",
]);

test("axe finds nothing serious but what Swagger UI does by itself", async () => {
  assert.deepEqual(await seriousFaults(page, (rule) => OF_SWAGGER_UI.has(rule)), []);
});

test("nothing was requested from another host, and the page's policy blocked nothing", () => people.assertQuiet());
