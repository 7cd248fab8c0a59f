import { EventSourceParserStream } from 'eventsource-parser/stream'
import { errorOf } from '../errors.ts'
import type { Send } from '../retries.ts'
import type { Channel } from './channel.ts'
import { type Connection, type Context, type Ending, Watch } from './connection.ts'
import { take } from './dispatch.ts'
import { type Message, isAcknowledgement, parsed } from './messages.ts'

/** Statuses after which the same request may succeed, by what they mean for the next one. */
const TEMPORARY: Readonly<Record<number, Ending['again']>> = { 408: 'soon', 429: 'later', 503: 'soon' }

/**
 * Server-Sent Events, for programs without WebSockets. The channels are those of the request, so
 * that another set of channels needs another connection.
 */
export class EventStream implements Connection {
  readonly #url: string
  readonly #context: Context
  readonly #send: Send
  readonly #stop = new AbortController()
  readonly #watch: Watch
  #unconfirmed: Channel[] = []
  #ending: Ending | undefined

  constructor(url: string, context: Context, send: Send) {
    this.#url = url
    this.#context = context
    this.#send = send
    this.#watch = new Watch(context.silence, () =>
      this.#end({ again: 'soon', reason: 'silent', message: 'nothing was received' }),
    )
  }

  async run(): Promise<Ending> {
    this.#watch.heard()
    try {
      const response = await this.#send(this.#request())
      const ending = response.ok ? await this.#read(response) : await refusal(response)
      return this.#ending ?? ending
    } catch (error) {
      return this.#ending ?? { again: 'soon', reason: 'failed', message: String(error) }
    } finally {
      this.#watch.stop()
      this.#stop.abort()
    }
  }

  close(): void {
    this.#end({ again: 'now', reason: 'closed', message: 'closed by the program' })
  }

  added(): void {
    this.#end({ again: 'now', reason: 'changed', message: 'a channel was added' })
  }

  removed(): void {
    this.#end({ again: 'now', reason: 'changed', message: 'a channel was removed' })
  }

  #end(ending: Ending): void {
    this.#ending ??= ending
    this.#stop.abort()
  }

  #request(): Request {
    this.#unconfirmed = this.#context.channels.all()
    const query = new URLSearchParams(this.#unconfirmed.map(({ name }) => ['channel', name]))
    const since = commonPosition(this.#unconfirmed)
    if (since !== undefined) query.set('since', String(since))
    const headers = { Accept: 'text/event-stream' }
    return new Request(`${this.#url}?${query}`, { headers, signal: this.#stop.signal })
  }

  async #read({ body }: Response): Promise<Ending> {
    const events = body
      ?.pipeThrough(new TextDecoderStream())
      .pipeThrough(new EventSourceParserStream())
      .getReader()
    for (;;) {
      const event = await events?.read()
      if (this.#ending !== undefined) return this.#ending
      if (event?.value === undefined) {
        return { again: 'soon', reason: 'ended', message: 'the server ended the stream' }
      }
      this.#watch.heard()
      this.#take(parsed(event.value.data), event.value.id)
    }
  }

  #take(message: Message, position: string | undefined): void {
    const { channels, onWorking } = this.#context
    if (isAcknowledgement(message)) {
      this.#confirmed(message.channel)?.acknowledge(message)
      onWorking()
    } else {
      const behind = take(message, channels)
      if (behind.length > 0) {
        behind.forEach((channel) => channel.sinceAfterGap())
        this.#end({ again: 'soon', reason: 'gap', message: 'frames are missing' })
        return
      }
    }
    if (position !== undefined) channels.all().forEach((one) => one.reached(Number(position)))
  }

  /** The channel that the server confirms: it may know a market by another name than the program. */
  #confirmed(stored: string | undefined): Channel | undefined {
    const found = this.#unconfirmed.find((one) => one.stored === stored) ?? this.#unconfirmed[0]
    this.#unconfirmed = this.#unconfirmed.filter((one) => one !== found)
    return found
  }
}

/** The position that all channels can resume after; undefined where one needs a snapshot. */
function commonPosition(channels: readonly Channel[]): number | undefined {
  if (channels.some((one) => one.since === undefined)) return undefined
  const positions = channels.filter((one) => !one.isConflated).map((one) => one.since ?? 0)
  return positions.length > 0 ? Math.min(...positions) : undefined
}

async function refusal(response: Response): Promise<Ending> {
  const { code, message, status, retryAfter } = await errorOf(response)
  const again = TEMPORARY[status] ?? (status >= 500 ? 'soon' : 'never')
  return { again, reason: code, message, ...(retryAfter === undefined ? {} : { after: retryAfter }) }
}
