// Follows channels until a line on its input says up to which positions, and prints what it received.
// Each connection that works is one line too.
import { createInterface } from 'node:readline'
import { setTimeout } from 'node:timers/promises'
import { type Update, ZmartClient } from '../../clients/typescript/src/index.ts'

const [url = '', transport = '', ...channels] = process.argv.slice(2)
const received: Record<string, Update[]> = Object.fromEntries(channels.map((name) => [name, []]))
const live = new ZmartClient({ url }).live({
  transport: transport === 'sse' ? 'sse' : 'websocket',
  onConnection: ({ state }) => console.log(JSON.stringify({ state })),
})
const subscriptions = channels.map((name) =>
  live.subscribe(name, (update) => received[name]?.push(update)),
)
for await (const line of createInterface(process.stdin)) {
  const heads = JSON.parse(line) as Record<string, number>
  const isBehind = () => subscriptions.some(({ channel, position }) => (position ?? -1) < (heads[channel] ?? 0))
  while (isBehind()) await setTimeout(50)
  break
}
live.close()
process.stdout.write(`${JSON.stringify({ received })}\n`, () => process.exit(0))
