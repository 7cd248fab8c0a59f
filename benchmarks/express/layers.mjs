// What every request passes, as in the API: security headers, CORS, a request id, metrics and a
// limiter that counts in Redis.

import { randomUUID } from "node:crypto";

import cors from "cors";
import { rateLimit } from "express-rate-limit";
import helmet from "helmet";
import Redis from "ioredis";
import { collectDefaultMetrics, Histogram, register } from "prom-client";
import { RedisStore } from "rate-limit-redis";

export function addLayers(app, redisUrl) {
  collectDefaultMetrics();
  const seconds = new Histogram({
    name: "http_request_duration_seconds",
    help: "Duration of requests",
    labelNames: ["method", "route", "status"],
  });
  app.use((request, response, next) => {
    const id = request.get("X-Request-Id") ?? randomUUID();
    response.set("X-Request-Id", id);
    const end = seconds.startTimer();
    response.on("finish", () =>
      end({ method: request.method, route: request.route?.path ?? "", status: response.statusCode }),
    );
    next();
  });
  app.use(helmet());
  app.use(cors({ origin: ["http://localhost:3000"] }));
  // Calls of one turn of the event loop share a write, as in the API.
  const redis = new Redis(redisUrl, { enableAutoPipelining: true });
  app.use(
    rateLimit({
      windowMs: 60_000,
      limit: 1_000_000_000,
      standardHeaders: "draft-7",
      legacyHeaders: false,
      store: new RedisStore({ sendCommand: (command, ...rest) => redis.call(command, ...rest) }),
    }),
  );
  app.get("/metrics", async (_, response) => response.type("text").send(await register.metrics()));
}
