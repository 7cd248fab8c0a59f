// Reads files named in the arguments; prints the CIDv0 of each, as `ipfs add --cid-version=0` makes it, one a line.
import { readFile } from 'node:fs/promises'
import { MemoryBlockstore } from 'blockstore-core/memory'
import { importer } from 'ipfs-unixfs-importer'
import { fixedSize } from 'ipfs-unixfs-importer/chunker'

const options = {
  cidVersion: 0,
  rawLeaves: false,
  wrapWithDirectory: false,
  reduceSingleLeafToSelf: true,
  chunker: fixedSize({ chunkSize: 262144 })
}

for (const path of process.argv.slice(2)) {
  const content = await readFile(path)
  for await (const entry of importer([{ content }], new MemoryBlockstore(), options)) {
    console.log(entry.cid.toString())
  }
}
