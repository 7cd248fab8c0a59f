// A WebSocket server with `ws` and a Redis subscription, as a rival of the API's sockets. Settings
// come as JSON on standard input: port, redis, channel (of Redis, and the one that clients subscribe
// to). Prints a line once it listens.

import { text } from "node:stream/consumers";

import Redis from "ioredis";
import { WebSocketServer } from "ws";

const settings = JSON.parse(await text(process.stdin));
const sockets = new Map();
const redis = new Redis(settings.redis);
const server = new WebSocketServer({ host: "127.0.0.1", port: settings.port, backlog: 2048 });

server.on("connection", (socket) => {
  socket.on("error", () => socket.terminate());
  socket.on("close", () => {
    for (const members of sockets.values()) members.delete(socket);
  });
  socket.on("message", (data) => {
    const command = JSON.parse(data.toString());
    const channel = `market:${command.market_id}`;
    if (!sockets.has(channel)) sockets.set(channel, new Set());
    sockets.get(channel).add(socket);
    socket.send(JSON.stringify({ type: "market_state", channel, seq: 0 }));
  });
});

redis.on("messageBuffer", (channel, message) => {
  // One buffer for all; as text, like the API's frames.
  for (const socket of sockets.get(channel.toString()) ?? []) {
    socket.send(message, { binary: false });
  }
});
await redis.subscribe(settings.channel);
server.on("listening", () => console.log("listening"));
if (server.address()) console.log("listening");
