/** The documentation says what is true: files, links, codes, settings, commands and examples that it names exist. That the
 *  examples work is shown by `flows/readme.test.ts`. */
import assert from 'node:assert/strict'
import { existsSync, globSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { test } from 'node:test'
import { referencePages } from '../scripts/reference.ts'
import { errorCodes } from '../src/base/error-codes.ts'
import { discardedCodes, droppedCodes, rejectedCodes } from '../src/protocol/reason-codes.ts'
import { anchorsOf, codeBlocks, proseOf, readPages, root } from './support/documentation.ts'

const pages = readPages()
const sources = globSync(['src/**/*.ts', 'connectors/**/*.ts', 'bin/*'], { cwd: root })
  .filter((path) => !/\.test\.ts$|\/testing\//.test(path))
  .map((path) => ({ path, text: readFileSync(join(root, path), 'utf8') }))

test('every file that a page names exists', () => {
  const missing = pages.flatMap(({ path, text }) =>
    [...text.matchAll(/(?<![\w<>/.@-])(?:[\w.-]+\/)+[\w.-]+\.(?:ts|mjs|md|sh)\b/g)]
      .map(([file]) => file)
      .filter(
        (file) => ![root, join(root, 'src'), join(root, dirname(path))].some((base) => existsSync(join(base, file))),
      )
      .map((file) => `${path}: ${file}`),
  )
  assert.deepEqual(missing, [], 'the file was moved or removed: write where the matter is now')
})

test('every link between pages leads to a page, and to a heading when it names one', () => {
  const broken = pages.flatMap((page) =>
    [...proseOf(page).matchAll(/\]\((?!https?:)([^)#\s]*)(?:#([^)\s]*))?\)/g)]
      .filter(([, target = '', anchor]) => {
        const path = target === '' ? page.path : normalize(join(dirname(page.path), target))
        if (!existsSync(join(root, path))) return true
        return anchor !== undefined && !anchorsOf(readFileSync(join(root, path), 'utf8')).includes(anchor)
      })
      .map(([link]) => `${page.path}: ${link}`),
  )
  assert.deepEqual(broken, [])
})

test('every page of the guide and the reference is listed in its README', () => {
  const missing = pages.filter(({ path }) => {
    const index = /^docs\/(guide|reference|decisions)\//.exec(path)?.[0]
    if (index === undefined || path === `${index}README.md`) return false
    const text = pages.find((page) => page.path === `${index}README.md`)?.text ?? ''
    return !text.includes(`(${path.slice(index.length)})`)
  })
  assert.deepEqual(
    missing.map(({ path }) => path),
    [],
  )
})

test('the generated pages of the reference are fresh', async () => {
  const generated = await referencePages()
  for (const [path, text] of generated) {
    const written = pages.find((page) => page.path === path)?.text
    assert.equal(written, text, `${path} is stale: run "node scripts/reference.ts"`)
  }
  const left = pages.filter(({ path, text }) => text.includes('by scripts/reference.ts.') && !generated.has(path))
  assert.deepEqual(
    left.map(({ path }) => path),
    [],
    'no longer generated: remove it',
  )
})

test('every error code of the sources is listed with its status, and every listed one is used', () => {
  const unclear = sources.flatMap(({ path, text }) =>
    // `local-socket.ts` passes on an error that another process made.
    [...text.matchAll(/new AppError\((?!\s*['`])(?!error\.code)[^\n]*/g)].map(([found]) => `${path}: ${found}`),
  )
  assert.deepEqual(unclear, [], 'write the code as a string where the error is made')
  const thrown = sources.flatMap(({ path, text }) =>
    [...text.matchAll(/(?:new AppError|super)\(\s*(['`])([\w${}]+)\1,\s*(\d{3})/g)].map(([, , code = '', status]) => ({
      path,
      // `unknown_${kind}_type` stands for one code for each kind.
      pattern: new RegExp(`^${code.replaceAll(/\$\{\w+\}/g, '[a-z]+')}$`),
      status: Number(status),
    })),
  )
  const listed = Object.entries(errorCodes)
  const unlisted = thrown.filter(
    ({ pattern, status }) => !listed.some(([code, each]) => pattern.test(code) && each.status === status),
  )
  assert.deepEqual(unlisted, [], 'add the code to src/base/error-codes.ts, or use its status')
  const isUsed = (code: string) =>
    thrown.some(({ pattern }) => pattern.test(code)) || sources.some(({ text }) => text.includes(`code: '${code}'`))
  const unused = listed.filter(([code]) => !isUsed(code))
  assert.deepEqual(
    unused.map(([code]) => code),
    [],
    'nobody throws it: take it out of src/base/error-codes.ts',
  )
})

test('reason codes that a page names exist', () => {
  const known = new Set([rejectedCodes, droppedCodes, discardedCodes].flatMap((codes) => Object.keys(codes)))
  for (const action of ['DROP_PROPERTIES', 'ALLOW_PROPERTIES']) known.add(action)
  const unknown = pages
    .filter(({ path }) => !path.startsWith('docs/decisions/'))
    .flatMap(({ path, text }) =>
      [...text.matchAll(/`([A-Z]+(?:_[A-Z]+)+)`/g)]
        .map(([, code = '']) => code)
        .filter((code) => !code.startsWith('TRIBUTARY_') && !/_(KEY|SECRET|TOKEN)$/.test(code) && !known.has(code))
        .map((code) => `${path}: ${code}`),
    )
  assert.deepEqual(unknown, [])
})

test('the environment variables of the guide are those that the product reads', () => {
  const internal = new Set(['TRIBUTARY_RESTARTS'])
  const named = (text: string) => [...text.matchAll(/TRIBUTARY_[A-Z][A-Z_]*[A-Z]/g)].map(([name]) => name)
  const read = new Set(sources.flatMap(({ text }) => named(text)).filter((name) => !internal.has(name)))
  const guide = pages.find(({ path }) => path === 'docs/guide/operating.md')?.text ?? ''
  assert.deepEqual([...new Set(named(guide))].sort(), [...read].sort(), 'docs/guide/operating.md lists them all')
  const forDevelopers = ['TRIBUTARY_UPDATE_FIXTURES']
  const elsewhere = pages
    .flatMap(({ text }) => named(text))
    .filter((name) => !read.has(name) && !forDevelopers.includes(name))
  assert.deepEqual(elsewhere, [])
})

test('the metrics that a page names are exported', () => {
  const exported = pages.find(({ path }) => path === 'docs/reference/metrics.md')?.text ?? ''
  const unknown = pages.flatMap(({ path, text }) =>
    [...text.matchAll(/`(tributary_(?:gateway|pipeline|delivery|loader|journal|archive)_\w+)/g)]
      .filter(([, name]) => !exported.includes(`\`${name}\``))
      .map(([, name]) => `${path}: ${name}`),
  )
  assert.deepEqual(unknown, [])
})

test('the npm scripts that a page names exist', () => {
  const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
    scripts: Record<string, string>
  }
  const unknown = pages.flatMap(({ path, text }) =>
    [...text.matchAll(/npm (?:run )?((?<=run )[\w:-]+|test|start)/g)]
      .filter(([, name = '']) => scripts[name] === undefined)
      .map(([command]) => `${path}: ${command}`),
  )
  assert.deepEqual(unknown, [])
})

test('JSON examples are JSON', () => {
  for (const { page, line, text } of pages.flatMap((each) => codeBlocks(each, 'json'))) {
    assert.doesNotThrow(() => JSON.parse(text), `${page}:${line}`)
  }
})
