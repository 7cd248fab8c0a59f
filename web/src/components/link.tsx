import type { ComponentChildren } from 'preact'

/** A link to a page that may have no address here; its text stands alone then. */
export function Link({ to, children }: { to: string | undefined; children: ComponentChildren }) {
  return to === undefined ? <>{children}</> : <a href={to}>{children}</a>
}
