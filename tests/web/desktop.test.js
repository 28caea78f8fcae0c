/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The page as it is on a desktop. The check has half a minute for it; `make check-web` has all. */

import { pageTests } from "./page.js";

await pageTests("desktop", { whole: Boolean(process.env.WEB_ALL) });
