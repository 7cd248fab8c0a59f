// Reads with the API's ideas: prepared statements, a counter instead of a count, JSON that is kept
// per row for as long as Postgres says that the row's version is the same, pages that are kept
// while their rows are the same, and one reading for equal requests that wait together.

import { COLUMNS, market, NEWEST, TABLES_WITH_VOTES } from "./market_rows.mjs";

// A transaction that changes a row gives it another xmin.
const VERSION = `m.xmin::text || ' ' || coalesce(d.xmin::text, '')
  || ' ' || coalesce(t.xmin::text, '')`;
const PAGE = {
  name: "page",
  text: `SELECT encode(m.market_id, 'hex'), ${VERSION}, (SELECT total FROM rival.market_count)
    FROM ${TABLES_WITH_VOTES} ${NEWEST} LIMIT $1 OFFSET $2`,
  rowMode: "array",
};
const VERSION_OF_ONE = {
  name: "version",
  text: `SELECT encode(m.market_id, 'hex'), ${VERSION} FROM ${TABLES_WITH_VOTES} WHERE m.market_id = $1`,
  rowMode: "array",
};
const ROWS = {
  name: "rows",
  text: `SELECT ${COLUMNS}, ${VERSION} AS version FROM ${TABLES_WITH_VOTES} WHERE m.market_id = ANY($1)`,
};
const MOST_ROWS = 20_000;
const MOST_PAGES = 1000;

function keep(map, most, key, value) {
  if (map.size >= most && !map.has(key)) map.delete(map.keys().next().value);
  map.set(key, value);
}

// Requests that come while a reading runs share the next one: it begins after they came.
function sharing() {
  const running = new Map();
  return function share(key, read) {
    const flight = running.get(key);
    if (flight) return (flight.next ??= flight.ended.then(() => share(key, read)));
    const mine = { next: null };
    running.set(key, mine);
    const result = read();
    mine.ended = result.then(
      () => running.delete(key),
      () => running.delete(key),
    );
    return result;
  };
}

export function memoisedReads(pool) {
  const rows = new Map();
  const pages = new Map();
  const share = sharing();

  async function fetch(ids) {
    const values = [ids.map((id) => Buffer.from(id, "hex"))];
    for (const row of (await pool.query({ ...ROWS, values })).rows) {
      const text = JSON.stringify(market(row));
      keep(rows, MOST_ROWS, row.market_id.toString("hex"), [row.version, text]);
    }
  }

  async function texts(keys) {
    const missing = keys.filter(([id, version]) => rows.get(id)?.[0] !== version);
    if (missing.length) await fetch(missing.map(([id]) => id));
    return keys.map(([id]) => rows.get(id)[1]);
  }

  async function page(limit, offset) {
    const found = (await pool.query({ ...PAGE, values: [limit, offset] })).rows;
    const place = `${limit} ${offset}`;
    const version = found.map((row) => row.join(" ")).join();
    const kept = pages.get(place);
    if (kept?.[0] === version) return kept[1];
    const markets = (await texts(found)).join(",");
    const count = found.length ? found[0][2] : 0;
    const counted = `"count":${count},"count_capped":false,"offset":${offset},"limit":${limit}`;
    const body = Buffer.from(`{"markets":[${markets}],${counted}}`);
    keep(pages, MOST_PAGES, place, [version, body]);
    return body;
  }

  async function one(id) {
    const values = [Buffer.from(id, "hex")];
    const found = (await pool.query({ ...VERSION_OF_ONE, values })).rows;
    return found.length ? (await texts(found))[0] : null;
  }

  return {
    list: (limit, offset) => share(`${limit} ${offset}`, () => page(limit, offset)),
    one: (id) => share(id, () => one(id)),
  };
}
