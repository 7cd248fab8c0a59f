import { ZmartClient } from '@zmart/client'

/** The one client of this page. The API that serves the page is the API that it reads. */
export const api = new ZmartClient({
  url: location.origin,
  cookies: true,
  // Pages show an outage at once and read again by themselves.
  retries: { attempts: 1 },
})
