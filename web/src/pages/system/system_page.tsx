import { Page } from '../../components/page.tsx'
export default function SystemPage() {
  return <Page title="System">x</Page>
}
