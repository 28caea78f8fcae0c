/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Icons of 24 by 24, drawn in the colour of the text. They have no label: whoever uses one adds the
 * words. */
import type { ComponentChildren } from "preact";

interface Look {
  size?: number;
  /** Filled: the state is on. */
  on?: boolean;
}

function Icon({ size = 24, on, children }: Look & { children: ComponentChildren }) {
  return (
    <svg
      class="icon"
      width={size}
      height={size}
      viewBox="0 0 24 24"
      fill={on ? "currentColor" : "none"}
      stroke="currentColor"
      stroke-width="1.9"
      stroke-linecap="round"
      stroke-linejoin="round"
      aria-hidden="true"
    >
      {children}
    </svg>
  );
}

const drawn = (...paths: string[]) =>
  function Drawn(look: Look) {
    return (
      <Icon {...look}>
        {paths.map((d) => (
          <path key={d} d={d} />
        ))}
      </Icon>
    );
  };

export const HeartIcon = drawn("M12 20.3s-7.8-4.6-7.8-10.5A4.5 4.5 0 0 1 12 6.9a4.5 4.5 0 0 1 7.8 2.9c0 5.9-7.8 10.5-7.8 10.5z");
export const CommentIcon = drawn("M12 4c-5 0-8.6 3.1-8.6 7.2 0 2.3 1.2 4.3 3 5.6L6 20.4l3.9-2.2c.7.1 1.4.2 2.1.2 5 0 8.6-3.1 8.6-7.2S17 4 12 4z");
export const FeedIcon = drawn("M5 4.5h14v15H5z", "m10.3 9 4.6 3-4.6 3z");
export const FriendsIcon = drawn(
  "M9 11.4a3.6 3.6 0 1 0 0-7.2 3.6 3.6 0 0 0 0 7.2z",
  "M2.6 19.8c.4-3.4 3-5.4 6.4-5.4s6 2 6.4 5.4",
  "M15.4 4.7a3.4 3.4 0 0 1 0 6.4M18 14.9c1.9.8 3.1 2.5 3.4 4.9",
);
export const PersonIcon = drawn("M12 11.6a4 4 0 1 0 0-8 4 4 0 0 0 0 8z", "M4.4 20.4c.5-3.8 3.5-6 7.6-6s7.1 2.2 7.6 6");
export const PlusIcon = drawn("M12 5v14M5 12h14");
export const CloseIcon = drawn("m6 6 12 12M18 6 6 18");
export const BackIcon = drawn("m14.5 5-7 7 7 7");
export const UpIcon = drawn("m5 14.5 7-7 7 7");
export const DownIcon = drawn("m5 9.5 7 7 7-7");
export const CheckIcon = drawn("m5 12.5 4.6 4.6L19 7.5");
export const SendIcon = drawn("M4 12 20 4.5 14.6 20l-3-6.4z", "M11.6 13.6 20 4.5");
export const TrashIcon = drawn("M4.5 7h15M9.5 7V4.5h5V7M6.5 7l.9 12.5h9.2L17.5 7M10.3 11v5M13.7 11v5");
export const GearIcon = drawn(
  "M10.7 5.3V2.7h2.6v2.6A6.8 6.8 0 0 1 15.8 6.4l1.9-1.9 1.8 1.8-1.9 1.9A6.8 6.8 0 0 1 18.7 10.7h2.6v2.6h-2.6A6.8 6.8 0 0 1 17.6 15.8l1.9 1.9-1.8 1.8-1.9-1.9A6.8 6.8 0 0 1 13.3 18.7v2.6h-2.6v-2.6A6.8 6.8 0 0 1 8.2 17.6l-1.9 1.9-1.8-1.8 1.9-1.9A6.8 6.8 0 0 1 5.3 13.3H2.7v-2.6h2.6A6.8 6.8 0 0 1 6.4 8.2L4.5 6.3l1.8-1.8 1.9 1.9A6.8 6.8 0 0 1 10.7 5.3z",
  "M12 15.1a3.1 3.1 0 1 0 0-6.2 3.1 3.1 0 0 0 0 6.2z",
);
export const KeyboardIcon = drawn("M3 6.5h18v11H3z", "M7 10h.01M12 10h.01M17 10h.01M7.5 14h9");
export const SoundIcon = drawn("M4 9.6v4.8h3.4L12 18.4V5.6L7.4 9.6z", "M15.6 9a4.2 4.2 0 0 1 0 6M18.2 6.4a8 8 0 0 1 0 11.2");
export const MutedIcon = drawn("M4 9.6v4.8h3.4L12 18.4V5.6L7.4 9.6z", "m16 9.6 4.8 4.8M20.8 9.6 16 14.4");
export const PlayIcon = drawn("M8 5.2v13.6L19 12z");
export const PauseIcon = drawn("M8.5 5.5v13M15.5 5.5v13");
export const EyeIcon = drawn("M2.8 12S6 5.8 12 5.8 21.2 12 21.2 12 18 18.2 12 18.2 2.8 12 2.8 12z", "M12 14.6a2.6 2.6 0 1 0 0-5.2 2.6 2.6 0 0 0 0 5.2z");
export const FilmIcon = drawn("M4 5h16v14H4z", "M8 5v14M16 5v14M4 9.7h4M4 14.3h4M16 9.7h4M16 14.3h4");
export const KeyIcon = drawn("M8 16.8a3.8 3.8 0 1 0 0-7.6 3.8 3.8 0 0 0 0 7.6z", "M11.4 11.4 19 5M15.4 8l2.8 3");
export const LogOutIcon = drawn("M14 4.5H5.5v15H14M10 12h10.5M17 8.5l3.5 3.5-3.5 3.5");
export const WarningIcon = drawn("M12 3.6 21.4 20H2.6z", "M12 10v4.2M12 17.2h.01");
export const CloudOffIcon = drawn("M7 18.5h10a4 4 0 0 0 1.6-7.7 6.5 6.5 0 0 0-11.4-2.4", "M6.4 9.7A4.5 4.5 0 0 0 7 18.5M3.5 3.5l17 17");

/** The logo: a play button in shards. */
export function Mark({ size = 32 }: { size?: number }) {
  return (
    <svg class="mark" width={size} height={size} viewBox="0 0 32 32" aria-hidden="true">
      <path class="mark-1" d="M6 3.6v10.6l9.5-4.9z" />
      <path class="mark-2" d="m17.7 10.5-8.2 4.2 8.2 4.9z" />
      <path class="mark-3" d="M19.8 11.7v7.6l6.5-3.9z" />
      <path class="mark-4" d="M6 16.4v12l11-6z" />
    </svg>
  );
}
