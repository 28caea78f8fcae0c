/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Changes the user's own pictures and bio. */
import { useSignal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useId } from "preact/hooks";
import { asUser } from "../asking";
import { lengthOf } from "../drafts";
import { words } from "../i18n";
import * as api from "../net/api";
import type { User } from "../net/types";
import { myId } from "../session";
import { users } from "../store";
import { Avatar, signatureOf } from "../ui/avatar";
import { ChosenPicture } from "../ui/chosen";
import { Dialog } from "../ui/dialog";
import { ErrorText } from "../ui/states";
import { useSubmit } from "../ui/submit";
import { tell } from "../ui/toast";
import { Cover } from "./cover";

const LONGEST = 128;
const PICTURES = "image/jpeg,image/png,image/webp";

interface PictureProps {
  name: string;
  label: string;
  change: string;
  /** What is shown now. */
  children: ComponentChildren;
}

function Picture({ name, label, change, children }: PictureProps) {
  const chosen = useSignal<File | undefined>(undefined);
  const id = useId();
  return (
    <div class="field">
      <span id={`${id}-label`}>{label}</span>
      <label class={`picture-field picture-${name}`}>
        {chosen.value ? <ChosenPicture file={chosen.value} class="picture-now" /> : children}
        <input
          type="file"
          name={name}
          accept={PICTURES}
          class="sr-only"
          aria-labelledby={`${id}-label`}
          onChange={(event) => {
            chosen.value = event.currentTarget.files?.[0];
          }}
        />
        <span class="button button-quiet">{change}</span>
      </label>
    </div>
  );
}

const picture = (fields: FormData, name: string): File | undefined => {
  const file = fields.get(name);
  return file instanceof File && file.size > 0 ? file : undefined;
};

/* After logging in again, the user may turn out to be somebody else. */
async function store(user: User, changes: Parameters<typeof api.profile>[0]) {
  if (user.id !== myId.value) return false;
  await api.profile(changes).done;
  users.put(await api.user(user.id));
  return true;
}

/* Only changes are sent: the service keeps the rest, and refuses a request that changes nothing. */
function changesOf(fields: FormData, user: User) {
  const text = String(fields.get("signature")).trim();
  const changes: Parameters<typeof api.profile>[0] = {};
  const avatar = picture(fields, "avatar");
  const background = picture(fields, "background_image");
  if (text && text !== signatureOf(user)) changes.signature = text;
  if (avatar) changes.avatar = avatar;
  if (background) changes.background_image = background;
  return changes;
}

export function EditProfile({ user, close }: { user: User; close: () => void }) {
  const w = words.value;
  const text = useSignal(signatureOf(user) ?? "");
  const left = LONGEST - lengthOf(text.value);
  /* The service has no way to remove a bio. */
  const isEmptied = signatureOf(user) !== undefined && text.value.trim() === "";
  const isWrong = left < 0 || isEmptied;
  const { busy, error, onSubmit } = useSubmit(async (form) => {
    if (isWrong) return;
    const changes = changesOf(new FormData(form), user);
    if (Object.keys(changes).length > 0) {
      if (!(await asUser("sessionOver", () => store(user, changes)))) return;
      tell(words.value.saved);
    }
    close();
  });

  return (
    <Dialog label={w.editProfile} close={close}>
      <form class="form" onSubmit={onSubmit}>
        <Picture name="avatar" label={w.avatar} change={w.changeAvatar}>
          <Avatar user={user} size={72} />
        </Picture>
        <Picture name="background_image" label={w.background} change={w.changeBackground}>
          <Cover user={user} class="picture-now" />
        </Picture>
        <div class="field">
          <label for="signature">{w.signature}</label>
          <textarea
            id="signature"
            name="signature"
            rows={3}
            aria-invalid={isWrong}
            aria-describedby="signature-note"
            value={text.value}
            onInput={(event) => {
              text.value = event.currentTarget.value;
            }}
          />
          <small id="signature-note" class={isWrong ? "count-over" : ""}>
            {isEmptied ? w.bioStays : w.characters(left)}
          </small>
        </div>
        {error.value && <ErrorText error={error.value} />}
        <button type="submit" class="button button-wide" aria-busy={busy.value} disabled={isWrong}>
          {w.save}
        </button>
      </form>
    </Dialog>
  );
}
