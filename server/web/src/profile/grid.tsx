/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Covers of videos, side by side. */
import { useSignal } from "@preact/signals";
import { deleteVideo } from "../actions";
import { newest } from "../feed/newest";
import { short, words } from "../i18n";
import type { Id } from "../net/ids";
import { type Shelf, to } from "../router";
import { myId } from "../session";
import { users, videos } from "../store";
import { Dialog } from "../ui/dialog";
import { HeartIcon, PlusIcon, TrashIcon } from "../ui/icons";
import type { PagedList } from "../ui/list";
import { dropVideo } from "./shelves";

function Confirm({ id, close }: { id: Id; close: () => void }) {
  const w = words.value;
  const remove = async () => {
    close();
    if (!(await deleteVideo(id))) return;
    dropVideo(id);
    newest.items.value = newest.items.value.filter((other) => other !== id);
    if (myId.value) users.change(myId.value, ({ work_count }) => ({ work_count: Math.max(0, work_count - 1) }));
  };
  return (
    <Dialog label={w.deleteVideo} close={close}>
      <p class="dialog-text">{w.deleteVideoSure(videos.find(id)?.value.title ?? "")}</p>
      <div class="button-row">
        <button type="button" class="button button-quiet" onClick={close}>
          {w.cancel}
        </button>
        <button type="button" class="button button-danger" onClick={() => void remove()}>
          {w.delete}
        </button>
      </div>
    </Dialog>
  );
}

interface TileProps {
  id: Id;
  address: string;
  /** In a list with clips of many users. */
  withAuthor: boolean;
  remove: (() => void) | undefined;
}

function Tile({ id, address, withAuthor, remove }: TileProps) {
  const w = words.value;
  const video = videos.find(id)?.value;
  if (!video) return null;
  return (
    <li class="tile">
      <a href={address}>
        <span class="sr-only">{w.play}</span>
        <img src={video.cover_url} alt="" loading="lazy" />
        <span class="tile-words">
          <span class="tile-title">{video.title}</span>
          <span class="tile-foot">
            {withAuthor && <span class="tile-author">@{video.author.name}</span>}
            <span class="tile-count">
              <HeartIcon size={16} on={video.is_favorite} />
              <span aria-hidden="true">{short(video.favorite_count)}</span>
              <span class="sr-only">{w.likes(video.favorite_count, short(video.favorite_count))}</span>
            </span>
          </span>
        </span>
      </a>
      {remove && (
        <button type="button" class="tile-delete" aria-label={`${w.deleteVideo}: ${video.title}`} onClick={remove}>
          <TrashIcon size={18} />
        </button>
      )}
    </li>
  );
}

/* With this few clips there is room to offer the next one. */
const FEW = 6;

interface GridProps {
  list: PagedList<Id>;
  user: Id;
  shelf: Shelf;
  /** With buttons that delete. */
  isManaged: boolean;
}

export function Grid({ list, user, shelf, isManaged }: GridProps) {
  const w = words.value;
  const removing = useSignal<Id | undefined>(undefined);
  const isMine = shelf === "works" && user === myId.value;
  const count = list.items.value.length;
  return (
    <>
      <ul class="grid">
        {list.items.value.map((id) => (
          <Tile
            key={id}
            id={id}
            address={to.watch(user, shelf, id)}
            withAuthor={shelf === "likes"}
            remove={
              isMine && isManaged
                ? () => {
                    removing.value = id;
                  }
                : undefined
            }
          />
        ))}
        {isMine && list.ended.value && count > 0 && count < FEW && (
          <li class="tile tile-more">
            <a href={to.upload}>
              <PlusIcon size={28} />
              {w.uploadAnother}
            </a>
          </li>
        )}
      </ul>
      {removing.value && (
        <Confirm
          id={removing.value}
          close={() => {
            removing.value = undefined;
          }}
        />
      )}
    </>
  );
}
