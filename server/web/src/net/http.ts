/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* One request to the service and the check of its answer. */
import { ServiceError } from "./errors";
import { parseAnswer } from "./ids";

const PATIENCE_MS = 15_000;

export type Fields = Record<string, string | number | undefined>;

export interface Envelope {
  status_code: number;
  status_msg: string;
}

/** Headers that identify the caller. A token in a header is in no address, and so in no log or
 * history. */
export function headersOf(token: string | undefined, key?: string): Record<string, string> {
  const headers: Record<string, string> = {};
  if (token) headers.Authorization = `Bearer ${token}`;
  if (key) headers["Idempotency-Key"] = key;
  return headers;
}

/** The answer in TEXT; throws a ServiceError if it is a refusal or not an answer of the service. */
export function judge<Answer>(text: string, requestId: string): Answer & Envelope {
  let answer: unknown;
  try {
    answer = parseAnswer(text);
  } catch {
    throw new ServiceError("garbled", text.slice(0, 80), requestId);
  }
  const { status_code: code, status_msg: message } = (answer ?? {}) as Partial<Envelope>;
  if (typeof code !== "number") throw new ServiceError("garbled", "", requestId);
  if (code !== 0) throw new ServiceError(code, message, requestId);
  return answer as Answer & Envelope;
}

function encode(fields: Fields): URLSearchParams {
  const encoded = new URLSearchParams();
  for (const [name, value] of Object.entries(fields)) if (value !== undefined) encoded.set(name, String(value));
  return encoded;
}

async function exchange<Answer>(url: string, init: RequestInit): Promise<Answer & Envelope> {
  let text: string;
  let requestId: string;
  try {
    const response = await fetch(url, { ...init, signal: AbortSignal.timeout(PATIENCE_MS) });
    requestId = response.headers.get("X-Request-Id") ?? "";
    text = await response.text();
  } catch (error) {
    throw new ServiceError(error instanceof DOMException && error.name === "TimeoutError" ? "timeout" : "offline");
  }
  return judge<Answer>(text, requestId);
}

export function get<Answer>(path: string, fields: Fields, token?: string): Promise<Answer & Envelope> {
  const query = encode(fields).toString();
  return exchange<Answer>(query ? `${path}?${query}` : path, { headers: headersOf(token) });
}

/** KEY: a write that is repeated with the same key is done once. */
export function post<Answer>(path: string, fields: Fields, token?: string, key?: string): Promise<Answer & Envelope> {
  return exchange<Answer>(path, { method: "POST", headers: headersOf(token, key), body: encode(fields) });
}

/** A key for one write, to repeat it with. */
export function newKey(): string {
  /* randomUUID() exists in secure contexts only, and a service on a local network is not one. */
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
