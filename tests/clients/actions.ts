// What the API describes is what the Solana Actions specification says: every object of ours is one
// of the specification's, with no other members. This file is only type-checked.
import type {
  ActionError,
  ActionGetResponse,
  ActionPostRequest,
  ActionsJson,
  LinkedAction,
  NextAction,
  TransactionResponse,
} from '@solana/actions-spec'
import type { components } from '../../clients/typescript/src/schema.ts'

type Ours = components['schemas']
type KeysOf<T> = T extends unknown ? keyof T : never
type IsExact<Mine, Specified> = [Mine] extends [Specified]
  ? [KeysOf<Mine>] extends [KeysOf<Specified>]
    ? true
    : { notSpecified: Exclude<KeysOf<Mine>, KeysOf<Specified>> }
  : false
type Holds<T extends true> = T

export type Checks = [
  Holds<IsExact<Ours['ActionRules'], ActionsJson>>,
  Holds<IsExact<Ours['MarketAction'], ActionGetResponse>>,
  Holds<IsExact<Ours['LinkedAction'], LinkedAction>>,
  Holds<IsExact<Ours['ActionTransaction'], TransactionResponse>>,
  Holds<IsExact<Ours['FollowingAction'], NextAction>>,
  // Errors have more members; wallets show the message.
  Holds<Ours['ErrorBody'] extends ActionError ? true : false>,
  // What a wallet sends for a transaction is accepted.
  Holds<ActionPostRequest & { type: 'transaction' } extends Ours['ActionRequest'] ? true : false>,
]
