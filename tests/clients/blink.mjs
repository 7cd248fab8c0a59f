// Uses a market's link as a wallet does that knows Solana Actions, with Dialect's client, and prints
// what it saw as one JSON object. Arguments: page of the market, RPC address, secret key of the
// wallet (base64), label of the button, amount (only for buttons with a parameter).
import { BlinkInstance, unfurlUrlToBlinkApiUrl } from '@dialectlabs/blinks-core'
import { ACTIONS_CORS_HEADERS } from '@solana/actions'
import { Connection, Keypair, VersionedTransaction } from '@solana/web3.js'

const [page, rpcUrl, secret, label, amount] = process.argv.slice(2)
const wallet = Keypair.fromSecretKey(Buffer.from(secret, 'base64'))
const connection = new Connection(rpcUrl, 'confirmed')
const show = ({ type, title, description, icon, disabled, error, actions }) => ({
  type, title, description, icon, disabled, error, buttons: actions.map((action) => action.label),
})

const url = await unfurlUrlToBlinkApiUrl(page)
const blink = await BlinkInstance.fetch(url)
const seen = { url, card: show(blink) }
seen.supported = await blink.isSupported({ metadata: { supportedBlockchainIds: ['solana:localnet'] } })
seen.icon = (await fetch(blink.icon)).headers.get('content-type')
const preflight = await fetch(url, { method: 'OPTIONS' })
seen.missingHeaders = Object.entries(ACTIONS_CORS_HEADERS).filter(
  ([name, value]) => name !== 'Content-Type' && preflight.headers.get(name) !== value,
)

const button = blink.actions.find((action) => action.label === label)
if (amount !== undefined) button.setValue(amount)
try {
  const answer = await button.post(wallet.publicKey.toBase58())
  const transaction = VersionedTransaction.deserialize(Buffer.from(answer.transaction, 'base64'))
  transaction.sign([wallet])
  seen.version = transaction.version
  seen.signature = await connection.sendRawTransaction(transaction.serialize())
  seen.message = answer.message
  seen.next = show(await blink.chain(answer.links.next))
} catch (error) {
  seen.refused = error.message
}
process.stdout.write(JSON.stringify(seen))
process.exit(0)
