/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Ids have 64 bits, JavaScript's integers 53: an id is a string from the moment it arrives. */

/** A user's, video's, comment's or message's id, or a cursor, in decimal. */
export type Id = string & { readonly kind: "id" };

/** The `next_cursor` at the end of a list. */
export const NO_ID = "0" as Id;

/* Matches a whole JSON string and, if it is the name of a member whose value is a whole number, that
 * number. Strings are matched from quote to quote, so that nothing inside one, such as a title that
 * looks like JSON, is changed. */
const STRING_AND_NUMBER = /"(?:[^"\\]|\\.)*"(?:(\s*:\s*)(-?\d+)(?=\s*[,}\]]))?/g;
const ID_NAME = /^"(?:id|next_cursor|[a-z_]*_id)"/;

/** The same JSON text with every id as a string. */
export function quoteIds(json: string): string {
  return json.replace(STRING_AND_NUMBER, (all, colon?: string, digits?: string) => {
    if (digits === undefined || !ID_NAME.test(all)) return all;
    return `${all.slice(0, all.indexOf('"', 1) + 1)}${colon}"${digits}"`;
  });
}

/** JSON.parse() for answers of the service; throws SyntaxError in the same cases. */
export const parseAnswer = (json: string): unknown => JSON.parse(quoteIds(json));

/** The id in a part of the address; undefined if it is not one. */
export const idOf = (text: string | undefined): Id | undefined =>
  text !== undefined && /^[1-9]\d{0,18}$/.test(text) ? (text as Id) : undefined;
