// Decodes events from logs with Anchor's own EventParser.
// stdin: {idl, program, logs: [[line]], rounds}; stdout: {events, seconds, version, node},
// where seconds is the least processor time of one pass over all logs.
import { readFileSync } from "node:fs";
import anchor from "@coral-xyz/anchor";
import { PublicKey } from "@solana/web3.js";

const { idl, program, logs, rounds } = JSON.parse(readFileSync(0, "utf8"));
const parser = new anchor.EventParser(new PublicKey(program), new anchor.BorshCoder(idl));

function pass() {
  let events = 0;
  for (const lines of logs) {
    for (const _ of parser.parseLogs(lines)) events += 1;
  }
  return events;
}

// The optimizing compiler needs some passes before the code is as fast as it gets.
for (let round = 0; round < rounds; round += 1) pass();
let events = 0;
let best = Infinity;
for (let round = 0; round < rounds; round += 1) {
  const start = process.cpuUsage();
  events = pass();
  const { user, system } = process.cpuUsage(start);
  best = Math.min(best, (user + system) / 1e6);
}
const own = new URL("./node_modules/@coral-xyz/anchor/package.json", import.meta.url);
const { version } = JSON.parse(readFileSync(own, "utf8"));
console.log(JSON.stringify({ events, seconds: best, version, node: process.versions.node }));
