import { type Send, sleep } from '../retries.ts'
import { Backoff } from './backoff.ts'
import { Channel, type Consumer, type SubscriptionEnded } from './channel.ts'
import { Channels, type Connection, type Context, type Ending } from './connection.ts'
import { EventStream } from './event_stream.ts'
import { LiveSocket, type TicketSource } from './live_socket.ts'
import type { Update } from './messages.ts'
import { UpdateQueue } from './update_queue.ts'

export interface LiveOptions {
  /**
   * `websocket`, or `sse` for Server-Sent Events. By default a WebSocket where the program has
   * them; where it cannot be opened, the two are tried in turn.
   */
  readonly transport?: 'websocket' | 'sse'
  /** Address of the WebSocket; by default `/ws` of the API. */
  readonly socketUrl?: string
  /** Seconds that bound the random wait before another connection; doubled after each failure. */
  readonly firstWait?: number
  /** Seconds that bound every such wait, however many fail. */
  readonly longestWait?: number
  /** Seconds without any message after which a connection counts as dead. */
  readonly silence?: number
  /** Called when a connection works, and when it has ended. */
  readonly onConnection?: (state: ConnectionState) => void
  /** Receives what the program's own functions throw; by default it is an uncaught error. */
  readonly onError?: (error: unknown) => void
}

export type ConnectionState =
  | { readonly state: 'connected' }
  | { readonly state: 'disconnected'; readonly reason: string; readonly message: string }

/** What is needed of a client of the API. */
export interface LiveAccess {
  readonly url: string
  /** A `fetch` that shows who calls. */
  readonly send: Send
  /** Undefined while no wallet is signed in. */
  readonly ticket: () => TicketSource | undefined
}

/** An open subscription. */
export interface Subscription {
  readonly channel: string
  /** Position of the newest update, from which another subscription can go on. */
  readonly position: number | undefined
  close(): void
}

export interface SubscribeOptions {
  /** A position up to which the program has the channel's state; otherwise it gets a snapshot. */
  readonly since?: number
  /** Called once where the server ends the subscription, or refuses it; else `onError` is. */
  readonly onEnd?: (error: SubscriptionEnded) => void
}

const SILENCE_SECONDS = 45
const FIRST_WAIT_SECONDS = 1
const LONGEST_WAIT_SECONDS = 30
/** Attempts with a WebSocket before Server-Sent Events are tried. */
const ATTEMPTS = 3

/**
 * Live updates: subscriptions over one connection, which is made again when it fails. Each
 * subscription receives a snapshot and then every frame once and in order, over all connections;
 * where frames are gone for good, another snapshot.
 */
export class LiveUpdates {
  readonly #access: LiveAccess
  readonly #options: LiveOptions
  readonly #channels = new Channels(() => this.#disconnect())
  readonly #backoff: Backoff
  #connection: Connection | undefined
  #pause = new AbortController()
  #isRunning = false

  constructor(access: LiveAccess, options: LiveOptions = {}) {
    this.#access = access
    this.#options = options
    const { firstWait = FIRST_WAIT_SECONDS, longestWait = LONGEST_WAIT_SECONDS } = options
    this.#backoff = new Backoff(firstWait, longestWait)
  }

  /** Have each update of a channel passed to `onUpdate`. */
  subscribe(
    name: string,
    onUpdate: (update: Update) => void,
    { since, onEnd = (error) => this.#throw(error) }: SubscribeOptions = {},
  ): Subscription {
    const consumer: Consumer = {
      update: (update) => this.#call(onUpdate, update),
      end: (error) => error !== undefined && this.#call(onEnd, error),
    }
    const channel = this.#add(new Channel(name, consumer, since))
    return {
      channel: name,
      get position() {
        return channel.since
      },
      close: () => this.#close(channel),
    }
  }

  /**
   * The updates of a channel as a loop takes them. Leaving the loop ends the subscription. A loop
   * that falls far behind gets a snapshot in place of the updates that it has not taken. Throws
   * `SubscriptionEnded` where the server ends or refuses the subscription.
   */
  async *updates(name: string, since?: number): AsyncGenerator<Update, void, undefined> {
    const queue = new UpdateQueue()
    const channel = this.#add(new Channel(name, queue, since))
    try {
      for (;;) {
        if (queue.overflowed()) this.#restart(channel)
        const update = await queue.next()
        if (update === undefined) return
        yield update
      }
    } finally {
      this.#close(channel)
    }
  }

  /** End all subscriptions, and the connection. */
  close(): void {
    for (const channel of this.#channels.all()) this.#close(channel)
  }

  #add(channel: Channel): Channel {
    if (this.#channels.has(channel.name)) throw new Error(`${channel.name} is subscribed to already`)
    this.#channels.add(channel)
    if (this.#isRunning) this.#connection?.added(channel)
    else void this.#run()
    return channel
  }

  #restart(channel: Channel): void {
    channel.forget()
    this.#connection?.added(channel)
  }

  #close(channel: Channel): void {
    if (!this.#channels.remove(channel)) return
    channel.close()
    this.#connection?.removed(channel)
  }

  #disconnect(): void {
    this.#connection?.close()
    this.#pause.abort()
  }

  async #run(): Promise<void> {
    this.#isRunning = true
    try {
      while (this.#channels.size > 0) await this.#wait(await this.#connect())
    } finally {
      this.#isRunning = false
    }
  }

  async #connect(): Promise<Ending> {
    let isWorking = false
    const connection = this.#open({
      channels: this.#channels,
      silence: this.#options.silence ?? SILENCE_SECONDS,
      onWorking: () => {
        this.#backoff.succeeded()
        if (!isWorking) this.#options.onConnection?.({ state: 'connected' })
        isWorking = true
      },
    })
    this.#connection = connection
    const ending = await connection.run()
    this.#connection = undefined
    for (const channel of this.#channels.all()) channel.disconnected()
    const { reason, message } = ending
    this.#options.onConnection?.({ state: 'disconnected', reason, message })
    return ending
  }

  #open(context: Context): Connection {
    const { send, ticket } = this.#access
    const url = this.#access.url.replace(/\/$/, '')
    if (!this.#usesSocket()) return new EventStream(`${url}/api/stream`, context, send)
    const address = this.#options.socketUrl ?? `${url.replace(/^http/, 'ws')}/ws`
    return new LiveSocket(address, context, ticket())
  }

  #usesSocket(): boolean {
    const { transport } = this.#options
    if (transport !== undefined) return transport === 'websocket'
    if (typeof WebSocket === 'undefined') return false
    const { failures } = this.#backoff
    return failures < ATTEMPTS || failures % 2 === 0
  }

  /** Wait as long as the ending asks for; where it asks for no other connection, end all. */
  async #wait({ again, after, reason, message }: Ending): Promise<void> {
    if (again === 'now') return
    if (again === 'never') {
      for (const channel of this.#channels.all()) this.#channels.end(channel, reason, message)
      return
    }
    const wait = again === 'later' ? this.#backoff.long() : this.#backoff.next()
    this.#pause = new AbortController()
    // Aborted where the last subscription is closed meanwhile.
    await sleep((after ?? 0) + wait, this.#pause.signal).catch(() => undefined)
  }

  /** Call what the program gave; its errors are its own, and do not end the stream. */
  #call<Value>(called: (value: Value) => void, value: Value): void {
    try {
      called(value)
    } catch (error) {
      this.#throw(error)
    }
  }

  #throw(error: unknown): void {
    const { onError } = this.#options
    queueMicrotask(() => {
      if (onError === undefined) throw error
      onError(error)
    })
  }
}
