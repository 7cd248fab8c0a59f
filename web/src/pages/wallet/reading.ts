import type { Network, Reading } from '@zmart/client'
import { type Resource, useResource } from '../../data/resource.ts'

/** Seconds after which figures are read again. */
const READ_SECONDS = 10
/** Seconds after which figures that could not be read again are marked as stale. */
export const FRESH_SECONDS = 3 * READ_SECONDS

/** What every panel of a wallet receives. */
export interface WalletPanelProps {
  readonly wallet: string
  readonly network: Network | undefined
}

/** A part of a wallet, read regularly: its channel is private to the wallet. */
export function useWalletPart<Data>(
  wallet: string,
  name: string,
  read: () => Promise<Reading<Data>>,
): Resource<Data> {
  return useResource(`${name} of wallet ${wallet}`, read, READ_SECONDS).state.value
}
