import type { Network } from '@zmart/client'

const EXPLORER = 'https://explorer.solana.com'

/** A transaction in the Solana explorer, undefined while the network is not known. */
export function transactionLink(signature: string, network: Network | undefined): string | undefined {
  return network && `${EXPLORER}/tx/${signature}${cluster(network)}`
}

/** An account in the Solana explorer, undefined while the network is not known. */
export function accountLink(address: string, network: Network | undefined): string | undefined {
  return network && `${EXPLORER}/address/${address}${cluster(network)}`
}

function cluster({ network, rpc_url }: Network): string {
  if (network === 'mainnet') return ''
  if (network !== 'localnet') return `?cluster=${network}`
  return `?cluster=custom&customUrl=${encodeURIComponent(rpc_url ?? '')}`
}
