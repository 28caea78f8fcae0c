/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The page in Chromium, as it is on a desktop. */

import { after } from "node:test";
import { People } from "../lib/browser.js";
import { Cluster, UPLOADS } from "../lib/cluster.js";
import { access } from "./access.js";
import { story } from "./story.js";
import { trouble } from "./trouble.js";
import { weight } from "./weight.js";

const layout = "desktop";
const cluster = await Cluster.up({ shards: 2, options: UPLOADS });
const people = await People.at(cluster.server.url, layout);
after(async () => {
  await people.close();
  await cluster.down();
});
const { api, server } = cluster;

story(people, { api, layout });
weight(people);
/* The check has half a minute for it; `make check-web` has all. */
if (process.env.WEB_ALL) {
  access(people, { layout });
  trouble(people, { api, server, layout });
}
