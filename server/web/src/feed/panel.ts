/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Are the comments beside the video shown, where there is room for them? */
import { remembered } from "../remembered";

export const panelOpen = remembered("panel", true, (value) => typeof value === "boolean");
