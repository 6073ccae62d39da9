/** Runs the examples of the README and the guide as they stand, as a newcomer would paste them; only the write key, the port and the
 *  addresses of other people's servers are put in. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { generateKeyPairSync } from 'node:crypto'
import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import { parse, stringify } from 'yaml'
import { codeBlocks, commandsOf, readPages, root } from '../support/documentation.ts'
import { fakeVendor, type FakeVendor } from '../support/fake-vendor.ts'
import { startPlatform, type CliResult, type Platform } from '../support/platform.ts'

const blocks = readPages()
  .filter(({ path }) => path === 'README.md' || path.startsWith('docs/guide/') || path === 'docs/reference/http-api.md')
  .flatMap((page) => codeBlocks(page))

/** Those of a page, in order. */
function shellCommands(page: string): string[] {
  return blocks.filter((block) => block.page === page && block.language === 'sh').flatMap(commandsOf)
}

/** A shell in the platform's folder, in which `npx tributary` is the product under test. */
async function openShell(platform: Platform, environment: Record<string, string> = {}) {
  const bin = join(platform.directory, 'bin')
  await mkdir(bin, { recursive: true })
  const npx = join(bin, 'npx')
  await writeFile(npx, `#!/bin/sh\nshift\nexec "${process.execPath}" "${join(root, 'bin/tributary.mjs')}" "$@"\n`)
  await chmod(npx, 0o755)
  return (command: string): Promise<CliResult> =>
    new Promise((resolve) => {
      const env = {
        ...process.env,
        ...environment,
        PATH: `${bin}:${process.env['PATH'] ?? ''}`,
        TRIBUTARY_PORT: String(platform.port),
      }
      execFile('/bin/sh', ['-c', command], { cwd: platform.directory, env }, (error, stdout, stderr) => {
        resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr })
      })
    })
}

function filledIn(text: string, platform: Platform, writeKey: string): string {
  return text
    .replaceAll(/WRITE_KEY|API_KEY/g, writeKey)
    .replaceAll('127.0.0.1:4000', `127.0.0.1:${platform.port}`)
    .replaceAll(/--rate \d+/g, '--rate 2000')
}

describe('after a first start without a config file', () => {
  let platform: Platform
  let writeKey: string
  let shell: (command: string) => Promise<CliResult>

  before(async () => {
    platform = await startPlatform()
    writeKey = /write key.*?(\S{8,})\s*$/m.exec(platform.stdout())?.[1] ?? assert.fail('no write key was printed')
    shell = await openShell(platform)
  })
  after(() => platform.dispose())

  /** The command must succeed; a trace is asked again until the pipeline has decided. */
  async function works(command: string): Promise<string> {
    const line = filledIn(command, platform, writeKey)
    for (let attempt = 1; ; attempt++) {
      const { code, stdout, stderr } = await shell(line)
      if (code === 0) {
        if (line.startsWith('curl ')) assert.equal(stdout.trim(), '{"success":true}', command)
        return stdout
      }
      assert.ok(line.includes(' trace ') && attempt < 50, `${command}\nended with ${code}\n${stdout}${stderr}`)
      await wait(100)
    }
  }

  test('the commands of the README work in their order and show the event', async () => {
    const printed = new Map<string, string>()
    for (const command of shellCommands('README.md')) {
      if (!command.startsWith('npm ')) printed.set(command, await works(command))
    }
    const outputOf = (part: string) =>
      [...printed].find(([command]) => command.includes(part))?.[1] ?? assert.fail(`no example with "${part}"`)
    assert.match(outputOf('tributary trace'), /received/)
    assert.match(outputOf('tributary sql'), /Lesson Started.*u-81.*4/)
    assert.match(outputOf('tributary status'), /demo/)
  })

  test('the SDK example of the README sends', async () => {
    const example = blocks.find(({ page, language }) => page === 'README.md' && language === 'js') ?? assert.fail()
    const code = `${filledIn(example.text, platform, writeKey)}\nawait analytics.closeAndFlush()`
    await new Promise<void>((resolve, reject) => {
      execFile(process.execPath, ['--input-type=module', '-e', code], { cwd: root }, (error) =>
        error === null ? resolve() : reject(error),
      )
    })
    await works('npx tributary sync local')
    const rows = (await platform.json(
      'sql',
      "select count(*)::integer as n from demo.tracks where context_library_name like '%node%'",
    )) as { n: number }[]
    assert.equal(rows[0]?.n, 1)
  })

  for (const page of new Set(blocks.map((block) => block.page))) {
    if (page !== 'README.md' && shellCommands(page).length > 0) {
      test(`the commands of ${page} work in their order`, async () => {
        const outputs: string[] = []
        for (const command of shellCommands(page)) outputs.push(await works(command))
        if (page === 'docs/guide/warehouse.md') assert.match(outputs.join(), /5.*\{"properties\.id":"r-9"\}/)
      })
    }
  }
})

test('the config file of the README starts a product that signs what it sends to the webhook', async () => {
  const vendor = await fakeVendor()
  const example = blocks.find(({ page, language }) => page === 'README.md' && language === 'yaml') ?? assert.fail()
  const config = `${toVendor(example.text, vendor)}\negress: { allow: [127.0.0.1/32] }\n`
  const platform = await startPlatform({ config, environment: { HOOK_SECRET: 'secret' } })
  try {
    const shell = await openShell(platform)
    const sent = await shell(
      filledIn(
        `curl -s -u API_KEY: http://127.0.0.1:4000/v1/track -d '{"userId":"u-81","event":"Bought"}'`,
        platform,
        'API_KEY',
      ),
    )
    assert.equal(sent.stdout, '{"success":true}')
    await vendor.until(({ requests }) => requests.length === 1)
    assert.match(String(vendor.requests[0]?.headers['x-signature']), /^[0-9a-f]{40}$/)
    assert.equal(vendor.messages()[0]?.['event'], 'Bought')
  } finally {
    await platform.dispose()
    await vendor.close()
  }
})

test('each config example is accepted', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'tributary-examples-'))
  const platform = await startPlatform({ config: stringify(base), directory })
  const { publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const shell = await openShell(platform, {
    HOOK_SECRET: 'secret',
    METRICS_TOKEN: 'a-token-for-metrics',
    BACKEND_PUBLIC_KEY: publicKey.export({ type: 'spki', format: 'pem' }).toString(),
  })
  try {
    for (const { page, line, text } of blocks.filter((block) => block.language === 'yaml')) {
      await writeFile(join(platform.directory, 'example.yaml'), stringify(completed(text)))
      const { code, stdout, stderr } = await shell('npx tributary apply example.yaml --dry-run')
      assert.equal(code, 0, `${page}:${line}\n${stdout}${stderr}`)
    }
  } finally {
    await platform.dispose()
    await rm(directory, { recursive: true, force: true })
  }
})

const base = {
  workspace: { name: 'Acme', slug: 'acme' },
  sources: {
    web: { name: 'Website', type: 'javascript', writeKeys: ['WEB_KEY'] },
    api: { name: 'Backend', type: 'http-api', writeKeys: ['API_KEY'] },
  },
}

/** An example of the guide shows one section; the sources that it refers to are those of `base`. */
function completed(text: string): unknown {
  const example = parse(text) as Record<string, unknown>
  return { ...base, ...example, sources: { ...base.sources, ...(example['sources'] as object | undefined) } }
}

function toVendor(text: string, vendor: FakeVendor): string {
  return text.replaceAll('https://example.org/hook', vendor.url)
}
