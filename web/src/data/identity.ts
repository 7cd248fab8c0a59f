import { type Wallet, ZmartClient } from '@zmart/client'
import { signal } from '@preact/signals'
import { api } from './api.ts'

/** Who acts on this page. The server checks every act again. */
export interface Identity {
  /** The wallet's address, or `service key`. */
  readonly name: string
  readonly isOperator: boolean
  readonly client: ZmartClient
  /** What signs transactions; undefined for keys, and until a wallet is connected again. */
  readonly wallet: Wallet | undefined
}

export const identity = signal<Identity | undefined>(undefined)

/** Sign in with a wallet, which signs one text; cookies that no script can read hold the session. */
export async function signInWithWallet(wallet: Wallet): Promise<void> {
  await api.signIn(wallet)
  identity.value = { name: wallet.address, ...(await whoAmI()), client: api, wallet }
  localStorage.setItem(SIGNED_IN, 'yes')
}

/** Act with the key of a service. It is kept in this page's memory alone, until it is left. */
export async function useKey(key: string): Promise<void> {
  const client = new ZmartClient({ url: location.origin, apiKey: key })
  // Only operators may read it, and anyone else is refused here and not at the first act.
  await client.get('/api/orders', { params: { query: { limit: 1 } } })
  identity.value = { name: 'service key', isOperator: true, client, wallet: undefined }
}

const SIGNED_IN = 'signed-in'

/** Go on with the session of an earlier visit. Visitors who never signed in ask for nothing. */
export async function resumeSession(): Promise<void> {
  if (localStorage.getItem(SIGNED_IN) === null) return
  const tokens = await api.resume()
  if (tokens === undefined) localStorage.removeItem(SIGNED_IN)
  else identity.value = { name: tokens.wallet, ...(await whoAmI()), client: api, wallet: undefined }
}

export async function signOut(): Promise<void> {
  const isSession = identity.value?.client === api
  identity.value = undefined
  localStorage.removeItem(SIGNED_IN)
  if (isSession) await api.signOut()
}

async function whoAmI(): Promise<{ isOperator: boolean }> {
  return { isOperator: (await api.get('/api/users/me')).is_operator }
}

/** Whether what only operators may do is shown. */
export function isOperator(): boolean {
  return identity.value?.isOperator === true
}
