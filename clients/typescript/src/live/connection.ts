import type { Channel } from './channel.ts'
import type { Message } from './messages.ts'

/** How a connection ended, and when there is another one. */
export interface Ending {
  readonly again: 'now' | 'soon' | 'later' | 'never'
  /** Seconds that the server asked for. */
  readonly after?: number
  /** Code for programs, such as `4008`, and what the server said. */
  readonly reason: string
  readonly message: string
}

/** One connection to the stream. */
export interface Connection {
  /** Serve the channels until the connection ends. */
  run(): Promise<Ending>
  /** A channel was added. */
  added(channel: Channel): void
  /** A channel was removed. */
  removed(channel: Channel): void
  close(): void
}

/** What a connection works with. */
export interface Context {
  readonly channels: Channels
  /** Called when the server has confirmed a subscription. */
  readonly onWorking: () => void
  /** Seconds without any message after which the connection counts as dead. */
  readonly silence: number
}

/** The open subscriptions by their names. */
export class Channels {
  readonly #byName = new Map<string, Channel>()
  readonly #onEmpty: () => void

  constructor(onEmpty: () => void) {
    this.#onEmpty = onEmpty
  }

  get size(): number {
    return this.#byName.size
  }

  has(name: string): boolean {
    return this.#byName.has(name)
  }

  add(channel: Channel): void {
    this.#byName.set(channel.name, channel)
  }

  isOpen(channel: Channel): boolean {
    return this.#byName.get(channel.name) === channel
  }

  /** Removes a channel; returns whether it was open. */
  remove(channel: Channel): boolean {
    if (!this.isOpen(channel)) return false
    this.#byName.delete(channel.name)
    if (this.#byName.size === 0) this.#onEmpty()
    return true
  }

  all(): Channel[] {
    return [...this.#byName.values()]
  }

  /** The channel that the server calls so. */
  find(stored: string): Channel | undefined {
    const same = this.#byName.get(stored)
    return same?.stored === stored ? same : this.all().find((one) => one.stored === stored)
  }

  /** Ends a channel, and forgets it. */
  end(channel: Channel, reason: string, message: string): void {
    if (this.remove(channel)) channel.end(reason, message)
  }

  /** The channels that miss frames, by the heads that a heartbeat names. */
  behind(message: Message): Channel[] {
    const heads = (message.data['heads'] ?? {}) as Readonly<Record<string, number>>
    return this.all().filter((channel) => {
      const head = heads[channel.stored]
      return head !== undefined && channel.heard(head)
    })
  }
}

/** Calls `onSilence` when nothing was heard for so many seconds. */
export class Watch {
  readonly #milliseconds: number
  readonly #onSilence: () => void
  #timer: ReturnType<typeof setTimeout> | undefined

  constructor(seconds: number, onSilence: () => void) {
    this.#milliseconds = seconds * 1000
    this.#onSilence = onSilence
  }

  heard(): void {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(this.#onSilence, this.#milliseconds)
  }

  stop(): void {
    clearTimeout(this.#timer)
  }
}
