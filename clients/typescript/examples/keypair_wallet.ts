import {
  type KeyPairSigner,
  generateKeyPairSigner,
  getTransactionDecoder,
  getTransactionEncoder,
  partiallySignTransaction,
  signBytes,
} from '@solana/kit'
import type { Wallet } from '@zmart/client'

/** A wallet whose key is in memory; a user's wallet signs the same way. */
export class KeypairWallet implements Wallet {
  readonly #signer: KeyPairSigner

  private constructor(signer: KeyPairSigner) {
    this.#signer = signer
  }

  static async generate(): Promise<KeypairWallet> {
    return new KeypairWallet(await generateKeyPairSigner())
  }

  get address(): KeyPairSigner['address'] {
    return this.#signer.address
  }

  signMessage(message: Uint8Array): Promise<Uint8Array> {
    return signBytes(this.#signer.keyPair.privateKey, message)
  }

  async signTransaction(transaction: Uint8Array): Promise<Uint8Array> {
    const unsigned = getTransactionDecoder().decode(transaction)
    const signed = await partiallySignTransaction([this.#signer.keyPair], unsigned)
    return new Uint8Array(getTransactionEncoder().encode(signed))
  }
}
