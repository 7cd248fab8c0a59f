import type { ComponentChildren } from 'preact'
import { useEffect, useId, useRef, useState } from 'preact/hooks'
import { inWords } from '../data/resource.ts'
import { Status } from './status.tsx'

interface AskDialogProps {
  readonly title: string
  /** What will happen, in words. */
  readonly children?: ComponentChildren
  readonly submit: string
  /** Do it; what is thrown is shown, and the dialog stays. */
  readonly onSubmit: (values: Readonly<Record<string, string>>) => Promise<void>
  readonly onClose: () => void
}

/** A form in a modal dialog of the browser: Escape closes it, the focus stays inside. */
export function AskDialog({ title, children, submit, onSubmit, onClose }: AskDialogProps) {
  const dialog = useRef<HTMLDialogElement>(null)
  const id = useId()
  const [problem, setProblem] = useState<string>()
  const [isBusy, setBusy] = useState(false)
  useEffect(() => dialog.current?.showModal(), [])

  const send = async (event: SubmitEvent) => {
    event.preventDefault()
    const form = new FormData(event.currentTarget as HTMLFormElement)
    const values = [...form].map(([name, value]) => [name, String(value).trim()])
    setBusy(true)
    setProblem(undefined)
    try {
      await onSubmit(Object.fromEntries(values) as Record<string, string>)
      onClose()
    } catch (error) {
      setProblem(inWords(error))
    } finally {
      setBusy(false)
    }
  }

  return (
    <dialog ref={dialog} onClose={onClose} aria-labelledby={id}>
      <form onSubmit={send}>
        <h2 id={id}>{title}</h2>
        {children}
        <p role="alert">{problem !== undefined && <Status level="bad">{problem}</Status>}</p>
        <div class="buttons">
          <button type="button" onClick={() => dialog.current?.close()}>
            Cancel
          </button>
          <button type="submit" class="primary" disabled={isBusy}>
            {isBusy ? 'Sending …' : submit}
          </button>
        </div>
      </form>
    </dialog>
  )
}
