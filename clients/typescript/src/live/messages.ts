import type {
  AlertFrame,
  Claim,
  CommentFrame,
  MarketStateFrame,
  OperatorAlertFrame,
  PositionFrame,
  PricesFrame,
  RelayedTransaction,
  SystemState,
  TradeFrame,
  VoteFrame,
} from '../schema.ts'

/** A message of the stream, as it is sent. */
export interface Message {
  readonly type: string
  readonly timestamp: string
  readonly data: Readonly<Record<string, unknown>>
  readonly market_id?: string
  readonly channel?: string
  /** Position in the sequence of all channels. */
  readonly seq?: number
  /** Position of the frame before it on the same channel; 0: none. */
  readonly prev?: number
  /** Each frame holds the whole state, and older ones may be left out. */
  readonly conflated?: boolean
}

/** What the frames of a type carry. Rows are those of REST. */
export interface FrameData {
  readonly trade: TradeFrame
  readonly vote: VoteFrame
  readonly market_state: MarketStateFrame
  readonly discussion: CommentFrame
  readonly prices: PricesFrame
  readonly position: PositionFrame
  readonly claim: Claim
  readonly transaction: RelayedTransaction
  readonly alert: AlertFrame | OperatorAlertFrame
  readonly system: SystemState
}

interface FrameOf<Type extends string, Data> {
  readonly kind: 'frame'
  readonly type: Type
  readonly channel: string
  readonly seq: number
  readonly timestamp: string
  readonly data: Data
}

/** One change of a channel. `type` says what `data` is; later versions of the API may have others. */
export type Frame = { [Type in keyof FrameData]: FrameOf<Type, FrameData[Type]> }[keyof FrameData]

/** The state of a channel as of `seq`, in place of all that was received before. */
export interface Snapshot {
  readonly kind: 'snapshot'
  readonly channel: string
  readonly seq: number
  /** In the shape of REST. Undefined where the server sends none: read the state by REST. */
  readonly state: unknown
  /** Why frames were missed for good; undefined at the beginning of a subscription. */
  readonly missed: string | undefined
}

export type Update = Snapshot | Frame

/** A text that is no message of the stream. */
export class NotAMessage extends Error {
  override readonly name = 'NotAMessage'
}

/** Returns the message in a text; throws `NotAMessage` where there is none. */
export function parsed(text: string): Message {
  const value = decoded(text)
  if (!isMessage(value)) throw new NotAMessage(`no message of the stream: ${text.slice(0, 100)}`)
  return value
}

function decoded(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function isMessage(value: unknown): value is Message {
  if (typeof value !== 'object' || value === null) return false
  const { type, data } = value as Partial<Message>
  return typeof type === 'string' && typeof data === 'object' && data !== null
}

/** Whether a message is a frame of its channel, and no answer to a command. */
export function isFrame(message: Message): boolean {
  return message.prev !== undefined || message.conflated === true
}

/** Whether a message confirms a command. */
export function isAcknowledgement(message: Message): boolean {
  return !isFrame(message) && ('subscriptions' in message.data || message.type === 'authenticated')
}
