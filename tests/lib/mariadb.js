/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* A throw-away MariaDB server for one test file, and sessions on it.
 *
 *   const server = await Mariadb.start();
 *   const root = server.session();                    // administrator, by socket
 *   const sets = await root.run("SELECT 1 AS one");   // [[{ one: "1" }]]
 *   await server.stop();
 *
 * The server runs under an account of its own when the tests are run by root, in a directory
 * of its own, and ends with this process, however that ends. */
import { execFile, spawn } from "node:child_process";
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
} from "node:fs";
import { homedir, tmpdir, userInfo } from "node:os";
import path from "node:path";
import { promisify } from "node:util";
import { freePort } from "./port.js";
import { Session } from "./sql.js";

const run = promisify(execFile);
const isRoot = process.getuid() === 0;

/** Time limit for a server to start. */
const PATIENCE_MS = 60_000;

/* The account of scripts/cluster.sh, made where it is missing; another suite may be making it, too. */
const ACCOUNT = "doushard-demo";
async function account() {
  const known = () => run("getent", ["passwd", ACCOUNT]);
  const { stdout } = await known().catch(() =>
    run("useradd", [
      "--system",
      "--user-group",
      "--no-create-home",
      "--home-dir",
      "/nonexistent",
      "--shell",
      "/usr/sbin/nologin",
      ACCOUNT,
    ]).then(known, known),
  );
  const [, , uid, gid] = stdout.split(":");
  return { uid: Number(uid), gid: Number(gid) };
}

const TEMPLATES_MAX = 4;

/* The directory NAME of the user's cache, which MAKE(directory) fills if it is not there. */
async function cached(name, make) {
  const cache = path.join(process.env.XDG_CACHE_HOME || path.join(homedir(), ".cache"), "doushard");
  const known = path.join(cache, name);
  if (existsSync(known)) return known;
  mkdirSync(cache, { recursive: true });
  const fresh = mkdtempSync(`${known}.`);
  const data = path.join(fresh, "data");
  mkdirSync(data);
  try {
    await make(data, fresh);
    renameSync(data, known);
  } catch (error) {
    if (!existsSync(known)) throw error; /* otherwise another test was faster, and its copy is as good */
  } finally {
    rmSync(fresh, { recursive: true, force: true });
  }
  return known;
}

async function version() {
  const { stdout } = await run("mariadbd", ["--no-defaults", "--version"]);
  return `sql-${stdout
    .trim()
    .replace(/.*Ver /, "")
    .replace(/[^\w.+-]+/g, "_")}`;
}

/* The empty data directory that every server starts with a copy of: made once per version. */
const template = async () =>
  cached(await version(), async (data, dir) => {
    /* Every server removes temporary tables that it finds in its tmpdir, those of others too. */
    const temporary = path.join(dir, "tmp");
    mkdirSync(temporary);
    await run("mariadb-install-db", [
      "--no-defaults",
      "--skip-test-db",
      "--skip-name-resolve",
      `--datadir=${data}`,
      `--tmpdir=${temporary}`,
      "--innodb-log-file-size=16M",
      "--auth-root-authentication-method=socket",
      `--auth-root-socket-user=${userInfo().username}`,
      ...(isRoot ? ["--user=root"] : []) /* in a directory that only root can enter */,
    ]);
  });

/* Remove files beginning with PREFIX in the directory of KNOWN, except the latest. */
function forgetOld(known, prefix) {
  const dir = path.dirname(known);
  readdirSync(dir)
    .filter((name) => name.startsWith(prefix))
    .map((name) => path.join(dir, name))
    .map((file) => ({ file, at: statSync(file).mtimeMs }))
    .sort((a, b) => b.at - a.at)
    .slice(TEMPLATES_MAX)
    .forEach(({ file }) => rmSync(file, { recursive: true, force: true }));
}

export class Mariadb {
  /** A data directory for start() that LOAD(server) has filled, once for each NAME; the latest few are kept. */
  static async prepare(name, load) {
    const prefix = `${await version()}-`;
    const known = await cached(`${prefix}${name}`, async (data) => {
      const server = await Mariadb.start({ options: ["--innodb-autoextend-increment=8"] });
      try {
        await load(server);
        server.process.kill("SIGTERM");
        await server.exited;
        await run("cp", ["-R", "--sparse=always", `${path.join(server.dir, "data")}/.`, data]);
      } finally {
        await server.stop();
      }
    });
    const now = new Date();
    utimesSync(known, now, now); /* in use: the oldest are removed first */
    forgetOld(known, prefix);
    return known;
  }

  /** Start a server on a copy of the data directory FROM; an empty one unless said otherwise. OPTIONS are further
   * arguments for mariadbd. */
  static async start({ options = [], from } = {}) {
    const server = new Mariadb();
    /* Not below TMPDIR when that is long: a socket's path has at most 107 bytes. */
    const base = tmpdir().length > 60 ? "/tmp" : tmpdir();
    server.dir = mkdtempSync(path.join(base, "dsql-"));
    server.socket = path.join(server.dir, "sock");
    server.port = await freePort();
    server.sessions = new Set();
    const data = path.join(server.dir, "data");
    const owner = isRoot ? await account() : null;
    /* Every server removes temporary tables that it finds in its tmpdir, those of others too. */
    const temporary = path.join(server.dir, "tmp");
    mkdirSync(temporary);
    chmodSync(server.dir, 0o755);
    try {
      await run("cp", ["-R", "--reflink=auto", from ?? (await template()), data]);
      if (owner) {
        await run("chown", ["-R", `${owner.uid}:${owner.gid}`, data, temporary]);
        chownSync(server.dir, owner.uid, owner.gid);
      }
      await server.#spawn(data, owner, [`--tmpdir=${temporary}`, ...options]);
    } catch (error) {
      await server.stop();
      throw error;
    }
    return server;
  }

  #spawn(data, owner, options) {
    const as = owner ? [`--reuid=${owner.uid}`, `--regid=${owner.gid}`, "--clear-groups"] : [];
    this.process = spawn(
      "setpriv",
      [
        ...as,
        "--pdeathsig=KILL",
        "mariadbd",
        "--no-defaults",
        `--datadir=${data}`,
        `--socket=${this.socket}`,
        `--port=${this.port}`,
        "--bind-address=127.0.0.1",
        `--pid-file=${path.join(this.dir, "pid")}`,
        "--skip-name-resolve",
        "--skip-log-bin",
        "--innodb-buffer-pool-size=64M",
        "--innodb-log-file-size=16M",
        "--key-buffer-size=1M",
        "--aria-pagecache-buffer-size=1M",
        ...options,
      ],
      { stdio: ["ignore", "ignore", "pipe"] },
    );
    this.exited = new Promise((resolve) => this.process.once("exit", resolve));
    this.onExit = () => this.process.kill("SIGKILL");
    process.once("exit", this.onExit);

    return new Promise((resolve, reject) => {
      let log = "";
      const timer = setTimeout(() => reject(new Error(`mariadbd does not start:\n${log}`)), PATIENCE_MS);
      this.process.once("error", reject);
      this.process.once("exit", () => reject(new Error(`mariadbd ended:\n${log}`)));
      this.process.stderr.on("data", (chunk) => {
        log = (log + chunk).slice(-20_000);
        if (log.includes("ready for connections")) {
          clearTimeout(timer);
          resolve();
        }
      });
    });
  }

  /** A new session. USER and PASSWORD: by default the administrator. TCP: over 127.0.0.1. */
  session({ user = userInfo().username, password = "", tcp = false, database = "" } = {}) {
    const where = tcp ? { host: "127.0.0.1", port: this.port } : { socketPath: this.socket };
    const session = new Session({ ...where, user, password, database });
    this.sessions.add(session);
    return session;
  }

  /** Run SQL files in the directory CWD, with the client `mariadb`, because SOURCE is one of its own commands: these
   * files are installed that way. */
  async source(cwd, ...files) {
    for (const file of files) {
      await new Promise((resolve, reject) => {
        const client = spawn(
          "mariadb",
          [
            "--no-defaults",
            "--comments",
            "--default-character-set=utf8mb4",
            `--socket=${this.socket}`,
            "--abort-source-on-error",
          ],
          { cwd, stdio: ["pipe", "ignore", "pipe"] },
        );
        let said = "";
        client.stderr.on("data", (chunk) => (said += chunk));
        client.once("error", reject);
        client.once("close", (status) => {
          if (status === 0) {
            resolve();
          } else {
            reject(new Error(`${file}: ${said.trim()}`));
          }
        });
        client.stdin.end(`SOURCE ${file}\n`);
      });
    }
  }

  /** End all sessions and the server, remove its files. */
  async stop() {
    await Promise.all([...this.sessions].map((session) => session.end()));
    if (this.process) {
      this.process.kill("SIGKILL");
      await this.exited;
      process.removeListener("exit", this.onExit);
    }
    rmSync(this.dir, { recursive: true, force: true });
  }
}
