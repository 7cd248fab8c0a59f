import type { Runbook } from '@zmart/client'
import type { PageProps } from '../../app/pages.ts'
import { Page } from '../../components/page.tsx'
import { Panel, Waiting } from '../../components/panel.tsx'
import { Status } from '../../components/status.tsx'
import { api } from '../../data/api.ts'
import { useResource } from '../../data/resource.ts'
import { titled } from '../../format/names.ts'
import { MarkedText } from '../../components/marked_text.tsx'

type Section = Runbook['sections'][number]

/** What to do about alerts of one cause, step by step. */
export default function RunbookPage({ params }: PageProps) {
  const topic = params.topic ?? ''
  const { state } = useResource(`runbook ${topic}`, () =>
    api.reading('/api/alerts/causes/{topic}/runbook', { params: { path: { topic } } }),
  )
  const { data, problem, status } = state.value
  if (data === undefined) {
    return (
      <Page title={status === 404 ? 'No such runbook' : 'Runbook'}>
        {problem === undefined ? <Waiting /> : <Status level="bad">{problem}</Status>}
      </Page>
    )
  }
  return (
    <Page
      title={`Runbook: ${titled(data.cause.topic)}`}
      lead={<p class="quiet">{data.cause.summary}</p>}
    >
      <div class="grid">
        {data.sections.map((section) => (
          <SectionPanel key={section.title} section={section} />
        ))}
      </div>
      <p class="quiet small">
        Words in capitals stand for what the alert or the first query names. In the repository:{' '}
        <code>{data.cause.runbook}</code>
      </p>
    </Page>
  )
}

function SectionPanel({ section }: { section: Section }) {
  return (
    <Panel title={section.title} class={section.title.startsWith('Forbidden') ? 'warning-edge' : ''}>
      {section.steps.map((step, number) =>
        step.commands === '' ? (
          <p key={number}>
            <MarkedText text={step.text} />
          </p>
        ) : (
          <Commands key={number} text={step.commands} />
        ),
      )}
    </Panel>
  )
}

function Commands({ text }: { text: string }) {
  return (
    <pre class="commands" tabIndex={0} aria-label="Commands">
      <code>{text}</code>
    </pre>
  )
}
