// Reads with the API's ideas: prepared statements, a counter instead of a count, and JSON that is
// kept per row for as long as Postgres says that the row's version is the same.

import { COLUMNS, market, NEWEST, TABLES } from "./market_rows.mjs";

// A transaction that changes a row gives it another xmin.
const VERSION = "m.xmin::text || ' ' || coalesce(d.xmin::text, '')";
const PAGE = {
  name: "page",
  text: `SELECT encode(m.market_id, 'hex'), ${VERSION}, (SELECT total FROM rival.market_count)
    FROM ${TABLES} ${NEWEST} LIMIT $1 OFFSET $2`,
  rowMode: "array",
};
const VERSION_OF_ONE = {
  name: "version",
  text: `SELECT encode(m.market_id, 'hex'), ${VERSION} FROM ${TABLES} WHERE m.market_id = $1`,
  rowMode: "array",
};
const ROWS = {
  name: "rows",
  text: `SELECT ${COLUMNS}, ${VERSION} AS version FROM ${TABLES} WHERE m.market_id = ANY($1)`,
};
const MOST_ROWS = 20_000;

export function memoisedReads(pool) {
  const kept = new Map();

  async function fetch(ids) {
    const { rows } = await pool.query({ ...ROWS, values: [ids.map((id) => Buffer.from(id, "hex"))] });
    for (const row of rows) {
      if (kept.size >= MOST_ROWS) kept.delete(kept.keys().next().value);
      kept.set(row.market_id.toString("hex"), [row.version, JSON.stringify(market(row))]);
    }
  }

  async function texts(keys) {
    const missing = keys.filter(([id, version]) => kept.get(id)?.[0] !== version);
    if (missing.length) await fetch(missing.map(([id]) => id));
    return keys.map(([id]) => kept.get(id)[1]);
  }

  return {
    async list(limit, offset) {
      const { rows } = await pool.query({ ...PAGE, values: [limit, offset] });
      const markets = (await texts(rows)).join(",");
      const count = rows.length ? rows[0][2] : 0;
      return `{"markets":[${markets}],"count":${count},"offset":${offset},"limit":${limit}}`;
    },
    async one(id) {
      const { rows } = await pool.query({ ...VERSION_OF_ONE, values: [Buffer.from(id, "hex")] });
      return rows.length ? (await texts(rows))[0] : null;
    },
  };
}
