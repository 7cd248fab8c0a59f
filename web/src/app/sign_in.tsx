import { useState } from 'preact/hooks'
import { AskDialog } from '../components/ask_dialog.tsx'
import { browserWallets, connected } from '../data/browser_wallets.ts'
import { identity, signInWithWallet, signOut, useKey } from '../data/identity.ts'
import { shortened } from '../format/names.ts'

/** Who acts, and the way to change that. */
export function SignIn() {
  const [isOpen, setOpen] = useState(false)
  const who = identity.value
  if (who !== undefined) {
    return (
      <>
        <span class="who small" title={who.name}>
          {shortened(who.name)}
          {who.isOperator && <span class="tag">operator</span>}
        </span>
        <button type="button" class="small" onClick={() => void signOut()}>
          Sign out
        </button>
      </>
    )
  }
  return (
    <>
      <button type="button" class="small" onClick={() => setOpen(true)}>
        Sign in
      </button>
      {isOpen && <SignInDialog onClose={() => setOpen(false)} />}
    </>
  )
}

function SignInDialog({ onClose }: { onClose: () => void }) {
  const wallets = browserWallets.value
  const enter = async ({ wallet: name, key }: Readonly<Record<string, string>>) => {
    if (key !== undefined && key !== '') return useKey(key)
    const wallet = wallets.find((one) => one.name === name)
    if (wallet === undefined) throw new Error('Choose a wallet, or enter a key.')
    return signInWithWallet(await connected(wallet))
  }
  return (
    <AskDialog title="Sign in" submit="Sign in" onSubmit={enter} onClose={onClose}>
      <p class="quiet small">
        Nothing on these pages needs it, except for what belongs to a wallet and what operators do.
      </p>
      {wallets.length === 0 ? (
        <p>No wallet of this browser follows the Wallet Standard.</p>
      ) : (
        <fieldset>
          <legend>A wallet, which signs one text</legend>
          {wallets.map(({ name }, index) => (
            <label key={name} class="check">
              <input type="radio" name="wallet" value={name} defaultChecked={index === 0} />
              {name}
            </label>
          ))}
        </fieldset>
      )}
      <label>
        Or the key of a service with the scope “operator”
        <input type="password" name="key" autocomplete="off" />
      </label>
    </AskDialog>
  )
}
