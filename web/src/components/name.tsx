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
        <svg viewBox="0 0 16 16" aria-hidden="true">
          {copied ? (
            <path d="M3.500 8.500 6.800 11.600 12.500 4.800" class="stroke" />
          ) : (
            <path d="M5.500 5.500h8v8h-8zM2.500 10.500v-8h8" class="stroke" />
          )}
        </svg>
      </button>
    </span>
  )
}
