/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* A multipart POST that reports its progress: fetch() does not, so this is an XMLHttpRequest. */
import { ServiceError } from "./errors";
import { headersOf, judge } from "./http";

export interface Upload {
  done: Promise<void>;
  cancel(): void;
}

export interface UploadOptions {
  token?: string | undefined;
  key?: string;
  /** Called with the share of bytes that was sent, from 0 to 1. */
  progress?: (share: number) => void;
}

function settle(request: XMLHttpRequest, done: () => void, failed: (error: unknown) => void) {
  request.onload = () => {
    try {
      judge(request.responseText, request.getResponseHeader("X-Request-Id") ?? "");
      done();
    } catch (error) {
      failed(error);
    }
  };
  request.onerror = () => failed(new ServiceError("offline"));
  request.ontimeout = () => failed(new ServiceError("timeout"));
  request.onabort = () => failed(new ServiceError("cancelled"));
}

/** Sends FORM to PATH. Rejects with a ServiceError. */
export function upload(path: string, form: FormData, { token, key, progress }: UploadOptions): Upload {
  const request = new XMLHttpRequest();
  const done = new Promise<void>((resolve, reject) => settle(request, resolve, reject));
  request.upload.onprogress = (event) => {
    if (event.lengthComputable && event.total > 0) progress?.(event.loaded / event.total);
  };
  request.open("POST", path);
  for (const [name, value] of Object.entries(headersOf(token, key))) request.setRequestHeader(name, value);
  request.send(form);
  return { done, cancel: () => request.abort() };
}
