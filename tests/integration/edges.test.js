/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The shard library on writes to two owners, between two shards (test_edges.c). */

import { testProgram } from "../lib/program.js";

testProgram("test_edges", { shards: 2 });
