/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The page in Chromium in one layout, on a cluster of its own. */

import { after } from "node:test";
import { People } from "../lib/browser.js";
import { Cluster, UPLOADS } from "../lib/cluster.js";
import { access } from "./access.js";
import { story } from "./story.js";
import { trouble } from "./trouble.js";
import { weight } from "./weight.js";

/** All that is tested in LAYOUT, or without WHOLE what fits into half a minute. */
export async function pageTests(layout, { whole }) {
  const cluster = await Cluster.up({ shards: 2, options: UPLOADS });
  const people = await People.at(cluster.server.url, layout);
  after(async () => {
    await people.close();
    await cluster.down();
  });
  const { api, server } = cluster;

  story(people, { api, layout });
  weight(people);
  if (!whole) return;
  access(people, { layout });
  trouble(people, { api, server, layout });
}
