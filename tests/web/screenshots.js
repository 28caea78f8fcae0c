/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Every view of the page, in both languages and layouts, into var/screenshots: English in dark, Chinese in
 * light. With SCREENSHOTS_README those that README shows go to tests/web/screenshots, too. */

import { spawnSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { LAYOUTS, People, plays, shown } from "../lib/browser.js";
import { Cluster, ROOT, UPLOADS } from "../lib/cluster.js";

const OUT = join(ROOT, "var", "screenshots");
const IN_REPOSITORY = join(ROOT, "tests", "web", "screenshots");
const LOOKS = { en: { locale: "en-US", colorScheme: "dark" }, zh: { locale: "zh-CN", colorScheme: "light" } };
/* Names as below, and how each is called in the repository. */
const SHOWN_IN_README = new Map([
  ["desktop-en-feed", "desktop"], ["phone-en-feed", "phone"], ["phone-zh-comments", "comments"], ["desktop-zh-chat", "chat"],
  ["desktop-en-profile", "profile"],
]);

/* Who is shown; what they did, scripts/seed has done. */
const seeded = (api) => Promise.all([1, 2, 3].map(async (n) => ({ id: (await api.login(`demo${n}`, `demo-${n}`)).user_id })));

const goTo = (page, place) => page.evaluate((hash) => {
  location.hash = hash;
}, place);

/* All pictures in sight are there; the others may be left until somebody looks at them. */
const pictures = (page) => page.waitForFunction(() => [...document.images].every((image) => {
  const { top, bottom, left, right } = image.getBoundingClientRect();
  const isSeen = bottom > 0 && right > 0 && top < innerHeight && left < innerWidth;
  return image.complete || !isSeen;
}));

/* What a visitor sees, in order; each begins where the one before has ended. */
const OF_VISITORS = {
  feed: (page) => plays(page),
  settings: async (page, { layout }) => {
    await page.locator(layout === "desktop" ? ".nav-foot .nav-link" : ".top-bar button").first().click();
  },
  visitor: async (page) => {
    await page.keyboard.press("Escape");
    await goTo(page, "#/me");
    await page.locator("main .button").waitFor();
  },
  login: async (page) => {
    await page.locator("main .button").click();
    await page.locator("[name=username]").waitFor();
  },
  "wrong-password": async (page) => {
    await page.locator("[name=username]").fill("demo1");
    await page.locator("[name=password]").fill("none");
    await page.keyboard.press("Enter");
    await page.getByRole("alert").waitFor();
  },
};

const OF_USERS = {
  me: async (page) => {
    await page.locator("[name=password]").fill("demo-1");
    await page.keyboard.press("Enter");
    await page.locator(".tile").first().waitFor();
  },
  edit: async (page) => {
    await page.locator(".profile .button-quiet").click();
  },
  profile: async (page, { users }) => {
    await page.keyboard.press("Escape");
    await goTo(page, `#/user/${users[2].id}`);
    await page.locator(".tile").first().waitFor();
  },
  likes: async (page, { users }) => {
    await goTo(page, `#/user/${users[0].id}/likes`);
    await page.locator(".tile").first().waitFor();
  },
  followers: async (page, { users }) => {
    await goTo(page, `#/user/${users[0].id}/followers`);
    await page.locator(".person").first().waitFor();
  },
  upload: async (page) => {
    await goTo(page, "#/upload");
    await page.locator("[name=title]").waitFor();
  },
  friends: async (page) => {
    await goTo(page, "#/friends");
    await page.locator(".friend").first().waitFor();
  },
  chat: async (page, { users }) => {
    await goTo(page, `#/chat/${users[1].id}`);
    await page.locator(".bubble").nth(4).waitFor();
  },
  comments: async (page, { layout }) => {
    await goTo(page, "#/");
    await plays(page);
    if (layout === "phone") await page.keyboard.press("c");
    await page.locator(".comment").first().waitFor();
  },
  paused: async (page, { layout }) => {
    if (layout === "phone") await page.keyboard.press("Escape");
    await page.keyboard.press("ArrowDown");
    await plays(page);
    await page.keyboard.press("Space");
    await shown(page).locator(".clip-paused").waitFor();
  },
  keys: async (page) => {
    await page.keyboard.press("?");
    await page.locator("kbd").first().waitFor();
  },
  end: async (page) => {
    await page.keyboard.press("Escape");
    await page.evaluate(() => {
      const feed = document.querySelector(".feed");
      feed.scrollTop = feed.scrollHeight;
    });
    await page.locator(".feed .empty .button").waitFor();
  },
  broken: async (page) => {
    await page.route("**/douyin/**", (route) => route.abort());
    await goTo(page, "#/user/123456789");
    await page.getByRole("alert").waitFor();
  },
};

async function shoot(page, name) {
  await pictures(page);
  await page.screenshot({ path: join(OUT, `${name}.png`), animations: "disabled" });
  const kept = process.env.SCREENSHOTS_README && SHOWN_IN_README.get(name);
  if (kept) await page.screenshot({ path: join(IN_REPOSITORY, `${kept}.jpg`), type: "jpeg", quality: 82, animations: "disabled" });
  console.log(name);
}

async function lookAround(people, layout, language, users) {
  const page = await people.somebody({ ...LOOKS[language], reducedMotion: "reduce", quiet: true });
  for (const [view, arrive] of Object.entries({ ...OF_VISITORS, ...OF_USERS })) {
    await arrive(page, { layout, users });
    await shoot(page, `${layout}-${language}-${view}`);
  }
  await people.goHome();
}

const cluster = await Cluster.up({ shards: 2, options: UPLOADS });
try {
  const { status, stderr } = spawnSync(join(ROOT, "scripts", "seed"), [cluster.server.url], { encoding: "utf8" });
  if (status !== 0) throw new Error(`scripts/seed: ${stderr}`);
  const users = await seeded(cluster.api);
  mkdirSync(OUT, { recursive: true });
  mkdirSync(IN_REPOSITORY, { recursive: true });
  for (const layout of Object.keys(LAYOUTS)) {
    const people = await People.at(cluster.server.url, layout);
    for (const language of Object.keys(LOOKS)) await lookAround(people, layout, language, users);
    await people.close();
  }
} finally {
  await cluster.down();
}
