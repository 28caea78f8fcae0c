/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Failures of requests, as one type that every view can put into words. */

/** Codes that this page treats specially; for the others it only has words. */
export const CODE = {
  notLoggedIn: 1001,
  nameTaken: 1003,
  noUser: 1004,
  wrongPassword: 1005,
  refusedFile: 1006,
  throttled: 1015,
} as const;

/* Everyday refusals: the user did something that is not possible, or not now. */
const EVERYDAY = new Set([1001, 1002, 1003, 1004, 1005, 1006, 1007, 1008, 1010, 1011, 1012, 1013, 1014, 1015, 1019]);

/** Why there is no answer from the service at all. */
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

  /** Whether the failure is about the service and not about the request: the same request may well
   * succeed later, and the user needs the request's id to ask for help. */
  get isOfService(): boolean {
    return typeof this.reason === "string" || !EVERYDAY.has(this.reason);
  }

  /** Seconds until another attempt is allowed, if the service said so. */
  get waitSeconds(): number | undefined {
    const found = this.reason === CODE.throttled ? /(\d+) s$/.exec(this.detail) : null;
    return found ? Number(found[1]) : undefined;
  }
}

/** Turns anything thrown into a ServiceError: a mistake of this page counts as an answer that was
 * not understood. */
export const asServiceError = (thrown: unknown): ServiceError =>
  thrown instanceof ServiceError ? thrown : new ServiceError("garbled", String(thrown));
