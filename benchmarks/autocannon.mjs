// The load of wrk.lua, made by autocannon where wrk is not installed. Latencies come in whole
// milliseconds.

import { text } from "node:stream/consumers";

import autocannon from "autocannon";

const { url, paths, seconds, connections, timeout, headers } = JSON.parse(await text(process.stdin));
const result = await autocannon({
  url,
  connections,
  timeout,
  duration: seconds,
  sampleInt: 100,
  requests: paths.map((path) => ({ method: "GET", path, headers })),
});
console.log(
  JSON.stringify({
    requests: result.requests.total,
    seconds: result.duration,
    p50: result.latency.p50 / 1000,
    p99: result.latency.p99 / 1000,
    errors: result.errors + result.timeouts + result.non2xx,
  }),
);
