/* SPDX-License-Identifier: MIT */
/* SPDX-FileCopyrightText: Doushard contributors */
/* Raw requests with good and bad framing, and what the server must do with them: data for a test.
 *
 * bytes      sent at once on a new connection; one character is one byte (latin1)
 * status     the first answer has one of these HTTP statuses; 0: closed without an answer
 * closes     true: the server closes the connection after its answer(s) by itself
 * responses  how many answers come. Nearly every case has a second request behind the
 *            first one: a server that is confused about where the first one ends
 *            answers it too, or answers a request that was hidden in a body. */

const HOST = "Host: doushard.test\r\n";

// Follows the request of the case. A confused server answers it with 200.
const NEXT = `GET /ping HTTP/1.1\r\n${HOST}\r\n`;

const get = (fields, target = "/ping") => `GET ${target} HTTP/1.1\r\n${HOST}${fields}\r\n`;

const FORM = "Content-Type: application/x-www-form-urlencoded\r\n";
const BODY = "username=nobody&password=nothing";
const post = (fields, body = BODY) => `POST /douyin/user/login/ HTTP/1.1\r\n${HOST}${FORM}${fields}\r\n${body}`;

const CHUNKED_BODY = `20\r\n${BODY}\r\n0\r\n\r\n`;

// Refused: one answer with one of these statuses, then the connection is closed.
const refused = (name, bytes, ...status) => ({
  name,
  bytes: bytes + NEXT,
  expect: { status, closes: true, responses: 1 },
});

// Answered, then the connection is closed: nothing that follows is read as a request.
const last = (name, bytes) => refused(name, bytes, 200);

// Answered, and the connection stays open: the second request is answered, too.
const kept = (name, bytes) => ({
  name,
  bytes: bytes + NEXT,
  expect: { status: [200], closes: false, responses: 2 },
});

export const framingCases = [
  // What every client may send.
  kept("two requests at once", get("")),
  kept("an empty line before the request line", `\r\n${get("")}`),
  kept("a header field without space after the colon", get("X-A:b\r\n")),
  kept("white space around a field value", get("X-A: \t b \t \r\n")),
  kept("an empty field value", get("X-A:\r\nX-B: \r\n")),
  kept("bytes above 127 in a field value", get("X-A: \xe4\xb8\xad\r\n")),
  kept("a field twice", get("X-A: 1\r\nX-A: 2\r\n")),
  kept("a target in absolute form", get("", "http://doushard.test/ping?x=1")),
  kept("a body of a known length", post(`Content-Length: ${BODY.length}\r\n`)),
  kept("a length with zeros in front", post(`Content-Length: 000${BODY.length}\r\n`)),
  kept("a length of 0", get("Content-Length: 0\r\n")),
  kept("HTTP/1.0 that asks to be kept", "GET /ping HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"),
  last("HTTP/1.0 without Host", "GET /ping HTTP/1.0\r\n\r\n"),
  last("Connection: close", get("Connection: close\r\n")),
  last("a raw space in the query", get("", "/ping?text=this is text")),
  last("a chunked body", post("Transfer-Encoding: chunked\r\n", CHUNKED_BODY)),
  last(
    "a chunked body with bare LF after the sizes",
    post("Transfer-Encoding: chunked\r\n", CHUNKED_BODY.replaceAll("\r\n", "\n")),
  ),
  last("a chunk with an extension", post("Transfer-Encoding: chunked\r\n", CHUNKED_BODY.replace("20", "20;a=b"))),

  // Content-Length.
  refused("two lengths that differ", post("Content-Length: 32\r\nContent-Length: 5\r\n"), 400),
  refused("two lengths that agree", post("Content-Length: 32\r\nContent-Length: 32\r\n"), 400),
  refused("a list of lengths", post("Content-Length: 32, 32\r\n"), 400),
  refused("a negative length", post("Content-Length: -1\r\n"), 400),
  refused("a length with a plus sign", post("Content-Length: +32\r\n"), 400),
  refused("a length in hexadecimal", post("Content-Length: 0x20\r\n"), 400),
  refused("a length with a space inside", post("Content-Length: 3 2\r\n"), 400),
  refused("an empty length", post("Content-Length: \r\n"), 400),
  refused("a length of 2^64", post("Content-Length: 18446744073709551616\r\n"), 400),
  refused("a length of 2^64 - 1", post("Content-Length: 18446744073709551615\r\n"), 400),
  refused("a length above the limit", post("Content-Length: 1000000000\r\n"), 200, 413),

  // Transfer-Encoding.
  refused("a length and chunks", post("Content-Length: 6\r\nTransfer-Encoding: chunked\r\n", CHUNKED_BODY), 400),
  refused("chunks and a length", post("Transfer-Encoding: chunked\r\nContent-Length: 6\r\n", CHUNKED_BODY), 400),
  refused("the coding xchunked", post("Transfer-Encoding: xchunked\r\n", CHUNKED_BODY), 501),
  refused("the codings gzip, chunked", post("Transfer-Encoding: gzip, chunked\r\n"), 501),
  refused("the coding identity", post("Transfer-Encoding: identity\r\n"), 501),
  refused("the codings chunked, identity", post("Transfer-Encoding: chunked, identity\r\n"), 501),
  refused("an empty coding", post("Transfer-Encoding:\r\n", CHUNKED_BODY), 400, 501),
  refused("the coding chunked and a space", post("Transfer-Encoding: chunked \r\n"), 400, 501),
  refused("the coding chunked behind a vertical tab", post("Transfer-Encoding: \x0bchunked\r\n"), 400),
  refused(
    "the coding chunked twice",
    post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", CHUNKED_BODY),
    400,
  ),
  refused(
    "chunked, then identity",
    post("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", CHUNKED_BODY),
    400,
    501,
  ),
  refused("a space before the colon", post("Transfer-Encoding : chunked\r\n", CHUNKED_BODY), 400),
  refused("a tab before the colon", post("Transfer-Encoding\t: chunked\r\n", CHUNKED_BODY), 400),
  refused("a folded Transfer-Encoding", post("Transfer-Encoding:\r\n chunked\r\n", CHUNKED_BODY), 400),
  refused(
    "chunks in HTTP/1.0",
    `POST /douyin/user/login/ HTTP/1.0\r\n${HOST}${FORM}Transfer-Encoding: chunked\r\n\r\n${CHUNKED_BODY}`,
    400,
  ),
  refused("a chunk size that is no number", post("Transfer-Encoding: chunked\r\n", "zz\r\nabc\r\n0\r\n\r\n"), 400),
  refused("an empty chunk size", post("Transfer-Encoding: chunked\r\n", "\r\nabc\r\n0\r\n\r\n"), 400),
  refused(
    "a chunk size above 2^64",
    post("Transfer-Encoding: chunked\r\n", "1ffffffffffffffff\r\nabc\r\n0\r\n\r\n"),
    400,
    413,
  ),
  refused("a chunk longer than its size", post("Transfer-Encoding: chunked\r\n", `3\r\n${BODY}\r\n0\r\n\r\n`), 400),

  // Host.
  refused("no Host", "GET /ping HTTP/1.1\r\n\r\n", 400),
  refused("two Hosts that differ", get("Host: other.test\r\n"), 400),
  refused("two Hosts that agree", get(HOST), 400),
  refused("a Host with a space", "GET /ping HTTP/1.1\r\nHost: a b\r\n\r\n", 400),
  refused("a list of Hosts", "GET /ping HTTP/1.1\r\nHost: a,b\r\n\r\n", 400),
  refused("a Host with a path", "GET /ping HTTP/1.1\r\nHost: a/b\r\n\r\n", 400),

  // Lines.
  refused("bare LF everywhere", get("X-A: b\r\n").replaceAll("\r\n", "\n"), 400),
  refused("bare LF after the request line", get("").replace("\r\n", "\n"), 400),
  refused("bare LF after one field", get("X-A: b\nX-B: c\r\n"), 400),
  refused("bare LF after the last field", get("X-A: b\n"), 400),
  refused("bare LF as the empty line", get("").slice(0, -2) + "\n", 400),
  refused("bare LF, its missing byte made up by a space", get("X-A:  b\nX-B: c\r\n"), 400),
  refused("bare CR in a field value", get("X-A: b\rContent-Length: 5\r\n"), 400),
  refused("NUL in a field value", get("X-A: b\0c\r\n"), 400),
  refused("NUL at the end of a field value", get("X-A: b\0\r\n"), 400),
  refused("NUL in a field name", get("X\0A: b\r\n"), 400),
  refused("another control byte in a field value", get("X-A: b\x01c\r\n"), 400),
  refused("DEL in a field value", get("X-A: b\x7fc\r\n"), 400),
  refused("a folded field", get("X-A: b\r\n c\r\n"), 400),
  refused("a field folded with a tab", get("X-A: b\r\n\tc\r\n"), 400),
  refused("a first field that begins with a space", `GET /ping HTTP/1.1\r\n X-A: b\r\n${HOST}\r\n`, 400),
  refused("a line without colon", get("X-A\r\n"), 400),
  refused("an empty field name", get(": b\r\n"), 400),
  refused("a space in a field name", get("X A: b\r\n"), 400),
  refused("a bracket in a field name", get("X(A): b\r\n"), 400),

  // The request line.
  refused("two spaces after the method", get("").replace(" ", "  "), 400),
  refused("two spaces before the version", get("").replace(" HTTP", "  HTTP"), 400),
  refused("a space behind the version", get("").replace("1.1", "1.1 "), 0, 400),
  refused("a tab after the method", get("").replace(" ", "\t"), 0, 400),
  refused("a space in the path", get("", "/pi ng"), 400),
  refused("no version", "GET /ping\r\n\r\n", 0, 400),
  refused("no target", `GET HTTP/1.1\r\n${HOST}\r\n`, 0, 400),
  refused("HTTP/2.0", get("").replace("1.1", "2.0"), 400, 505),
  refused("HTTP/0.9", get("").replace("1.1", "0.9"), 400, 505),
  refused("a version in lower case", get("").replace("HTTP", "http"), 400),
  refused("a target that is no path", get("", "ping"), 400),
  refused("NUL in the target", get("", "/ping\0x"), 400),
  refused("CR in the target", get("", "/ping\rx"), 400),
  refused("a control byte in the query", get("", "/ping?a=\x01"), 400),
  refused("%00 in the path", get("", "/ping%00x"), 400),
  refused("%0d%0a in the path", get("", "/ping%0d%0aX-A:%20b"), 400),
  refused("an unknown method", get("").replace("GET", "BREW"), 501),
  refused("a method in lower case", get("").replace("GET", "get"), 501),
  refused("TRACE", get("").replace("GET", "TRACE"), 405, 501),
  refused("CONNECT", `CONNECT doushard.test:80 HTTP/1.1\r\n${HOST}\r\n`, 400, 405, 501),
  refused("a colon in the method", get("").replace("GET", "GE:T"), 400),

  // Sizes.
  refused("a target of 200,000 bytes", get("", `/ping?${"x".repeat(200000)}`), 0, 400, 414),
  refused("a field of 200,000 bytes", get(`X-A: ${"x".repeat(200000)}\r\n`), 0, 431),
  refused("20,000 fields", get("X-A: b\r\n".repeat(20000)), 0, 431),

  // Unknown paths and wrong methods do not close a connection if the framing is good.
  {
    name: "an unknown path",
    bytes: get("", "/nowhere") + NEXT,
    expect: { status: [404], closes: false, responses: 2 },
  },
  {
    name: "a wrong method",
    bytes: get("").replace("GET", "DELETE") + NEXT,
    expect: { status: [405], closes: false, responses: 2 },
  },
];

export default framingCases;
