/** Verification of a wallet's ed25519 signature of a text, plain or in Solana's off-chain envelope. */
import { areEqual, type Bytes, joined } from './bytes.ts'

const SIGNING_DOMAIN = joined(Uint8Array.of(0xff), new TextEncoder().encode('solana offchain'))
/** What Ledger's app takes in its largest version, header excluded. */
const MAX_ENVELOPED = 1212
const NO_DOMAIN = new Uint8Array(32)

/**
 * y coordinates of the points of small order, with their non-canonical encodings. Under such a key
 * one signature is valid for many texts; Solana's verification refuses them, not every browser does.
 */
const SMALL_ORDER = [
  '0000000000000000000000000000000000000000000000000000000000000000',
  '0100000000000000000000000000000000000000000000000000000000000000',
  '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
  'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a',
  'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
  'eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
].map(fromHex)

/** Whether `signature` is the wallet's signature of the text, which has no lone surrogates. */
export async function isSignedBy(
  message: string,
  signature: Bytes,
  wallet: Bytes,
  program: Bytes,
): Promise<boolean> {
  if (signature.length !== 64 || wallet.length !== 32) return false
  if (isOfSmallOrder(wallet) || isOfSmallOrder(signature.subarray(0, 32))) return false
  let key: CryptoKey
  try {
    key = await crypto.subtle.importKey('raw', wallet, 'Ed25519', false, ['verify'])
  } catch (error) {
    // A wallet that is no point of the curve has no signatures.
    if (error instanceof DOMException && error.name === 'DataError') return false
    throw error
  }
  const text = new TextEncoder().encode(message)
  for (const signed of [text, ...envelopes(text, wallet, program)]) {
    if (await crypto.subtle.verify('Ed25519', key, signature, signed)) return true
  }
  return false
}

/** The text in each envelope that a wallet may have signed; none if it is too long. */
function envelopes(text: Uint8Array, wallet: Uint8Array, program: Uint8Array): Bytes[] {
  if (text.length === 0 || text.length > MAX_ENVELOPED) return []
  const length = Uint8Array.of(text.length & 0xff, text.length >> 8)
  const isAscii = text.every((byte) => byte < 0x80)
  const found = [joined(SIGNING_DOMAIN, Uint8Array.of(1, 1), wallet, text)]
  for (const format of isAscii ? [0, 1] : [1]) {
    found.push(joined(SIGNING_DOMAIN, Uint8Array.of(0, format), length, text))
    for (const domain of [NO_DOMAIN, program]) {
      const head = [SIGNING_DOMAIN, Uint8Array.of(0), domain, Uint8Array.of(format, 1)]
      found.push(joined(...head, wallet, length, text))
    }
  }
  return found
}

function isOfSmallOrder(point: Uint8Array): boolean {
  const y = Uint8Array.from(point)
  y[31] = (y[31] ?? 0) & 0x7f
  return SMALL_ORDER.some((small) => areEqual(small, y))
}

function fromHex(text: string): Bytes {
  return Uint8Array.from(text.match(/../g) ?? [], (digits) => Number.parseInt(digits, 16))
}
