export { type ClientOptions, type Reading, type VoteKind, ZmartClient } from './client.ts'
export { ApiError, TransactionFailed, UNREADABLE } from './errors.ts'
export { type Exact, asNumber, exactIntegers } from './exact.ts'
export { SubscriptionEnded } from './live/channel.ts'
export {
  type ConnectionState,
  type LiveOptions,
  LiveUpdates,
  type SubscribeOptions,
  type Subscription,
} from './live/live_updates.ts'
export type { Frame, FrameData, Snapshot, Update } from './live/messages.ts'
export { DEFAULT_RETRIES, type RetryPolicy } from './retries.ts'
export type * from './schema.ts'
export type { SessionOptions, Tokens } from './session.ts'
export type { Wallet } from './wallet.ts'
