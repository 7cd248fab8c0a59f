import { type Tokens, ZmartClient } from '@zmart/client'
import { signal } from '@preact/signals'

/** The wallet or key that acts; undefined for visitors. */
export const session = signal<Tokens | undefined>(undefined)

/** The one client of this page. The API that serves the page is the API that it reads. */
export const api = new ZmartClient({
  url: location.origin,
  cookies: true,
  // Pages show an outage at once and read again by themselves.
  retries: { attempts: 1 },
  onTokens: (tokens) => {
    session.value = tokens
  },
})
