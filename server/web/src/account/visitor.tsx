/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* What a visitor sees in place of something that only users have. */
import { type Reason, askForAccount } from "../asking";
import { words } from "../i18n";
import { Mark } from "../ui/icons";
import { Empty } from "../ui/states";

export function Visitor({ reason }: { reason: Reason }) {
  const w = words.value;
  return (
    <Empty icon={<Mark size={56} />} title={w.visitorTitle} text={w[reason]}>
      <div class="button-row">
        <button type="button" class="button" onClick={() => void askForAccount(reason, "register")}>
          {w.register}
        </button>
        <button type="button" class="button button-quiet" onClick={() => void askForAccount(reason)}>
          {w.logIn}
        </button>
      </div>
    </Empty>
  );
}
