/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* How many CALLs a like, a comment and a list cost on four shards (test_edges.c). */

import { testProgram } from "../lib/program.js";

testProgram("test_edges", { shards: 4, filter: "*calls*" });
