/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Log in or sign up, in a dialog over whatever the user had begun. */
import { useSignal } from "@preact/signals";
import { useLayoutEffect, useRef } from "preact/hooks";
import { type Kind, asking } from "../asking";
import { refreshFlags } from "../feed/newest";
import { words } from "../i18n";
import * as api from "../net/api";
import type { Attempt } from "../net/attempt";
import { CODE } from "../net/errors";
import { begin } from "../session";
import { Dialog } from "../ui/dialog";
import { Mark } from "../ui/icons";
import { ErrorText } from "../ui/states";
import { useSubmit } from "../ui/submit";
import { PasswordField } from "./password-field";

/* One attempt: the session begins, and what is shown is fetched again as this user sees it before
 * the user's action goes on; otherwise an older answer would undo it on the screen. */
async function enter(kind: Kind, name: string, password: string, attempt: Attempt) {
  const { user_id: userId, token } =
    kind === "login"
      ? await api.login(name, password)
      : await api.register(name, password, attempt.keyFor(`${name}\n${password}`));
  begin({ userId, token, name });
  await refreshFlags();
}

interface FormProps {
  kind: Kind;
  done: () => void;
}

function LoginForm({ kind, done }: FormProps) {
  const w = words.value;
  const isNew = kind === "register";
  const name = useRef<HTMLInputElement>(null);
  const { busy, error, onSubmit } = useSubmit(async (form, attempt) => {
    const fields = new FormData(form);
    try {
      await enter(kind, String(fields.get("username")).trim(), String(fields.get("password")), attempt);
    } catch (thrown) {
      form.querySelector<HTMLInputElement>("[name=password]")?.focus();
      throw thrown;
    }
    done();
  });
  const reason = error.value?.reason;
  const isWrong = reason === CODE.wrongPassword;

  /* After switching between log in and sign up, the user starts again at the name. */
  useLayoutEffect(() => {
    error.value = undefined;
    name.current?.focus();
  }, [kind]);

  return (
    <form class="form" onSubmit={onSubmit}>
      <div class="field">
        <label for="username">{w.userName}</label>
        <input
          ref={name}
          id="username"
          name="username"
          autocomplete="username"
          autocapitalize="none"
          spellcheck={false}
          aria-describedby={isNew ? "username-hint" : undefined}
          aria-invalid={isWrong || reason === CODE.nameTaken}
          required
          autofocus
        />
        {isNew && <small id="username-hint">{w.userNameHint}</small>}
      </div>
      <PasswordField key={kind} name="password" label={w.password} isNew={isNew} isWrong={isWrong} />
      {error.value && <ErrorText error={error.value} />}
      <button type="submit" class="button button-wide" aria-busy={busy.value}>
        {isNew ? w.register : w.logIn}
      </button>
    </form>
  );
}

function LoginDialog({ answer }: { answer: (loggedIn: boolean) => void }) {
  const w = words.value;
  const kind = useSignal<Kind>(asking.peek()?.kind ?? "login");
  const isLogin = kind.value === "login";
  /* Users who have an account need no explanation of what it is for. */
  const reason = isLogin && asking.value?.reason === "visitorText" ? undefined : asking.value?.reason;
  return (
    <Dialog label={isLogin ? w.logIn : w.register} hasHead={false} close={() => answer(false)}>
      <div class="login">
        <Mark size={44} />
        <h2 class="login-title">{isLogin ? w.welcomeBack : w.makeAccount}</h2>
        {reason && <p class="login-reason">{w[reason]}</p>}
        <LoginForm kind={kind.value} done={() => answer(true)} />
        <p class="login-other">
          {isLogin ? w.noAccountYet : w.haveAccount}
          <button
            type="button"
            class="link"
            onClick={() => {
              kind.value = isLogin ? "register" : "login";
            }}
          >
            {isLogin ? w.register : w.logIn}
          </button>
        </p>
      </div>
    </Dialog>
  );
}

export function Login() {
  return asking.value ? <LoginDialog answer={asking.value.answer} /> : null;
}
