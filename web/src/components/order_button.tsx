import type { NewOrder } from '@zmart/client'
import type { ComponentChildren } from 'preact'
import { signal } from '@preact/signals'
import { ActButton } from './act_button.tsx'

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

/** A button for operators alone: asks for a reason and sends an order, which a run carries out. */
export function OrderButton({ kind, parameters, children, ...button }: OrderButtonProps) {
  return (
    <ActButton
      {...button}
      submit="Send order"
      act={async (client, fields, key) => {
        await client.post('/api/orders', {
          params: { header: { 'Idempotency-Key': key } },
          body: { kind, reason: fields['reason'] ?? '', parameters: parameters(fields) },
        })
        ordersSent.value += 1
      }}
    >
      {children}
    </ActButton>
  )
}
