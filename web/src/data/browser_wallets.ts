import type { Wallet } from '@zmart/client'
import { base58 } from '@scure/base'
import { getWallets } from '@wallet-standard/app'
import type { Wallet as StandardWallet, WalletAccount } from '@wallet-standard/base'
import { signal } from '@preact/signals'

/** The parts of the Wallet Standard, and of its extension for Solana, that these pages call. */
interface Connect {
  connect(): Promise<{ readonly accounts: readonly WalletAccount[] }>
}
interface SignMessage {
  signMessage(input: {
    readonly account: WalletAccount
    readonly message: Uint8Array
  }): Promise<readonly { readonly signature: Uint8Array }[]>
}
interface SignTransaction {
  signTransaction(input: {
    readonly account: WalletAccount
    readonly transaction: Uint8Array
  }): Promise<readonly { readonly signedTransaction: Uint8Array }[]>
}

const CONNECT = 'standard:connect'
const SIGN_MESSAGE = 'solana:signMessage'
const SIGN_TRANSACTION = 'solana:signTransaction'

const registry = getWallets()
const usable = () =>
  registry.get().filter(({ features }) => CONNECT in features && SIGN_MESSAGE in features)

/** The wallets in this browser that can sign in; they may come at any time. */
export const browserWallets = signal<readonly StandardWallet[]>(usable())
registry.on('register', () => {
  browserWallets.value = usable()
})
registry.on('unregister', () => {
  browserWallets.value = usable()
})

/** Ask a wallet for its first account, as the client of the API wants it. */
export async function connected(wallet: StandardWallet): Promise<Wallet> {
  const { accounts } = await (wallet.features[CONNECT] as Connect).connect()
  const [account] = accounts
  if (account === undefined) throw new Error(`${wallet.name} has no account for this page.`)
  return {
    address: base58.encode(account.publicKey as Uint8Array),
    signMessage: async (message) => {
      const signer = wallet.features[SIGN_MESSAGE] as SignMessage
      const [output] = await signer.signMessage({ account, message })
      if (output === undefined) throw new Error(`${wallet.name} signed nothing.`)
      return output.signature
    },
    signTransaction: async (transaction) => {
      const signer = wallet.features[SIGN_TRANSACTION] as SignTransaction | undefined
      if (signer === undefined) throw new Error(`${wallet.name} signs no transactions.`)
      const [output] = await signer.signTransaction({ account, transaction })
      if (output === undefined) throw new Error(`${wallet.name} signed nothing.`)
      return output.signedTransaction
    },
  }
}
