import type { NewOrder } from '@zmart/client'
import type { ComponentChildren } from 'preact'
import { useState } from 'preact/hooks'
import { identity, isOperator } from '../data/identity.ts'
import { signal } from '@preact/signals'
import { AskDialog } from './ask_dialog.tsx'

/** Raised by one with each order, so that lists of orders are read again. */
export const ordersSent = signal(0)

interface OrderButtonProps {
  readonly label: string
  /** The dialog's heading, in the words of what will happen. */
  readonly title: string
  readonly kind: NewOrder['kind']
  /** The order's parameters, from the fields of the dialog where it has any. */
  readonly parameters: (fields: Readonly<Record<string, string>>) => Record<string, unknown>
  /** Fields besides the reason. */
  readonly children?: ComponentChildren
}

/** A button for operators alone: asks for a reason and sends an order, which is audited. */
export function OrderButton({ label, title, kind, parameters, children }: OrderButtonProps) {
  const [key, setKey] = useState<string>()
  if (!isOperator()) return null

  const send = async (fields: Readonly<Record<string, string>>) => {
    const client = identity.value?.client
    if (client === undefined || key === undefined) throw new Error('Sign in again.')
    await client.post('/api/orders', {
      params: { header: { 'Idempotency-Key': key } },
      body: { kind, reason: fields['reason'] ?? '', parameters: parameters(fields) },
    })
    ordersSent.value += 1
  }

  return (
    <>
      {/* One key for each dialog: sending again after a failure is the same order. */}
      <button type="button" class="small" onClick={() => setKey(crypto.randomUUID())}>
        {label}
      </button>
      {key !== undefined && (
        <AskDialog title={title} submit="Send order" onSubmit={send} onClose={() => setKey(undefined)}>
          {children}
          <label>
            Reason, for the audit log
            <textarea name="reason" required maxLength={500} />
          </label>
        </AskDialog>
      )}
    </>
  )
}
