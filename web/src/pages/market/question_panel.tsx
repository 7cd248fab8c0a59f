import type { Reading } from '@zmart/client'
import { Name } from '../../components/name.tsx'
import { ReadPanel } from '../../components/panel.tsx'
import { Status } from '../../components/status.tsx'
import { Time } from '../../components/time.tsx'
import { accountLink } from '../../links/explorer.ts'
import { cidV0 } from '../../recount/cid.ts'
import { type MarketPanelProps, useMarketPart } from './reading.ts'

interface Document {
  readonly cid: string
  /** Whether the bytes are those of the CID; undefined where the browser cannot hash. */
  readonly isGenuine: boolean | undefined
  readonly text: string
}

/** The question as it was pinned when the market was proposed, and who proposed it. */
export function QuestionPanel(props: MarketPanelProps) {
  const { market, network } = props
  const document = useMarketPart(props, 'document', [], () => readDocument(market.ipfs_question_hash))
  const account = accountLink(market.on_chain_address, network)
  return (
    <ReadPanel
      title="Question, as pinned"
      hint="The document whose hash is in the market’s account."
      resource={document}
      freshFor={Number.POSITIVE_INFINITY}
    >
      {(found) => (
        <>
          <dl class="pairs">
            <dt>Question</dt>
            <dd>{market.question}</dd>
            {market.description !== null && (
              <>
                <dt>Terms</dt>
                <dd>{market.description}</dd>
              </>
            )}
            {market.ends_at !== null && (
              <>
                <dt>Ends</dt>
                <dd>
                  <Time at={market.ends_at} />
                </dd>
              </>
            )}
            <dt>Proposed by</dt>
            <dd>
              <Name of={market.creator_wallet} href={`/app/wallets/${market.creator_wallet}`} />
            </dd>
            <dt>Account</dt>
            <dd>
              <Name of={market.on_chain_address} {...(account && { href: account })} />
            </dd>
          </dl>
          {found !== null && <Pinned document={found} />}
        </>
      )}
    </ReadPanel>
  )
}

function Pinned({ document }: { document: Document }) {
  return (
    <>
      <p class="small">
        Document <Name of={document.cid} href={`/ipfs/${document.cid}`} ends={6} />{' '}
        {document.isGenuine === true && <Status level="ok">its bytes have this CID</Status>}
        {document.isGenuine === false && <Status level="bad">its bytes have another CID</Status>}
      </p>
      <pre class="document" tabIndex={0}>
        {document.text}
      </pre>
    </>
  )
}

async function readDocument(cid: string | null): Promise<Reading<Document | null>> {
  const unknown = { asOfSlot: undefined, lagSlots: undefined }
  if (cid === null) return { data: null, ...unknown }
  const response = await fetch(`/ipfs/${cid}`)
  if (!response.ok) throw new Error(`The document ${cid} is not available (HTTP ${response.status}).`)
  const bytes = new Uint8Array(await response.arrayBuffer())
  const isGenuine = globalThis.isSecureContext ? (await cidV0(bytes)) === cid : undefined
  return { data: { cid, isGenuine, text: new TextDecoder().decode(bytes) }, ...unknown }
}
