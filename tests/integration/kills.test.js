/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Sessions that are killed in the middle of writes (test_kills.c): 1,000 of them, or TEST_KILLS,
 * which is 10,000 in make check-chaos. */

import { testProgram } from "../lib/program.js";

process.env.TEST_KILLS ??= "1000";
testProgram("test_kills", { shards: 1 });
