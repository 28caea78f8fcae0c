/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Every view of the page, in both languages and layouts, into var/screenshots: English in dark
 * colours, Chinese in light ones. With SCREENSHOTS_README those that README shows are also written
 * to tests/web/screenshots. */

import { spawnSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { LAYOUTS, People, nextClip, plays, shown } from "../lib/browser.js";
import { Cluster, ROOT, UPLOADS } from "../lib/cluster.js";

const OUT = join(ROOT, "var", "screenshots");
const IN_REPOSITORY = join(ROOT, "tests", "web", "screenshots");
const LOOKS = { en: { locale: "en-US", colorScheme: "dark" }, zh: { locale: "zh-CN", colorScheme: "light" } };
/* The names used below, and the file names in the repository. */
const SHOWN_IN_README = new Map([
  ["desktop-en-feed", "desktop"],
  ["phone-en-feed", "phone"],
  ["desktop-zh-chat", "chat"],
  ["desktop-en-profile", "profile"],
]);

/* The people who are shown, and a clip; scripts/seed has done what they did. */
async function seeded(api) {
  const names = ["demo1", "harbour walks", "六点厨房"];
  const users = await Promise.all(
    names.map(async (name, n) => ({ id: (await api.login(name, `demo-${n + 1}`)).user_id })),
  );
  const [{ play_url }] = (await api.feed()).video_list;
  return { users, clip: (await api.fetch(play_url)).body };
}

const goTo = (page, place) =>
  page.evaluate((hash) => {
    location.hash = hash;
  }, place);

/* Waits until all visible pictures are loaded; others may load later. */
const pictures = (page) =>
  page.waitForFunction(() =>
    [...document.images].every((image) => {
      const { top, bottom, left, right } = image.getBoundingClientRect();
      const isSeen = bottom > 0 && right > 0 && top < innerHeight && left < innerWidth;
      return image.complete || !isSeen;
    }),
  );

/* Like users do there: a finger leaves no hover and no focus. */
const press = (target, { layout }) => (layout === "phone" ? target.tap() : target.click());
const leave = (page, scene) => press(page.getByRole("dialog").locator(".dialog-head button"), scene);

/* What a visitor sees, in order; each step starts where the one before ended. */
const OF_VISITORS = {
  feed: async (page, { layout }) => {
    await plays(page);
    if (layout === "desktop") await page.locator(".comment").first().waitFor();
  },
  settings: async (page, scene) => {
    await press(
      page.locator(scene.layout === "desktop" ? ".nav-foot .nav-link" : ".top-bar .icon-button").first(),
      scene,
    );
    await page.getByRole("dialog").waitFor();
  },
  visitor: async (page, scene) => {
    await leave(page, scene);
    await goTo(page, "#/me");
    await page.locator("main .button").first().waitFor();
  },
  "sign-up": async (page, scene) => {
    await press(page.locator("main .button").first(), scene);
    await page.locator("[name=username]").waitFor();
  },
  login: async (page, scene) => {
    await press(page.locator(".login-other button"), scene);
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
  edit: async (page, scene) => {
    await press(page.locator(".profile .button-quiet"), scene);
    await page.getByRole("dialog").waitFor();
  },
  "settings-of-user": async (page, scene) => {
    await leave(page, scene);
    await press(
      page.locator(scene.layout === "desktop" ? ".nav-foot .nav-link" : ".profile .icon-button-filled").first(),
      scene,
    );
    await page.getByRole("dialog").waitFor();
  },
  "change-password": async (page, scene) => {
    await press(page.getByRole("dialog").locator(".button-stack button").first(), scene);
    await page.locator("[name=old]").waitFor();
  },
  delete: async (page, scene) => {
    await leave(page, scene);
    await press(page.locator(".tab-row .link"), scene);
    await press(page.locator(".tile-delete").first(), scene);
    await page.getByRole("dialog").waitFor();
  },
  profile: async (page, scene) => {
    await leave(page, scene);
    await goTo(page, `#/user/${scene.users[2].id}`);
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
  "upload-chosen": async (page, { clip }) => {
    await page.locator("input[type=file]").setInputFiles({ name: "sunset.mp4", mimeType: "video/mp4", buffer: clip });
    await page.locator("[name=title]").fill("The sun goes down");
    await page.locator("[name=title]").blur();
    await page.locator(".chosen-clip video").evaluate(
      (player) =>
        new Promise((done) => {
          player.addEventListener("seeked", () => requestAnimationFrame(() => requestAnimationFrame(done)), {
            once: true,
          });
          player.currentTime = 1;
        }),
    );
  },
  friends: async (page) => {
    await goTo(page, "#/friends");
    await page.locator(".friend").first().waitFor();
  },
  chat: async (page, { users }) => {
    await goTo(page, `#/chat/${users[1].id}`);
    await page.locator(".bubble").nth(4).waitFor();
    await page.locator(".composer textarea").fill("See you there");
    await page.locator(".composer textarea").blur();
  },
  comments: async (page, scene) => {
    await goTo(page, "#/");
    await plays(page);
    if (scene.layout === "phone") await press(shown(page).locator(".rail-button").nth(1), scene);
    await page.locator(".comment").first().waitFor();
  },
  paused: async (page, scene) => {
    if (scene.layout === "phone") await leave(page, scene);
    await nextClip(page);
    await plays(page);
    await press(shown(page).locator(".clip-taps"), scene);
    await shown(page).locator(".clip-paused").waitFor();
  },
  keys: async (page, scene) => {
    await press(page.locator(".nav-foot .nav-link").nth(1), scene);
    await page.locator("kbd").first().waitFor();
  },
  end: async (page, scene) => {
    if (scene.layout === "desktop") await leave(page, scene);
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

/* What phones do not have. */
const ON_DESKTOP = new Set(["keys"]);

async function shoot(page, name) {
  await page.mouse.move(0, 0); /* an element under the pointer looks different */
  await pictures(page);
  await page.screenshot({ path: join(OUT, `${name}.png`), animations: "disabled" });
  const kept = process.env.SCREENSHOTS_README && SHOWN_IN_README.get(name);
  if (kept)
    await page.screenshot({
      path: join(IN_REPOSITORY, `${kept}.jpg`),
      type: "jpeg",
      quality: 82,
      animations: "disabled",
    });
  console.log(name);
}

async function lookAround(people, layout, language, content) {
  const page = await people.somebody({ ...LOOKS[language], reducedMotion: "reduce", quiet: true });
  for (const [view, arrive] of Object.entries({ ...OF_VISITORS, ...OF_USERS })) {
    if (layout === "phone" && ON_DESKTOP.has(view)) continue;
    await arrive(page, { layout, ...content });
    await shoot(page, `${layout}-${language}-${view}`);
  }
  await people.goHome();
}

const cluster = await Cluster.up({ shards: 2, options: UPLOADS });
try {
  const { status, stderr } = spawnSync(join(ROOT, "scripts", "seed"), [cluster.server.url], { encoding: "utf8" });
  if (status !== 0) throw new Error(`scripts/seed: ${stderr}`);
  const content = await seeded(cluster.api);
  mkdirSync(OUT, { recursive: true });
  mkdirSync(IN_REPOSITORY, { recursive: true });
  for (const layout of Object.keys(LAYOUTS)) {
    const people = await People.at(cluster.server.url, layout);
    for (const language of Object.keys(LOOKS)) await lookAround(people, layout, language, content);
    await people.close();
  }
} finally {
  await cluster.down();
}
