// An Express server of the API's hot reads, as a rival. Settings come as JSON on standard input:
// reads (plain, memoised or cached), port, database, redis. Prints a line once it listens.

import { text } from "node:stream/consumers";

import express from "express";
import pg from "pg";

import { cachedReads } from "./cached_reads.mjs";
import { addLayers } from "./layers.mjs";
import { memoisedReads } from "./memoised_reads.mjs";
import { plainReads } from "./plain_reads.mjs";

const READS = {
  plain: plainReads,
  memoised: memoisedReads,
  cached: (pool) => cachedReads(plainReads(pool)),
};
const CONNECTIONS = 8;

const settings = JSON.parse(await text(process.stdin));
const pool = new pg.Pool({ connectionString: settings.database, max: CONNECTIONS });
const reads = READS[settings.reads](pool);
const app = express();
app.disable("x-powered-by");
addLayers(app, settings.redis);

// Objects become JSON here, texts are JSON already.
function send(response, value) {
  if (typeof value === "string" || Buffer.isBuffer(value)) {
    response.type("application/json").send(value);
  } else {
    response.json(value);
  }
}

app.get("/health", async (_, response) => {
  await pool.query("SELECT 1");
  response.json({ status: "healthy", timestamp: new Date().toISOString(), uptime: process.uptime() });
});
app.get("/api/markets", async (request, response, next) => {
  try {
    const limit = Number(request.query.limit ?? 20);
    const offset = Number(request.query.offset ?? 0);
    if (!(limit >= 1 && limit <= 100 && offset >= 0)) {
      response.status(400).json({ error: "Bad Request" });
      return;
    }
    send(response, await reads.list(limit, offset));
  } catch (error) {
    next(error);
  }
});
app.get("/api/markets/:id", async (request, response, next) => {
  try {
    const value = await reads.one(request.params.id);
    if (value === null) response.status(404).json({ error: "Not Found" });
    else send(response, value);
  } catch (error) {
    next(error);
  }
});
app.use((error, _request, response, _next) => {
  console.error(error);
  response.status(500).json({ error: "Internal Server Error" });
});
app.listen(settings.port, "127.0.0.1", () => console.log("listening"));
