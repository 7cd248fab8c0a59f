import { ApiError } from '../errors.ts'
import type { Channel } from './channel.ts'
import { type Connection, type Context, type Ending, Watch } from './connection.ts'
import { take } from './dispatch.ts'
import { type Message, NotAMessage, isAcknowledgement, parsed } from './messages.ts'
import { Pace } from './pace.ts'

/** Returns a single-use ticket that authenticates a socket. */
export type TicketSource = () => Promise<string>

/** Codes of errors after which the same command may succeed. */
const TEMPORARY = ['database_unavailable', 'service_unavailable', 'overloaded', 'limit_exceeded']
const RETRY_SECONDS = 2
/** Messages a minute; the server allows more. */
const MESSAGES_PER_MINUTE = 90

interface Command {
  readonly message: Readonly<Record<string, unknown>>
  /** The channel to subscribe to; undefined for other commands. */
  readonly channel?: Channel
}

/** A WebSocket to the stream. It sends one command at a time, so that each answer belongs to one. */
export class LiveSocket implements Connection {
  readonly #url: string
  readonly #context: Context
  readonly #ticket: TicketSource | undefined
  readonly #watch: Watch
  readonly #pace = new Pace(MESSAGES_PER_MINUTE)
  readonly #timers = new Set<ReturnType<typeof setTimeout>>()
  #waiting: Command[] = []
  #sent: Command | undefined
  #authenticated: Promise<void> | undefined
  #socket: WebSocket | undefined
  #finish: (ending: Ending) => void = () => undefined

  constructor(url: string, context: Context, ticket: TicketSource | undefined) {
    this.#url = url
    this.#context = context
    this.#ticket = ticket
    this.#watch = new Watch(context.silence, () =>
      this.#end({ again: 'soon', reason: 'silent', message: 'nothing was received' }),
    )
  }

  run(): Promise<Ending> {
    const socket = new WebSocket(this.#url)
    this.#socket = socket
    socket.addEventListener('open', () => this.#context.channels.all().forEach((one) => this.added(one)))
    socket.addEventListener('message', ({ data }) => this.#receive(String(data)))
    socket.addEventListener('close', ({ code, reason }) => this.#end(endingOf(code, reason)))
    this.#watch.heard()
    return new Promise((resolve) => {
      this.#finish = resolve
    })
  }

  close(): void {
    this.#end({ again: 'now', reason: 'closed', message: 'closed by the program' })
  }

  #end(ending: Ending): void {
    this.#socket?.close()
    this.#socket = undefined
    this.#watch.stop()
    this.#timers.forEach(clearTimeout)
    this.#finish(ending)
  }

  added(channel: Channel): void {
    if (this.#socket?.readyState !== WebSocket.OPEN) return
    const ticket = isPersonal(channel) ? this.#ticket : undefined
    if (ticket === undefined) this.#ask(channel, channel.since)
    else void this.#askAuthenticated(channel, ticket)
  }

  removed(channel: Channel): void {
    this.#do({ message: { action: 'unsubscribe', channel: channel.stored } })
  }

  async #askAuthenticated(channel: Channel, ticket: TicketSource): Promise<void> {
    try {
      // A ticket serves one connection.
      this.#authenticated ??= ticket().then((one) =>
        this.#do({ message: { action: 'authenticate', ticket: one } }),
      )
      await this.#authenticated
    } catch (error) {
      this.#authenticated = undefined
      if (!(error instanceof ApiError) || TEMPORARY.includes(error.code)) {
        this.#end({ again: 'soon', reason: 'no_ticket', message: String(error) })
        return
      }
      // Without a ticket the server says what is not permitted.
    }
    this.#ask(channel, channel.since)
  }

  #ask(channel: Channel, since: number | undefined): void {
    const message = { action: 'subscribe', channel: channel.name }
    this.#do({ message: since === undefined ? message : { ...message, since }, channel })
  }

  #do(command: Command): void {
    if (this.#socket?.readyState !== WebSocket.OPEN) return
    this.#waiting.push(command)
    this.#next()
  }

  #next(): void {
    if (this.#sent !== undefined) return
    const command = this.#waiting.shift()
    if (command === undefined) return
    if (command.channel !== undefined && !this.#context.channels.isOpen(command.channel)) {
      this.#next()
      return
    }
    this.#sent = command
    this.#after(this.#pace.wait(Date.now()), () => this.#socket?.send(JSON.stringify(command.message)))
  }

  #after(milliseconds: number, act: () => void): void {
    if (milliseconds <= 0) {
      act()
      return
    }
    const timer = setTimeout(() => {
      this.#timers.delete(timer)
      act()
    }, milliseconds)
    this.#timers.add(timer)
  }

  #receive(text: string): void {
    if (this.#socket === undefined) return
    this.#watch.heard()
    try {
      this.#take(parsed(text))
    } catch (error) {
      if (!(error instanceof NotAMessage)) throw error
      this.#end({ again: 'later', reason: 'not_a_message', message: error.message })
    }
  }

  #take(message: Message): void {
    if (isAcknowledgement(message)) {
      this.#acknowledged(message)
    } else if (message.type === 'error') {
      this.#failed(message)
    } else {
      if (message.type === 'unsubscribed') this.#authenticated = undefined
      take(message, this.#context.channels).forEach((channel) => this.#resume(channel))
    }
  }

  #acknowledged(message: Message): void {
    const command = this.#sent
    this.#sent = undefined
    if (command?.channel !== undefined) {
      command.channel.acknowledge(message)
      this.#context.onWorking()
    }
    this.#next()
  }

  #failed({ data }: Message): void {
    const channel = this.#sent?.channel
    this.#sent = undefined
    const code = String(data['code'] ?? 'error')
    if (channel !== undefined) {
      if (TEMPORARY.includes(code)) {
        this.#after(RETRY_SECONDS * 1000, () => this.#ask(channel, channel.since))
      } else {
        this.#context.channels.end(channel, code, String(data['error'] ?? code))
      }
    }
    this.#next()
  }

  /** Ask for the frames that are missing, unless that is under way. */
  #resume(channel: Channel): void {
    const asked = [this.#sent, ...this.#waiting].some((command) => command?.channel === channel)
    if (!asked) this.#ask(channel, channel.sinceAfterGap())
  }
}

/** Channels of which a signed-in caller sees more. */
function isPersonal(channel: Channel): boolean {
  return channel.name.startsWith('wallet:') || channel.name === 'alerts'
}

const NOT_AUTHENTICATED = 4001
const POLICY = 4008
const TOO_MANY_SOCKETS = 4029

function endingOf(code: number, text: string): Ending {
  const reason = String(code)
  const message = text || `the connection was closed (${code})`
  if (code === POLICY || code === NOT_AUTHENTICATED) return { again: 'never', reason, message }
  return { again: code === TOO_MANY_SOCKETS ? 'later' : 'soon', reason, message }
}
