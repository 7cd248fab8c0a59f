import type { Frame, Message, Update } from './messages.ts'

/** What a frame is to the channel that receives it. */
export type Verdict = 'applied' | 'known' | 'gap'

/** A subscription has ended, and is not resumed. */
export class SubscriptionEnded extends Error {
  override readonly name = 'SubscriptionEnded'
  readonly channel: string
  /** Code of the reason, such as `session_ended`. */
  readonly reason: string

  constructor(channel: string, reason: string, message: string) {
    super(message)
    this.channel = channel
    this.reason = reason
  }
}

export interface Consumer {
  update(update: Update): void
  /** Called once; without an error where the program has closed the subscription. */
  end(error?: SubscriptionEnded): void
}

/**
 * One subscription, over all connections: which frames it has, which are missing, and from where it
 * resumes. Each frame reaches the consumer once and in order.
 */
export class Channel {
  /** As the program names it. */
  readonly name: string
  readonly #consumer: Consumer
  #stored: string
  /** Position of the newest frame or of the snapshot. */
  #last: number | undefined
  /** A later position up to which nothing is missing: there were other channels' frames. */
  #complete = 0
  #resumedFrom: number | undefined
  #isConflated = false
  #isOpen = true
  #heard: { readonly head: number; readonly last: number | undefined } | undefined

  constructor(name: string, consumer: Consumer, since?: number) {
    this.name = name
    this.#stored = name
    this.#consumer = consumer
    this.#last = since
  }

  /** As the server names it: it may know the market by another name. */
  get stored(): string {
    return this.#stored
  }

  /** The position to resume after; undefined: the subscription begins with a snapshot. */
  get since(): number | undefined {
    return this.#last === undefined ? undefined : Math.max(this.#last, this.#complete)
  }

  get isConflated(): boolean {
    return this.#isConflated
  }

  /** The position to ask for at a gap: a resumption that did not help is not asked for again. */
  sinceAfterGap(): number | undefined {
    if (this.#resumedFrom === this.#last) this.#last = undefined
    this.#resumedFrom = this.#last
    this.#complete = 0
    return this.#last
  }

  /** Take the confirmation of a subscription, which may have the state. */
  acknowledge(message: Message): void {
    this.#stored = message.channel ?? this.name
    this.#isConflated ||= message.conflated === true
    if (this.#last === undefined || 'snapshot' in message.data) this.#begin(message, undefined)
  }

  /** Take the message that missed frames are not sent. */
  reset(message: Message): void {
    this.#begin(message, String(message.data['message'] ?? message.data['reason'] ?? ''))
  }

  #begin(message: Message, missed: string | undefined): void {
    const { seq = 0, data } = message
    this.#last = seq
    this.#resumedFrom = undefined
    const state = data['snapshot']
    this.#emit({ kind: 'snapshot', channel: this.name, seq, state, missed })
  }

  /** Take a frame: apply it if it is the next one. */
  frame(message: Message): Verdict {
    const { seq = 0, prev } = message
    this.#isConflated ||= message.conflated === true
    if (this.#last === undefined || seq <= this.#last) return 'known'
    if (prev !== undefined && prev > this.#last && !this.#isConflated) return 'gap'
    this.#last = seq
    this.#emit(frameOf(message, this.name))
    return 'applied'
  }

  /** Note that a connection has brought everything up to a position. */
  reached(position: number): void {
    this.#complete = Math.max(this.#complete, position)
  }

  /**
   * Take the channel's head from a heartbeat. Returns whether frames are missing: at the heartbeat
   * before there was one that has not come, nor any other since.
   */
  heard(head: number): boolean {
    const before = this.#heard
    this.#heard = { head, last: this.#last }
    if (before === undefined || this.#last === undefined) return false
    return before.last === this.#last && before.head > this.#last
  }

  /** Forget the heartbeats of a connection that has ended. */
  disconnected(): void {
    this.#heard = undefined
  }

  /** Begin again with a snapshot. */
  forget(): void {
    this.#last = undefined
  }

  end(reason: string, message: string): void {
    this.#isOpen = false
    this.#consumer.end(new SubscriptionEnded(this.name, reason, message))
  }

  close(): void {
    this.#isOpen = false
    this.#consumer.end()
  }

  #emit(update: Update): void {
    if (this.#isOpen) this.#consumer.update(update)
  }
}

/** The API describes the data of each type. */
function frameOf({ type, seq = 0, timestamp, data }: Message, channel: string): Frame {
  return { kind: 'frame', type, channel, seq, timestamp, data } as unknown as Frame
}
