// Reads an AsyncAPI document with the parser of the AsyncAPI project and prints what it says of it as
// JSON. Argument: the document's file.
import { readFileSync } from 'node:fs'
import { Parser } from '@asyncapi/parser'

const { document, diagnostics } = await new Parser().parse(readFileSync(process.argv[2], 'utf8'))
const severities = ['error', 'warning', 'information', 'hint']
console.log(JSON.stringify({
  channels: document?.channels().all().map((channel) => channel.address()) ?? [],
  diagnostics: diagnostics.map(({ code, message, path, severity }) => ({
    code, message, path: path.join('.'), severity: severities[severity],
  })),
}))
