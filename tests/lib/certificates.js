/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Certificates for TLS on loopback: good ones, and one of each kind that must be refused. */

import { execFileSync } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/* Uses `openssl ca`, because it accepts dates; it signs any request. */
const SETTINGS = (dir, san) => `
[ca]
default_ca = any
[any]
database = ${dir}/index.txt
new_certs_dir = ${dir}/issued
rand_serial = yes
default_md = sha256
policy = names
x509_extensions = server
unique_subject = no
[names]
commonName = supplied
[server]
basicConstraints = critical, CA:FALSE
subjectAltName = ${san}
`;

const KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];

/** The form of openssl: YYMMDDHHMMSSZ, DAYS from now. */
const date = (days) =>
  new Date(Date.now() + days * 86400000)
    .toISOString()
    .replace(/[-:T]|\.\d+/g, "")
    .slice(2);

/** An authority of its own in a directory that others may read. */
export class Authority {
  dir = mkdtempSync(join(tmpdir(), "doushard-tls-"));
  /** The certificate that clients trust. */
  file = join(this.dir, "ca.pem");

  constructor() {
    chmodSync(this.dir, 0o755);
    mkdirSync(join(this.dir, "issued"));
    writeFileSync(join(this.dir, "index.txt"), "");
    this.#openssl(
      "req",
      "-x509",
      ...KEY,
      "-subj",
      "/CN=authority",
      "-days",
      "2",
      "-keyout",
      "ca.key",
      "-out",
      "ca.pem",
    );
  }

  #openssl(...args) {
    execFileSync("openssl", args, { cwd: this.dir, stdio: ["ignore", "ignore", "pipe"] });
  }

  /** A certificate for SAN, valid until DAYS from now, of this authority or of ITSELF: { key, cert }, their texts. */
  issue(name, { san = "IP:127.0.0.1", days = 2, itself = false } = {}) {
    const [key, request, cert] = ["key", "csr", "pem"].map((type) => `${name}.${type}`);
    writeFileSync(join(this.dir, "ca.cnf"), SETTINGS(this.dir, san));
    this.#openssl("req", "-new", ...KEY, "-subj", `/CN=${name}`, "-keyout", key, "-out", request);
    this.#openssl(
      "ca",
      "-batch",
      "-notext",
      "-config",
      "ca.cnf",
      "-in",
      request,
      "-out",
      cert,
      "-startdate",
      date(Math.min(days, 0) - 1),
      "-enddate",
      date(days),
      ...(itself ? ["-selfsign", "-keyfile", key] : ["-cert", "ca.pem", "-keyfile", "ca.key"]),
    );
    return { key: readFileSync(join(this.dir, key)), cert: readFileSync(join(this.dir, cert)) };
  }

  remove() {
    rmSync(this.dir, { recursive: true, force: true });
  }
}

/** Certificates that a client must refuse: options of issue(), and the expected message. */
export const REFUSED = {
  "of itself": { itself: true, why: /self.signed/i },
  "of another name": { san: "DNS:other.example,IP:127.0.0.9", why: /Validation of SSL server certificate/ },
  expired: { days: -1, why: /expired/i },
};
