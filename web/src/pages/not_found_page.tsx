import { Page } from '../components/page.tsx'

export function NotFoundPage() {
  return (
    <Page title="No such page">
      <p>
        Nothing has this address. The <a href="/app">system</a> and the{' '}
        <a href="/app/markets">markets</a> are a good place to start.
      </p>
    </Page>
  )
}
