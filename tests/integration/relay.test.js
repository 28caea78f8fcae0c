/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The relay between two shards (test_relay.c). */

import { testProgram } from "../lib/program.js";

testProgram("test_relay", { shards: 2 });
