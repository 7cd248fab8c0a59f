import { useState } from 'preact/hooks'
import { shortened } from '../format/names.ts'

/** A key, signature, CID or id, shortened, with a button that copies all of it. */
export function Name({ of, href, ends = 4 }: { of: string; href?: string; ends?: number }) {
  const [copied, setCopied] = useState(false)
  const copy = async () => {
    await navigator.clipboard.writeText(of)
    setCopied(true)
    setTimeout(() => setCopied(false), 1500)
  }
  const text = <code>{shortened(of, ends)}</code>
  return (
    <span class="name" title={of}>
      {href === undefined ? text : <a href={href}>{text}</a>}
      <button type="button" class="copy" onClick={copy} aria-label={`Copy ${of}`}>
        {copied ? '✓' : '⧉'}
      </button>
    </span>
  )
}
