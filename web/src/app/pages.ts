import type { ComponentType } from 'preact'
import lazy from 'preact-iso/lazy'

/** What a page receives. */
export interface PageProps {
  /** The parts of the address that stand for the parameters of its pattern. */
  readonly params: Readonly<Record<string, string>>
}

export interface PageEntry {
  /** Pattern of the address; `:name` is a parameter. */
  readonly path: string
  readonly component: ComponentType<PageProps>
  /** Its entry in the navigation, if it has one. */
  readonly link?: string
}

/** Every page. Each is a file of its own that is loaded when it is first shown. */
export const PAGES: readonly PageEntry[] = [
  {
    path: '/app',
    link: 'System',
    component: lazy(() => import('../pages/system/system_page.tsx')),
  },
  {
    path: '/app/markets',
    link: 'Markets',
    component: lazy(() => import('../pages/markets/markets_page.tsx')),
  },
  {
    path: '/app/markets/:market',
    component: lazy(() => import('../pages/market/market_page.tsx')),
  },
  {
    path: '/app/wallets/:wallet',
    component: lazy(() => import('../pages/wallet/wallet_page.tsx')),
  },
  {
    path: '/app/runbooks/:topic',
    component: lazy(() => import('../pages/runbook/runbook_page.tsx')),
  },
]
