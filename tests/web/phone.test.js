/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The page as it is on a phone. */

import { pageTests } from "./page.js";

await pageTests("phone", { whole: true });
