/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Writes with two owners by the shard library, between two shards (test_edges.c). */

import { testProgram } from "../lib/program.js";

testProgram("test_edges", { shards: 2 });
