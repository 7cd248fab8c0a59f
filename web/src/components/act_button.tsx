import type { ZmartClient } from '@zmart/client'
import type { ComponentChildren } from 'preact'
import { useState } from 'preact/hooks'
import { identity, isOperator } from '../data/identity.ts'
import { AskDialog } from './ask_dialog.tsx'

type Fields = Readonly<Record<string, string>>

interface ActButtonProps {
  readonly label: string
  /** The dialog's heading, in the words of what will happen. */
  readonly title: string
  readonly submit: string
  /**
   * Do it as the operator, for the reason in `fields.reason`. `key` is the same for every try from
   * one dialog: sending again after a failure is the same act.
   */
  readonly act: (client: ZmartClient, fields: Fields, key: string) => Promise<void>
  /** Fields besides the reason. */
  readonly children?: ComponentChildren
}

/** A button for operators alone: asks for a reason, which is in the audit log with the act. */
export function ActButton({ label, title, submit, act, children }: ActButtonProps) {
  const [key, setKey] = useState<string>()
  if (!isOperator()) return null

  const send = async (fields: Fields) => {
    const client = identity.value?.client
    if (client === undefined || key === undefined) throw new Error('Sign in again.')
    await act(client, fields, key)
  }

  return (
    <>
      <button type="button" class="small" onClick={() => setKey(crypto.randomUUID())}>
        {label}
      </button>
      {key !== undefined && (
        <AskDialog title={title} submit={submit} onSubmit={send} onClose={() => setKey(undefined)}>
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
