import type { Network, Reading } from '@zmart/client'
import { useEffect } from 'preact/hooks'
import { Changes } from '../../data/changes.ts'
import { identity } from '../../data/identity.ts'
import { usePersonalChannel } from '../../data/live.ts'
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

/** What changed, by the wallet's address. */
const changes = new Changes<string>()

/** Whether who looks has signed in as this wallet. */
export function isOwn(wallet: string): boolean {
  return identity.value?.name === wallet
}

/** Follow the wallet's private channel, where it belongs to who looks. */
export function useWalletChannel(wallet: string): void {
  usePersonalChannel(isOwn(wallet) ? `wallet:${wallet}` : undefined, (update) => {
    // The first snapshot is as new as what was just read; a later one stands for missed frames.
    if (update.kind === 'frame' || update.missed !== undefined) changes.announce(wallet)
  })
}

/** A part of a wallet: read regularly, and soon after a frame of its own channel. */
export function useWalletPart<Data>(
  wallet: string,
  name: string,
  read: () => Promise<Reading<Data>>,
): Resource<Data> {
  const watched = useResource(`${name} of wallet ${wallet}`, read, READ_SECONDS)
  useEffect(() => changes.follow([wallet], () => void watched.refresh()), [wallet, watched])
  return watched.state.value
}
