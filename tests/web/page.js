/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The page in Chromium in one layout, on a cluster of its own. */

import { after } from "node:test";
import { People } from "../lib/browser.js";
import { Cluster, UPLOADS } from "../lib/cluster.js";
import { access } from "./access.js";
import { again } from "./again.js";
import { story } from "./story.js";
import { trouble } from "./trouble.js";
import { speed } from "./weight.js";

/** All tests in LAYOUT; without WHOLE, those that fit into half a minute. */
export async function pageTests(layout, { whole }) {
  const [cluster, people] = await Promise.all([
    Cluster.up({ shards: 2, options: UPLOADS }),
    People.at(undefined, layout),
  ]);
  people.url = cluster.server.url;
  after(async () => {
    await people.close();
    await cluster.down();
  });
  const { api, server } = cluster;

  story(people, { api, layout });
  if (!whole) return;
  speed(people);
  access(people, { api, layout });
  again(people, { api, layout });
  trouble(people, { api, server, layout });
}
