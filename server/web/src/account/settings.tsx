/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Language, appearance, keys, and logging out. */
import { signal } from "@preact/signals";
import { forgetUnsent } from "../chat/unsent";
import { LANGUAGES, type Language, language, words } from "../i18n";
import type { Words } from "../i18n/en";
import * as api from "../net/api";
import { end, session } from "../session";
import { THEMES, type Theme, theme } from "../theme";
import { Dialog } from "../ui/dialog";
import { KeyIcon, LogOutIcon } from "../ui/icons";
import { changePasswordOpen } from "./change-password";

export const settingsOpen = signal(false);
export const helpOpen = signal(false);

/** The session ends here whatever the service answers, since the user wants to be logged out. */
export async function logOut() {
  const call = api.logout();
  end();
  forgetUnsent();
  await call.catch(() => {});
}

interface ChoiceProps<T extends string> {
  name: string;
  label: string;
  value: T;
  options: { value: T; text: string }[];
  choose: (value: T) => void;
}

function Choice<T extends string>({ name, label, value, options, choose }: ChoiceProps<T>) {
  return (
    <fieldset class="choice">
      <legend>{label}</legend>
      <div class="choice-row">
        {options.map((option) => (
          <label key={option.value} class="choice-option">
            <input
              type="radio"
              name={name}
              class="sr-only"
              checked={option.value === value}
              onChange={() => choose(option.value)}
            />
            <span>{option.text}</span>
          </label>
        ))}
      </div>
    </fieldset>
  );
}

const themeWord = (w: Words): Record<Theme, string> => ({ system: w.themeSystem, light: w.themeLight, dark: w.themeDark });

export function LanguageChoice() {
  return (
    <Choice<Language>
      name="language"
      label={words.value.language}
      value={language.value}
      options={Object.entries(LANGUAGES).map(([key, { languageName }]) => ({ value: key as Language, text: languageName }))}
      choose={(value) => {
        language.value = value;
      }}
    />
  );
}

export function ThemeChoice() {
  const texts = themeWord(words.value);
  return (
    <Choice<Theme>
      name="theme"
      label={words.value.theme}
      value={theme.value}
      options={THEMES.map((value) => ({ value, text: texts[value] }))}
      choose={(value) => {
        theme.value = value;
      }}
    />
  );
}

const keysOf = (w: Words): [string[], string][] => [
  [["↑", "K"], w.keyUp],
  [["↓", "J"], w.keyDown],
  [[w.spaceKey], w.keySpace],
  [["L"], w.keyLike],
  [["M"], w.keySound],
  [["C"], w.keyComments],
  [["Esc"], w.keyEscape],
  [["?"], w.keyHelp],
];

function Keys() {
  return (
    <dl class="keys">
      {keysOf(words.value).map(([keys, text]) => (
        <div key={text}>
          <dt>
            {keys.map((key, n) => (
              <span key={key}>
                {n > 0 && "/ "}
                <kbd>{key}</kbd>
              </span>
            ))}
          </dt>
          <dd>{text}</dd>
        </div>
      ))}
    </dl>
  );
}

const closing = (open: typeof settingsOpen) => () => {
  open.value = false;
};

function Account() {
  const w = words.value;
  const leaving = (work: () => void) => () => {
    settingsOpen.value = false;
    work();
  };
  return (
    <div class="button-stack">
      <button
        type="button"
        class="button button-quiet button-wide"
        onClick={leaving(() => {
          changePasswordOpen.value = true;
        })}
      >
        <KeyIcon size={20} />
        {w.changePassword}
      </button>
      <button type="button" class="button button-plain button-wide" onClick={leaving(() => void logOut())}>
        <LogOutIcon size={20} />
        {w.logOut}
      </button>
    </div>
  );
}

export function Settings() {
  const w = words.value;
  if (helpOpen.value)
    return (
      <Dialog label={w.keys} close={closing(helpOpen)}>
        <Keys />
      </Dialog>
    );
  if (!settingsOpen.value) return null;
  return (
    <Dialog label={w.settings} close={closing(settingsOpen)}>
      <div class="form">
        <LanguageChoice />
        <ThemeChoice />
        {session.value && <Account />}
      </div>
    </Dialog>
  );
}
