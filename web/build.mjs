// Builds the dashboard: `node build.mjs [FOLDER]`, by default into the files that the API serves.
// The same sources and the same lock give the same bytes.
import { build } from 'esbuild'
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { basename, join, relative } from 'node:path'

const root = import.meta.dirname
const folder = process.argv[2] ?? join(root, '..', 'api', 'static', 'app')

await rm(folder, { recursive: true, force: true })
const { metafile } = await build({
  absWorkingDir: root,
  entryPoints: { app: 'src/main.tsx' },
  outdir: folder,
  bundle: true,
  splitting: true,
  format: 'esm',
  target: ['es2022', 'chrome111', 'firefox115', 'safari16.4'],
  minify: true,
  metafile: true,
  legalComments: 'none',
  charset: 'utf8',
  publicPath: '/app/',
  assetNames: 'assets/[name]-[hash]',
  chunkNames: 'assets/[name]-[hash]',
  entryNames: 'assets/[name]-[hash]',
  loader: { '.woff2': 'file', '.svg': 'file' },
  define: { 'process.env.NODE_ENV': '"production"' },
  // Packages that the client library imports are those of this folder's lock.
  nodePaths: [join(root, 'node_modules')],
  plugins: [ownPackages()],
})

const outputs = Object.entries(metafile.outputs)
const [script, { cssBundle }] = outputs.find(([, output]) => output.entryPoint === 'src/main.tsx')
const font = outputs.find(([path]) => path.endsWith('.woff2'))[0]
const icon = outputs.find(([path]) => path.endsWith('.svg'))[0]
const page = (await readFile(join(root, 'index.html'), 'utf8'))
  .replace('%SCRIPT%', address(script))
  .replace('%STYLES%', address(cssBundle))
  .replace('%FONT%', address(font))
  .replace('%ICON%', address(icon))
await mkdir(folder, { recursive: true })
await writeFile(join(folder, 'index.html'), page)
await writeFile(join(folder, 'LICENSES.txt'), await licences())

function address(path) {
  return `/app/assets/${basename(path)}`
}

/** Resolves what the client library imports from this folder, whether it has packages itself or not. */
function ownPackages() {
  const client = join(root, '..', 'clients', 'typescript', 'src')
  return {
    name: 'own-packages',
    setup({ onResolve, resolve }) {
      onResolve({ filter: /^@zmart\/client$/ }, () => ({ path: join(client, 'index.ts'), sideEffects: false }))
      onResolve({ filter: /^[^./]/ }, ({ path, importer, kind, pluginData }) =>
        pluginData === 'resolved' || !importer.startsWith(client)
          ? undefined
          : resolve(path, { kind, resolveDir: root, pluginData: 'resolved' }),
      )
    },
  }
}

/** The licence texts of the packages whose code is in the build. */
async function licences() {
  const names = new Set()
  for (const input of Object.keys(metafile.inputs)) {
    const found = /node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(input)
    if (found !== null) names.add(found[1])
  }
  const texts = [...names].sort().map(async (name) => {
    const path = join(root, 'node_modules', name)
    const { version, license } = JSON.parse(await readFile(join(path, 'package.json'), 'utf8'))
    const text = await readFile(join(path, 'LICENSE'), 'utf8')
    return `${name} ${version} (${license})\n\n${text.trim()}\n`
  })
  return (await Promise.all(texts)).join(`\n${'-'.repeat(72)}\n\n`)
}

for (const [path, { bytes }] of outputs) console.log(`${String(bytes).padStart(8)} ${relative(folder, join(root, path))}`)
