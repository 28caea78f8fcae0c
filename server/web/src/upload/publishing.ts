/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* The page's only upload. It continues while the user looks at something else. */
import { signal } from "@preact/signals";
import { asUser } from "../asking";
import { draft } from "../drafts";
import { newest } from "../feed/newest";
import { words } from "../i18n";
import * as api from "../net/api";
import { Attempt } from "../net/attempt";
import { type ServiceError, asServiceError } from "../net/errors";
import { forgetWorks } from "../profile/shelves";
import { myId } from "../session";
import { tell } from "../ui/toast";

export type State =
  | { is: "idle" }
  | { is: "sending"; share: number; cancel: () => void }
  | { is: "failed"; error: ServiceError };

export const file = signal<File | undefined>(undefined);
export const state = signal<State>({ is: "idle" });

/* As long as the title, with which the same file may be chosen again. */
const attempt = new Attempt(draft("title.attempt"));

/* If it is sent again after a failure, the same file with the same title is published once. */
const nameOf = (clip: File, title: string) => [title, clip.name, clip.size, clip.lastModified].join("\n");

function transfer(clip: File, title: string): Promise<void> {
  const { done, cancel } = api.publish(clip, title, {
    key: attempt.keyFor(nameOf(clip, title)),
    progress: (share) => {
      state.value = { is: "sending", share, cancel };
    },
  });
  state.value = { is: "sending", share: 0, cancel };
  return done;
}

async function finish() {
  attempt.done();
  file.value = undefined;
  state.value = { is: "idle" };
  if (myId.value) forgetWorks(myId.value);
  tell(words.value.published);
  await newest.reload();
}

/** Publishes the chosen file; resolves to whether it is published. */
export async function publish(title: string): Promise<boolean> {
  const clip = file.value;
  if (!clip || state.value.is === "sending") return false;
  try {
    const sent = await asUser("toUpload", () => transfer(clip, title).then(() => true));
    if (sent) await finish();
    else state.value = { is: "idle" };
    return sent ?? false;
  } catch (thrown) {
    const error = asServiceError(thrown);
    if (error.reason === "cancelled") {
      state.value = { is: "idle" };
      tell(words.value.uploadCancelled);
    } else {
      state.value = { is: "failed", error };
    }
    return false;
  }
}
