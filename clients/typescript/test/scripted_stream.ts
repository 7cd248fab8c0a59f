import { type IncomingMessage, type Server, type ServerResponse, createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type WebSocket, WebSocketServer } from 'ws'

interface Stored {
  readonly channel: string
  readonly seq: number
  readonly prev: number
  readonly type: string
  readonly data: Record<string, unknown>
}

export interface Command {
  readonly action: string
  readonly channel?: string
  readonly since?: number
  readonly ticket?: string
}

/** One client as the server sees it, by either way of connecting. */
interface Client {
  readonly channels: Set<string>
  readonly send: (message: object, position?: number) => void
}

type Fault = 'lost' | 'doubled'

/**
 * A stream by WebSocket and Server-Sent Events that does what a test says: it loses and doubles
 * frames, forgets the past, falls silent and ends connections.
 */
export class ScriptedStream implements AsyncDisposable {
  readonly commands: Command[] = []
  readonly requests: URL[] = []
  readonly headers: IncomingMessage['headers'][] = []
  connections = 0
  /** Answers of the next commands instead of the usual ones. */
  readonly answers: object[] = []
  /** The status that refuses event streams. */
  refusal: { status: number; code: string } | undefined
  /** Names under which the server knows channels that clients name differently. */
  readonly aliases = new Map<string, string>()
  readonly #stored: Stored[] = []
  readonly #forgotten = new Set<string>()
  readonly #clients = new Set<Client>()
  readonly #faults: Fault[] = []
  readonly #sockets = new WebSocketServer({ noServer: true })
  readonly #server: Server
  #waiting: (() => void)[] = []

  constructor() {
    this.#server = createServer((request, response) => this.#stream(request, response))
    this.#server.on('upgrade', (request, socket, head) =>
      this.#sockets.handleUpgrade(request, socket, head, (opened) => this.#serve(opened)),
    )
  }

  async start(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve))
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  /** Open connections. */
  get clients(): number {
    return this.#clients.size
  }

  /** Wait until a condition holds; it is tried after each message and connection. */
  async until(condition: () => boolean): Promise<void> {
    while (!condition()) {
      await new Promise<void>((resolve) => this.#waiting.push(resolve))
    }
  }

  /** Try the conditions that are waited for. */
  changed(): void {
    const waiting = this.#waiting
    this.#waiting = []
    for (const resolve of waiting) resolve()
  }

  /** What happens to the next frames. */
  next(...faults: Fault[]): void {
    this.#faults.push(...faults)
  }

  append(channel: string, data: Record<string, unknown>, type = 'trade'): number {
    const seq = (this.#stored.at(-1)?.seq ?? 0) + 1
    const frame = { channel, seq, prev: this.head(channel), type, data }
    this.#stored.push(frame)
    const fault = this.#faults.shift()
    if (fault === 'lost') return seq
    this.#deliver(frame)
    if (fault === 'doubled') this.#deliver(frame)
    return seq
  }

  head(channel: string): number {
    return this.#frames(channel, 0).at(-1)?.seq ?? 0
  }

  /** Give up the frames of a channel: who resumes is reset. */
  forget(channel: string): void {
    this.#forgotten.add(channel)
  }

  heartbeat(): void {
    for (const { channels, send } of this.#clients) {
      const heads = Object.fromEntries([...channels].map((one) => [one, this.head(one)]))
      send({ type: 'heartbeat', timestamp: '', data: { heads } })
    }
  }

  /** Send a message to every client. */
  say(message: object): void {
    for (const { send } of this.#clients) send(message)
  }

  /** End all connections: with a close code, or as a killed process does. */
  end(code?: number, reason = ''): void {
    for (const socket of this.#sockets.clients) {
      if (code === undefined) socket.terminate()
      else socket.close(code, reason)
    }
    this.#server.closeAllConnections()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.end()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  #deliver({ channel, ...frame }: Stored): void {
    for (const client of this.#clients) {
      if (client.channels.has(channel)) client.send(message(channel, frame), frame.seq)
    }
  }

  #serve(socket: WebSocket): void {
    const send = (sent: object) => socket.send(JSON.stringify(sent))
    const client: Client = { channels: new Set(), send }
    this.#connected(client)
    socket.on('close', () => this.#disconnected(client))
    socket.on('message', (data) => {
      const command = JSON.parse(String(data)) as Command
      this.commands.push(command)
      const answer = this.answers.shift()
      if (answer !== undefined) send(answer)
      else this.#obey(client, command)
      this.changed()
    })
    send({ type: 'welcome', timestamp: '', data: {} })
  }

  #obey(client: Client, { action, channel = '', since }: Command): void {
    if (action === 'authenticate') {
      client.send({ type: 'authenticated', timestamp: '', data: {} })
    } else if (action === 'subscribe') {
      this.#subscribe(client, channel, since)
    } else {
      client.channels.delete(channel)
      client.send(acknowledgement(channel, undefined, {}))
    }
  }

  #subscribe(client: Client, name: string, since: number | undefined): void {
    const channel = this.aliases.get(name) ?? name
    const head = this.head(channel)
    client.channels.add(channel)
    const snapshot = { numbers: this.#frames(channel, 0).map(({ data }) => data['n']) }
    const isForgotten = since !== undefined && since < head && this.#forgotten.has(channel)
    client.send(acknowledgement(channel, head, since === undefined ? { snapshot } : {}))
    if (isForgotten) {
      const data = { reason: 'too_old', message: 'too old', snapshot }
      client.send({ type: 'reset', timestamp: '', channel, seq: head, data })
    } else if (since !== undefined) {
      for (const { channel: _, ...frame } of this.#frames(channel, since)) {
        client.send(message(channel, frame), frame.seq)
      }
    }
  }

  #frames(channel: string, since: number): Stored[] {
    return this.#stored.filter((frame) => frame.channel === channel && frame.seq > since)
  }

  #stream(request: IncomingMessage, response: ServerResponse): void {
    const url = new URL(request.url ?? '', 'http://stream')
    this.requests.push(url)
    this.headers.push(request.headers)
    if (this.refusal !== undefined) {
      const { status, code } = this.refusal
      response.writeHead(status, { 'content-type': 'application/json' })
      response.end(JSON.stringify({ code, message: `it is ${code}`, status }))
      this.changed()
      return
    }
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    const send = (sent: object, position?: number) => {
      const id = position === undefined ? '' : `id: ${position}\n`
      response.write(`${id}data: ${JSON.stringify(sent)}\n\n`)
    }
    const client: Client = { channels: new Set(), send }
    this.#connected(client)
    response.on('close', () => this.#disconnected(client))
    const since = url.searchParams.get('since')
    for (const channel of url.searchParams.getAll('channel')) {
      this.#subscribe(client, channel, since === null ? undefined : Number(since))
    }
  }

  #connected(client: Client): void {
    this.#clients.add(client)
    this.connections++
    this.changed()
  }

  #disconnected(client: Client): void {
    this.#clients.delete(client)
    this.changed()
  }
}

export function message(channel: string, frame: Omit<Stored, 'channel'>): object {
  return { timestamp: '2026-11-20T08:00:00.000Z', channel, ...frame }
}

function acknowledgement(channel: string, seq: number | undefined, data: object): object {
  const all = { message: `Subscribed to ${channel}`, subscriptions: [channel], ...data }
  return { type: 'subscribed', timestamp: '', channel, seq, data: all }
}
