import type { Comment, DiscussionSnapshot } from '@zmart/client'
import { Link } from '../../components/link.tsx'
import { Name } from '../../components/name.tsx'
import { ReadPanel } from '../../components/panel.tsx'
import { Time } from '../../components/time.tsx'
import { api } from '../../data/api.ts'
import { assetLink, SNAPSHOT_ASSET } from '../../links/dagster.ts'
import { freshSeconds, type MarketPanelProps, useMarketPart } from './reading.ts'

/** What people say, and the pinned files that keep it. */
export function DiscussionPanel(props: MarketPanelProps) {
  const discussion = useMarketPart(props, 'discussion', ['discussion'], readDiscussion)
  return (
    <ReadPanel title="Discussion" class="third" resource={discussion} freshFor={freshSeconds()}>
      {({ comments, snapshots }) => (
        <>
          <Comments comments={comments} />
          <Snapshots snapshots={snapshots} {...props} />
        </>
      )}
    </ReadPanel>
  )
}

async function readDiscussion(market: string) {
  const params = { path: { market }, query: { limit: 20 } }
  const [comments, snapshots] = await Promise.all([
    api.reading('/api/markets/{market}/discussions', { params }),
    api.get('/api/markets/{market}/snapshots', { params }),
  ])
  return {
    ...comments,
    data: { comments: comments.data.discussions, snapshots: snapshots.snapshots },
  }
}

function Comments({ comments }: { comments: readonly Comment[] }) {
  if (comments.length === 0) return <p class="quiet">No comment yet.</p>
  return (
    <ul class="comments" tabIndex={0} aria-label="Comments, newest first">
      {comments.map((comment) => (
        <li key={comment.id}>
          <p class="small quiet">
            {comment.user_name ?? ''} <Name of={comment.user_wallet} href={`/app/wallets/${comment.user_wallet}`} />{' '}
            <Time at={comment.created_at} short />
            {comment.edited_at !== null && ' · edited'}
            {comment.replies > 0 && ` · ${comment.replies} replies`}
          </p>
          <p>{textOf(comment)}</p>
        </li>
      ))}
    </ul>
  )
}

function textOf(comment: Comment): string {
  if (comment.is_deleted) return 'deleted by its author'
  return comment.is_hidden ? 'hidden by a moderator' : comment.content
}

interface SnapshotsProps extends MarketPanelProps {
  readonly snapshots: readonly DiscussionSnapshot[]
}

function Snapshots({ snapshots, network }: SnapshotsProps) {
  return (
    <>
      <h3>Snapshots</h3>
      {snapshots.length === 0 && (
        <p class="small quiet">
          None yet: what changes in a day (UTC) is pinned after its end.{' '}
          <Link to={assetLink(SNAPSHOT_ASSET, network)}>Asset in Dagster</Link>
        </p>
      )}
      <ul class="small">
        {snapshots.map((one) => (
          <li key={one.cid}>
            {one.day} · {one.comments} comments · <Name of={one.cid} href={one.url} ends={6} />{' '}
            <Link to={assetLink(SNAPSHOT_ASSET, network, one.day)}>partition in Dagster</Link>
            {one.pinned_at === null && ' · not pinned yet'}
          </li>
        ))}
      </ul>
    </>
  )
}
