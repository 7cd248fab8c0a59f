// Reads as a plain server does them: a query for the rows, one for their number, objects, JSON.

import { COLUMNS, market, NEWEST, TABLES, TABLES_WITH_VOTES } from "./market_rows.mjs";

const LIST = `SELECT ${COLUMNS} FROM ${TABLES_WITH_VOTES} ${NEWEST} LIMIT $1 OFFSET $2`;
const COUNT = `SELECT count(*) FROM ${TABLES}`;
const ONE = `SELECT ${COLUMNS} FROM ${TABLES_WITH_VOTES} WHERE m.market_id = $1`;

export function plainReads(pool) {
  return {
    async list(limit, offset) {
      const [rows, total] = await Promise.all([pool.query(LIST, [limit, offset]), pool.query(COUNT)]);
      const count = Number(total.rows[0].count);
      return { markets: rows.rows.map(market), count, count_capped: false, offset, limit };
    },
    async one(id) {
      const { rows } = await pool.query(ONE, [Buffer.from(id, "hex")]);
      return rows.length ? market(rows[0]) : null;
    },
  };
}
