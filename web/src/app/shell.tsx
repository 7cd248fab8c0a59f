import { LocationProvider, Route, Router, useLocation } from 'preact-iso/router'
import { NotFoundPage } from '../pages/not_found_page.tsx'
import { ConnectionSign } from './connection_sign.tsx'
import { PAGES } from './pages.ts'
import { SignIn } from './sign_in.tsx'
import { ThemeButton } from './theme.tsx'

export function Shell() {
  return (
    <LocationProvider scope="/app">
      <a class="skip" href="#content">
        Skip to the content
      </a>
      <header class="top">
        <a class="brand" href="/app" aria-label="ZMART, the system">
          <span class="brand-mark" aria-hidden="true" />
          ZMART
        </a>
        <Navigation />
        <div class="top-end">
          <ConnectionSign />
          <ThemeButton />
          <SignIn />
        </div>
      </header>
      <main id="content" tabIndex={-1}>
        <Router>
          {PAGES.map(({ path, component }) => (
            <Route key={path} path={path} component={component} />
          ))}
          <Route default component={NotFoundPage} />
        </Router>
      </main>
      <footer class="bottom quiet">
        <span>All figures come from the public API.</span>
        <a href="/docs">API reference</a>
        <a href="/docs/realtime">Live updates</a>
        <a href="/docs/errors">Error codes</a>
      </footer>
    </LocationProvider>
  )
}

function Navigation() {
  const { path } = useLocation()
  const isHere = (target: string) =>
    target === '/app' ? path === '/app' : path === target || path.startsWith(`${target}/`)
  return (
    <nav aria-label="Pages">
      {PAGES.map(
        ({ path: target, link }) =>
          link !== undefined && (
            <a key={target} href={target} aria-current={isHere(target) ? 'page' : undefined}>
              {link}
            </a>
          ),
      )}
    </nav>
  )
}
