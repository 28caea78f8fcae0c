/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Log in or sign up, in a dialog over whatever was begun. */
import { useSignal } from "@preact/signals";
import { useRef } from "preact/hooks";
import { type Kind, asking } from "../asking";
import { refreshFlags } from "../feed/newest";
import { words } from "../i18n";
import * as api from "../net/api";
import { Attempt } from "../net/attempt";
import { type ServiceError, asServiceError } from "../net/errors";
import { begin } from "../session";
import { Dialog } from "../ui/dialog";
import { Mark } from "../ui/icons";
import { ErrorText } from "../ui/states";
import { PasswordField } from "./password-field";

/* One try: the session begins, and what is shown is asked for again as this user sees it, before what was
 * begun goes on: else an older answer would take back what it did. */
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
  const busy = useSignal(false);
  const error = useSignal<ServiceError | undefined>(undefined);
  const attempt = useRef(new Attempt()).current;

  const submit = async (form: HTMLFormElement) => {
    const fields = new FormData(form);
    busy.value = true;
    error.value = undefined;
    try {
      await enter(kind, String(fields.get("username")).trim(), String(fields.get("password")), attempt);
      done();
    } catch (thrown) {
      error.value = asServiceError(thrown);
      form.querySelector<HTMLInputElement>("[name=password]")?.focus();
    }
    busy.value = false;
  };

  return (
    <form
      class="form"
      onSubmit={(event) => {
        event.preventDefault();
        if (!busy.value) void submit(event.currentTarget);
      }}
    >
      <label class="field">
        <span>{w.userName}</span>
        <input name="username" autocomplete="username" autocapitalize="none" spellcheck={false} required autofocus />
      </label>
      <PasswordField name="password" label={w.password} isNew={kind === "register"} />
      {error.value && <ErrorText error={error.value} />}
      <button type="submit" class="button button-wide" aria-busy={busy.value}>
        {kind === "login" ? w.logIn : w.register}
      </button>
    </form>
  );
}

function LoginDialog({ answer }: { answer: (loggedIn: boolean) => void }) {
  const w = words.value;
  const kind = useSignal<Kind>(asking.peek()?.kind ?? "login");
  const isLogin = kind.value === "login";
  const reason = asking.value?.reason;
  return (
    <Dialog label={isLogin ? w.logIn : w.register} close={() => answer(false)}>
      <div class="login">
        <Mark size={44} />
        <p class="login-title">{isLogin ? w.welcomeBack : w.makeAccount}</p>
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
