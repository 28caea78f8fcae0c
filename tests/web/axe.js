/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* What axe, which knows the rules of accessibility, says about a page. */

import axe from "axe-core";

/** What axe finds on PAGE that would keep somebody from using it, as texts, but for rules that are KNOWN to be
 * broken there. */
export async function seriousFaults(page, isKnown = () => false) {
  /* While something moves, its colours are not yet those that users read. */
  await page.evaluate(() =>
    Promise.all(
      document
        .getAnimations()
        .map(({ finished, effect }) =>
          Number.isFinite(effect.getComputedTiming().endTime) ? finished.catch(() => {}) : undefined,
        ),
    ),
  );
  await page.evaluate(axe.source);
  const { violations } = await page.evaluate(() => globalThis.axe.run());
  return violations
    .filter(({ id, impact }) => (impact === "serious" || impact === "critical") && !isKnown(id))
    .map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html.slice(0, 160)).join(" | ")}`);
}
