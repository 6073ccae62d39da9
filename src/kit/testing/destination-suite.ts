/**
 * What every destination connector must do, as tests: `destinationSuite(folder)` in a test file registers them. Golden cases in
 * the folder's `fixtures/` run through the real egress, whose sink is a server of the test, so a case names the vendor's
 * real URLs and nothing leaves the machine. With TRIBUTARY_UPDATE_FIXTURES=1 the cases are rewritten from what happened.
 */
import assert from 'node:assert/strict'
import { readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { test } from 'node:test'
import { pathToFileURL } from 'node:url'
import { checkDestination } from '../check-definition.ts'
import type { DestinationDefinition } from '../destination.ts'
import { runCase, type CaseResult, type GoldenCase } from './golden-case.ts'

interface NamedCase {
  file: string
  golden: GoldenCase
}

/** Registers the tests of the connector in this folder (absolute path). */
export async function destinationSuite(folder: string): Promise<void> {
  const type = basename(folder)
  const module = (await import(pathToFileURL(join(folder, 'index.ts')).href)) as { default: DestinationDefinition }
  const definition = module.default
  const cases = await readCases(folder)

  test(`${type}: labels, descriptions, defaults, triggers and presets are sound`, () => {
    assert.deepEqual(checkDestination(definition), [])
  })

  test(`${type}: the folder has a README, a logo and golden cases for each action`, async () => {
    for (const file of ['README.md', 'logo.svg']) assert.ok((await stat(join(folder, file))).size > 0, file)
    const shown = new Set(cases.map(({ golden }) => actionOf(definition, golden)))
    assert.deepEqual([...shown].sort(), Object.keys(definition.actions).sort())
  })

  for (const { file, golden } of cases) {
    test(`${type}: ${golden.title}`, async () => {
      const result = await runCase(definition, golden)
      if (process.env['TRIBUTARY_UPDATE_FIXTURES']) await rewrite(join(folder, 'fixtures', file), golden, result)
      else assert.deepEqual(result, { requests: golden.requests, outcome: golden.outcome })
    })
  }

  const delivered = cases.filter(({ golden }) => golden.outcome === 'delivered' && golden.requests.length > 0)
  testFailures(type, definition, delivered)
  testSecrets(type, definition, delivered)
}

/** Delivery decides what a status means, so it must get to see it. */
function testFailures(type: string, definition: DestinationDefinition, delivered: NamedCase[]): void {
  for (const [status, outcomes] of [
    [429, ['ResponseError 429', 'Retry']],
    [500, ['ResponseError 500', 'Retry']],
    [400, ['ResponseError 400', 'BadPayload']],
    [401, ['ResponseError 401', 'BadSettings']],
  ] as const) {
    test(`${type}: a ${status} of the vendor is not taken for success`, async () => {
      for (const { golden } of delivered) {
        const { outcome } = await runCase(definition, { ...golden, answers: [{ status }] })
        const isPerItem = outcome.startsWith('failed: ') && outcome.includes(String(status))
        assert.ok(isPerItem || (outcomes as readonly string[]).includes(outcome), `${golden.title}: ${outcome}`)
      }
    })
  }
}

/** A vendor that repeats the whole request in its refusal must not make us show a secret of the settings. */
function testSecrets(type: string, definition: DestinationDefinition, delivered: NamedCase[]): void {
  test(`${type}: secrets of the settings are neither printed nor in errors`, async () => {
    const passwords = Object.entries(definition.settings).filter(([, field]) => field.type === 'password')
    for (const { golden } of delivered) {
      const secrets = Object.fromEntries(passwords.map(([key]) => [key, `secret-value-of-${key}`]))
      const printed: string[] = []
      const settings = { ...golden.settings, ...secrets }
      await runCase(definition, { ...golden, settings, answers: [{ status: 400, echo: true }] }, printed)
      assert.ok(printed.length > 0, 'the vendor refused, so there is an error')
      for (const secret of Object.values(secrets))
        assert.ok(!printed.join('\n').includes(secret), `${golden.title}: ${secret}`)
    }
  })
}

async function readCases(folder: string): Promise<NamedCase[]> {
  const files = (await readdir(join(folder, 'fixtures'))).filter((file) => file.endsWith('.json')).sort()
  return Promise.all(
    files.map(async (file) => ({
      file,
      // The golden cases are ours; a wrong one fails its test.
      golden: JSON.parse(await readFile(join(folder, 'fixtures', file), 'utf8')) as GoldenCase,
    })),
  )
}

function actionOf(definition: DestinationDefinition, golden: GoldenCase): string | undefined {
  return golden.mapping?.action ?? definition.presets.find(({ name }) => name === golden.preset)?.action
}

async function rewrite(path: string, golden: GoldenCase, result: CaseResult): Promise<void> {
  await writeFile(path, JSON.stringify({ ...golden, ...result }, undefined, 2) + '\n')
}
