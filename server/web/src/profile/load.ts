/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* A user's card, as far as the caller may see it. */
import * as api from "../net/api";
import { CODE, ServiceError } from "../net/errors";
import type { Id } from "../net/ids";
import { session } from "../session";
import { users } from "../store";

/**
 * Have the card of user ID in the store. The service shows cards to users only; a visitor is shown the
 * one that came with a video, and a ServiceError `notLoggedIn` when there was none.
 */
export async function loadUser(id: Id): Promise<void> {
  if (session.value) {
    users.put(await api.user(id));
    return;
  }
  if (users.find(id)) return;
  const { items } = await api.works(id);
  const author = items[0]?.author;
  if (!author) throw new ServiceError(CODE.notLoggedIn);
  users.put(author);
}
