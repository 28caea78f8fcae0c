/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* What went wrong with a request, as one type that every view can put into words. */

/** Codes that this page treats in a way of their own; the others only have words. */
export const CODE = { notLoggedIn: 1001, noUser: 1004, wrongPassword: 1005, refusedFile: 1006, throttled: 1015, unknownOutcome: 1018 } as const;

/** Why there is no answer of the service at all. */
export type Trouble = "offline" | "timeout" | "garbled" | "cancelled";

export class ServiceError extends Error {
  /**
   * REASON is the service's status_code, or why there was none. DETAIL is the service's own text, in
   * English; REQUEST_ID names the request in its log.
   */
  constructor(
    readonly reason: number | Trouble,
    readonly detail = "",
    readonly requestId = "",
  ) {
    super(detail || String(reason));
    this.name = "ServiceError";
  }

  /** Seconds after which it may be tried again, when the service said so. */
  get waitSeconds(): number | undefined {
    const found = this.reason === CODE.throttled ? /(\d+) s$/.exec(this.detail) : null;
    return found ? Number(found[1]) : undefined;
  }
}

/** Whatever was thrown as a ServiceError: a mistake of this page counts as an answer not understood. */
export const asServiceError = (thrown: unknown): ServiceError =>
  thrown instanceof ServiceError ? thrown : new ServiceError("garbled", String(thrown));
