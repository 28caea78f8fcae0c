/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* A user, with the clips that the user made and likes. */
import { type Signal, useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { Visitor } from "../account/visitor";
import { settingsOpen } from "../account/settings";
import { short, words } from "../i18n";
import { hasSideNav } from "../media";
import { CODE } from "../net/errors";
import type { Id } from "../net/ids";
import type { User } from "../net/types";
import { type Shelf, to, turn } from "../router";
import { myId } from "../session";
import { users } from "../store";
import { Avatar, signatureOf } from "../ui/avatar";
import { Back } from "../ui/back";
import { FilmIcon, GearIcon, HeartIcon } from "../ui/icons";
import { useLoading } from "../ui/loaded";
import { More } from "../ui/more";
import { Empty, Failed, Partial, Spinner } from "../ui/states";
import { Cover } from "./cover";
import { EditProfile } from "./edit";
import { Grid } from "./grid";
import { loadUser } from "./load";
import { FollowButton } from "./people";
import { shelfOf } from "./shelves";

function Figures({ user }: { user: User }) {
  const w = words.value;
  return (
    <ul class="figures">
      <li>
        <a href={to.people(user.id, "follows")}>
          <strong>{short(user.follow_count)}</strong> {w.followsCount}
        </a>
      </li>
      <li>
        <a href={to.people(user.id, "followers")}>
          <strong>{short(user.follower_count)}</strong> {w.followersCount}
        </a>
      </li>
      <li>
        <span>
          <strong>{short(user.total_favorited)}</strong> {w.likesCount(user.total_favorited)}
        </span>
      </li>
    </ul>
  );
}

function Actions({ user }: { user: User }) {
  const w = words.value;
  const editing = useSignal(false);
  if (user.id !== myId.value)
    return (
      <div class="button-row">
        <FollowButton id={user.id} />
        <a class="button button-quiet" href={to.chat(user.id)}>
          {w.message}
        </a>
      </div>
    );
  return (
    <div class="button-row">
      <button
        type="button"
        class="button button-quiet"
        onClick={() => {
          editing.value = true;
        }}
      >
        {w.editProfile}
      </button>
      {/* If there is a side bar, they are there. */}
      {!hasSideNav.value && (
        <button
          type="button"
          class="icon-button icon-button-filled"
          aria-label={w.settings}
          onClick={() => {
            settingsOpen.value = true;
          }}
        >
          <GearIcon size={22} />
        </button>
      )}
      {editing.value && (
        <EditProfile
          user={user}
          close={() => {
            editing.value = false;
          }}
        />
      )}
    </div>
  );
}

interface TabsProps {
  user: User;
  shelf: Shelf;
  managing: Signal<boolean>;
}

function Tabs({ user, shelf, managing }: TabsProps) {
  const w = words.value;
  const mayManage = user.id === myId.value && shelf === "works" && shelfOf(user.id, shelf).items.value.length > 0;
  const tab = (which: Shelf, text: string, count: number) => (
    <a class="tab" href={to.user(user.id, which)} onClick={turn} aria-current={which === shelf ? "page" : undefined}>
      {text} <span>{short(count)}</span>
    </a>
  );
  return (
    <div class="tab-row">
      <nav class="tabs" aria-label={user.name}>
        {tab("works", w.worksTab, user.work_count)}
        {tab("likes", w.likesTab, user.favorite_count)}
      </nav>
      {/* What cannot be undone is kept away from buttons for everyday use. */}
      {mayManage && (
        <button
          type="button"
          class="link"
          onClick={() => {
            managing.value = !managing.value;
          }}
        >
          {managing.value ? w.manageDone : w.manage}
        </button>
      )}
    </div>
  );
}

interface ShelfProps {
  user: Id;
  shelf: Shelf;
  isManaged: boolean;
}

function ShelfView({ user, shelf, isManaged }: ShelfProps) {
  const w = words.value;
  const list = shelfOf(user, shelf);
  /* What was fetched before is shown at once, and replaced when the new answer arrives. */
  useEffect(() => {
    if (list.ended.peek() || list.items.peek().length > 0) void list.reload();
  }, [list]);
  if (shelf === "likes" && !myId.value) return <Visitor reason="toSeeProfile" />;
  const isEmpty = list.ended.value && list.items.value.length === 0;
  const isMine = user === myId.value;
  return (
    <>
      <Partial partial={list.partial.value} />
      {isMine && shelf === "likes" && <p class="page-hint">{w.likesOpen}</p>}
      <Grid list={list} user={user} shelf={shelf} isManaged={isManaged} />
      {isEmpty && shelf === "likes" && <Empty icon={<HeartIcon size={36} />} title={w.noLikes} />}
      {isEmpty && shelf === "works" && (
        <Empty icon={<FilmIcon size={36} />} title={w.noWorks} {...(isMine ? { text: w.noMyWorksText } : {})}>
          {isMine && (
            <a class="button" href={to.upload}>
              {w.upload}
            </a>
          )}
        </Empty>
      )}
      <More list={list} />
    </>
  );
}

function ProfileView({ id, shelf }: { id: Id; shelf: Shelf }) {
  const { busy, error, again } = useLoading(() => loadUser(id), [id, myId.value]);
  const managing = useSignal(false);
  useEffect(() => {
    managing.value = false;
  }, [shelf]);
  const user = users.find(id)?.value;
  if (!user) {
    if (error.value?.reason === CODE.notLoggedIn) return <Visitor reason="toSeeProfile" />;
    if (error.value) return <Failed error={error.value} again={again} />;
    return busy.value ? <Spinner /> : null;
  }
  return (
    <>
      <Cover user={user} class="profile-cover" />
      <div class="profile-head">
        <Avatar user={user} size={104} />
        <div class="profile-words">
          <h1>{user.name}</h1>
          <Figures user={user} />
          <p class="profile-signature">{signatureOf(user) ?? words.value.noSignature}</p>
        </div>
        <Actions user={user} />
      </div>
      <Tabs user={user} shelf={shelf} managing={managing} />
      <ShelfView key={`${shelf} ${myId.value}`} user={id} shelf={shelf} isManaged={managing.value} />
    </>
  );
}

export function Profile({ id, shelf }: { id: Id; shelf: Shelf }) {
  const isOther = id !== myId.value;
  return (
    <section class="page profile">
      {isOther && <Back otherwise={to.feed} {...(hasSideNav.value ? { isNamed: true } : { class: "over-clip" })} />}
      <ProfileView id={id} shelf={shelf} />
    </section>
  );
}
