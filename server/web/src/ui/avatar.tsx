/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* A user's picture; without one, an initial on a colour from the name. */
import type { User } from "../net/types";
import { Tinted } from "./tinted";

const DEFAULT_AVATAR = /\/assets\/avatar\.png$/;
const DEFAULT_BACKGROUND = /\/assets\/background\.png$/;
const DEFAULT_SIGNATURE = "Nothing here yet.";

/** The same colour for the same name, in degrees; similar names get different colours. */
export function hueOf(name: string): number {
  let hash = 0;
  for (const char of name) hash = Math.imul(hash ^ (char.codePointAt(0) ?? 0), 0x9e3779b1);
  return ((hash >>> 8) * 360) / (1 << 24);
}

export const backgroundOf = ({ background_image }: User): string | undefined =>
  DEFAULT_BACKGROUND.test(background_image) ? undefined : background_image;

/** The user's bio; undefined: none, for which the service has a default text. */
export const signatureOf = ({ signature }: User): string | undefined =>
  signature === DEFAULT_SIGNATURE ? undefined : signature;

export function Avatar({ user, size = 40 }: { user: Pick<User, "name" | "avatar">; size?: number }) {
  /* The name is next to it wherever it is shown. */
  if (!DEFAULT_AVATAR.test(user.avatar))
    return <img class="avatar" src={user.avatar} alt="" width={size} height={size} loading="lazy" />;
  return (
    <Tinted hue={hueOf(user.name)} class="avatar avatar-initial" size={size}>
      {[...user.name][0]?.toUpperCase()}
    </Tinted>
  );
}
