import { base58 } from '@scure/base'

/** What the client asks of a wallet: the byte-level functions of the Wallet Standard. */
export interface Wallet {
  /** The wallet's address in base58. */
  readonly address: string
  /** The ed25519 signature (64 bytes) of a text. */
  signMessage(message: Uint8Array): Promise<Uint8Array>
  /** The transaction with the wallet's signature in its place. */
  signTransaction(transaction: Uint8Array): Promise<Uint8Array>
}

/** A wallet's signature of a text in base58. */
export async function signedText(wallet: Wallet, text: string): Promise<string> {
  return base58.encode(await wallet.signMessage(new TextEncoder().encode(text)))
}
