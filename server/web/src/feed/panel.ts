/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Whether comments are shown beside the video, where there is room for them. */
import { remembered } from "../remembered";

export const panelOpen = remembered("panel", true, (value) => typeof value === "boolean");
