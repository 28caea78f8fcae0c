/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Choose a clip, name it, publish it. */
import { useSignal } from "@preact/signals";
import { draft, lengthOf } from "../drafts";
import { words } from "../i18n";
import { canHover } from "../media";
import { CODE, type ServiceError } from "../net/errors";
import { go, to } from "../router";
import { myId } from "../session";
import { ChosenClip } from "../ui/chosen";
import { FilmIcon } from "../ui/icons";
import { ErrorText } from "../ui/states";
import { file, publish, state } from "./publishing";

const LONGEST = 128;

const sizeOf = (bytes: number) =>
  bytes < 1e6 ? `${Math.ceil(bytes / 1e3)} kB` : `${(bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0)} MB`;

/* Anything that the browser considers a video, or does not know, is sent: the service checks the
 * bytes. */
const mayBeClip = ({ type, name }: File) => type === "" || /^video\//.test(type) || /\.(mp4|mov|m4v)$/i.test(name);

/* Whether the service refuses the file itself: about that there is more to say than about other
 * errors. */
const isRefused = (error: ServiceError) => error.reason === CODE.refusedFile;

function Chooser({ isMissing }: { isMissing: boolean }) {
  const w = words.value;
  const over = useSignal(false);
  const wrong = useSignal(false);
  const chosen = file.value;

  const isSending = state.value.is === "sending";

  const take = (taken: File | undefined) => {
    if (!taken || isSending) return;
    wrong.value = !mayBeClip(taken);
    file.value = wrong.value ? undefined : taken;
    state.value = { is: "idle" };
  };

  return (
    <div class={chosen ? "chooser has-file" : "chooser"}>
      {chosen && <ChosenClip file={chosen} label={w.previewOf(chosen.name)} />}
      <label
        class={`${chosen ? "chosen-file" : "drop"} ${over.value ? "is-over" : ""}`}
        onDragOver={(event) => {
          event.preventDefault();
          over.value = true;
        }}
        onDragLeave={() => {
          over.value = false;
        }}
        onDrop={(event) => {
          event.preventDefault();
          over.value = false;
          take(event.dataTransfer?.files[0]);
        }}
      >
        <input
          type="file"
          class="sr-only"
          disabled={isSending}
          aria-invalid={wrong.value || (isMissing && !chosen)}
          accept="video/mp4,video/quicktime,.mp4,.mov,.m4v"
          onChange={(event) => take(event.currentTarget.files?.[0])}
        />
        {chosen ? (
          <>
            <strong>{chosen.name}</strong>
            <span>{sizeOf(chosen.size)}</span>
            {!isSending && <span class="button button-quiet">{w.otherClip}</span>}
          </>
        ) : (
          <>
            <span class="drop-icon">
              <FilmIcon size={36} />
            </span>
            <strong>{w.chooseClip}</strong>
            {canHover.value && <span>{w.dropClip}</span>}
            <small>{w.clipKinds}</small>
          </>
        )}
      </label>
      {(wrong.value || (isMissing && !chosen)) && (
        <p class="field-fault" role="alert">
          {wrong.value ? w.notAClip : w.noClipChosen}
        </p>
      )}
    </div>
  );
}

function Progress({ share, cancel }: { share: number; cancel: () => void }) {
  const w = words.value;
  const percent = Math.floor(share * 100);
  const text = share < 1 ? w.publishing(percent) : w.checking;
  return (
    <div class="progress">
      <div class="progress-head">
        <span role="status">{text}</span>
        <button type="button" class="link" onClick={cancel}>
          {w.cancel}
        </button>
      </div>
      <progress max={100} value={percent} aria-label={text} />
    </div>
  );
}

function Trouble({ error }: { error: ServiceError }) {
  return (
    <>
      <ErrorText error={error} />
      {isRefused(error) && <p class="page-hint">{words.value.refusedClip}</p>}
    </>
  );
}

export function UploadView() {
  const w = words.value;
  const title = draft("title");
  const left = LONGEST - lengthOf(title.value);
  const now = state.value;
  const isTried = useSignal(false);
  const hasTitle = title.value.trim() !== "";
  const isReady = file.value !== undefined && hasTitle && left >= 0;
  const lacksTitle = isTried.value && !hasTitle;

  const submit = async (form: HTMLFormElement) => {
    isTried.value = true;
    if (!isReady) {
      form.querySelector<HTMLInputElement>(file.value ? "[name=title]" : "[type=file]")?.focus();
      return;
    }
    const sent = title.value;
    if (!(await publish(sent.trim()))) return;
    isTried.value = false;
    /* Meanwhile the user may have begun the title of the next one. */
    if (title.value === sent) title.value = "";
    if (myId.value && location.hash === to.upload) go(to.user(myId.value));
  };

  return (
    <section class="page page-narrow">
      <header class="page-head">
        <h1>{w.newClip}</h1>
      </header>
      <form
        class="form"
        onSubmit={(event) => {
          event.preventDefault();
          void submit(event.currentTarget);
        }}
      >
        <Chooser isMissing={isTried.value} />
        <div class="field">
          <label for="title">{w.title}</label>
          <input
            id="title"
            name="title"
            value={title.value}
            placeholder={w.titleHint}
            autocomplete="off"
            aria-invalid={lacksTitle || left < 0}
            aria-describedby="title-note"
            onInput={(event) => {
              title.value = event.currentTarget.value;
            }}
          />
          <small id="title-note" class={lacksTitle || left < 0 ? "count-over" : ""}>
            {lacksTitle ? w.noTitle : title.value === "" ? w.titleRule(LONGEST) : w.characters(left)}
          </small>
        </div>
        {now.is === "failed" && <Trouble error={now.error} />}
        {now.is === "sending" ? (
          <Progress share={now.share} cancel={now.cancel} />
        ) : (
          /* Dimmed, but not disabled: pressing it says what is missing. */
          <button type="submit" class={isReady ? "button button-wide" : "button button-wide button-unready"}>
            {now.is === "failed" ? w.tryAgain : w.publish}
          </button>
        )}
      </form>
    </section>
  );
}
