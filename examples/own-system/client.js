#!/usr/bin/env node
// A client for the wire `exec` in JavaScript, with Node's standard library: client.js ADDRESS TIMEOUT_MS
"use strict";
const http = require("http");
const [host, port] = process.argv[2].split(":");
const timeout = Number(process.argv[3]);

// One request on a connection of its own; it is never sent again.
function send(method, key, body) {
  return new Promise((resolve, reject) => {
    const request = http.request({ host, port, method, path: "/" + key, agent: false }, (answer) => {
      let text = "";
      answer.on("data", (part) => (text += part));
      answer.on("error", reject); // such as an answer that is cut in the middle
      answer.on("end", () => resolve({ status: answer.statusCode, text }));
    });
    request.on("error", reject);
    setTimeout(() => request.destroy(new Error(`no reply within ${timeout} ms`)), timeout).unref();
    request.end(body && JSON.stringify(body));
  });
}

async function invoke({ f, key, value }) {
  if (f === "hello") {
    return { type: "ok", version: 1, operations: ["register.read", "register.write", "register.cas"] };
  }
  if (f === "read") {
    const { status, text } = await send("GET", key);
    if (status === 200) return { type: "ok", value: JSON.parse(text).value };
    if (status === 404) return { type: "ok", value: null };
    return { type: "info", error: `status ${status}` };
  }
  const body = f === "write" ? { value } : { from: value[0], value: value[1] };
  const { status } = await send("PUT", key, body);
  if (status === 200) return { type: "ok", value: f === "cas" ? true : null };
  if (status === 409 && f === "cas") return { type: "ok", value: false };
  return { type: "info", error: `status ${status}` };
}

require("readline").createInterface({ input: process.stdin }).on("line", async (line) => {
  const asked = JSON.parse(line);
  // After an error nobody knows whether the request was executed, unless nothing was sent.
  const failed = (error) => ({ type: error.code === "ECONNREFUSED" ? "fail" : "info", error: String(error) });
  const answer = await invoke(asked).catch(failed);
  process.stdout.write(JSON.stringify({ id: asked.id, ...answer }) + "\n");
});
