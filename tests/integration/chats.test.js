/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Chats on two real shards (test_chats.c). */

import { testProgram } from "../lib/program.js";

testProgram("test_chats", { shards: 2 });
