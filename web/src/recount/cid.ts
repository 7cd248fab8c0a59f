/**
 * CIDv0 of one block: the bytes as one UnixFS file node, wrapped in dag-pb; the CID is the base58
 * text of its sha2-256 multihash. This is the result of `ipfs add --cid-version=0` for one chunk.
 */
import { base58 } from '@scure/base'
import { type Bytes, joined } from './bytes.ts'

/** Bytes of one chunk of the default chunker; larger documents are split into parts instead. */
export const MAX_BLOCK = 262_144

const MULTIHASH_SHA256 = Uint8Array.of(0x12, 0x20)

/** The CIDv0 of `data`; throws a `RangeError` for more than `MAX_BLOCK` bytes. */
export async function cidV0(data: Uint8Array): Promise<string> {
  if (data.length > MAX_BLOCK) {
    throw new RangeError(`${data.length} bytes do not fit one block of ${MAX_BLOCK}`)
  }
  const hash = new Uint8Array(await crypto.subtle.digest('SHA-256', fileNode(data)))
  return base58.encode(joined(MULTIHASH_SHA256, hash))
}

function fileNode(data: Uint8Array): Bytes {
  // UnixFS message: Type = File (field 1), Data (2, absent when empty), filesize (3).
  const length = varint(data.length)
  const content = data.length === 0 ? [] : [Uint8Array.of(0x12), length, data]
  const unixfs = joined(Uint8Array.of(0x08, 0x02), ...content, Uint8Array.of(0x18), length)
  // dag-pb node: no links, Data is field 1.
  return joined(Uint8Array.of(0x0a), varint(unixfs.length), unixfs)
}

function varint(number: number): Bytes {
  const bytes = []
  let rest = number
  while (rest > 0x7f) {
    bytes.push((rest & 0x7f) | 0x80)
    rest >>>= 7
  }
  return Uint8Array.from([...bytes, rest])
}
