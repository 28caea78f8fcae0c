/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The picture above a profile; without one, colours from the user's name. */
import type { User } from "../net/types";
import { backgroundOf, hueOf } from "../ui/avatar";
import { Tinted } from "../ui/tinted";

export function Cover({ user, class: name }: { user: User; class: string }) {
  const picture = backgroundOf(user);
  return picture ? <img class={name} src={picture} alt="" /> : <Tinted hue={hueOf(user.name)} class={`${name} cover-plain`} />;
}
