/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Changes the password of the account. */
import { signal } from "@preact/signals";
import { asUser } from "../asking";
import { words } from "../i18n";
import * as api from "../net/api";
import type { Attempt } from "../net/attempt";
import { CODE } from "../net/errors";
import { begin, session } from "../session";
import { Dialog } from "../ui/dialog";
import { ErrorText } from "../ui/states";
import { useSubmit } from "../ui/submit";
import { tell } from "../ui/toast";
import { PasswordField } from "./password-field";

export const changePasswordOpen = signal(false);

const close = () => {
  changePasswordOpen.value = false;
};

/* The service ends every session and opens a new one, which this page uses from then on. */
async function change(before: string, after: string, attempt: Attempt) {
  const name = session.value?.name ?? "";
  const { user_id: userId, token } = await api.changePassword(before, after, attempt.keyFor(`${before}\n${after}`));
  attempt.done();
  begin({ userId, token, name });
  return true;
}

function Form() {
  const w = words.value;
  const { busy, error, onSubmit } = useSubmit(async (form, attempt) => {
    const fields = new FormData(form);
    const done = await asUser("sessionOver", () => change(String(fields.get("old")), String(fields.get("new")), attempt));
    if (!done) return;
    tell(words.value.passwordChanged);
    close();
  });
  const isWrong = error.value?.reason === CODE.wrongPassword;

  return (
    <form class="form" onSubmit={onSubmit}>
      {/* Password managers need to know the account. */}
      <input type="text" autocomplete="username" value={session.value?.name} readOnly hidden />
      <PasswordField name="old" label={w.oldPassword} isNew={false} isWrong={isWrong} isFirst />
      <PasswordField name="new" label={w.newPassword} isNew />
      {error.value && <ErrorText error={error.value} {...(isWrong ? { text: w.wrongOldPassword } : {})} />}
      <button type="submit" class="button button-wide" aria-busy={busy.value}>
        {w.save}
      </button>
    </form>
  );
}

export function ChangePassword() {
  if (!changePasswordOpen.value) return null;
  return (
    <Dialog label={words.value.changePassword} close={close}>
      <Form />
    </Dialog>
  );
}
