import assert from 'node:assert/strict'
import { test } from 'node:test'
import { AppError } from '../../base/errors.ts'
import { configOf, lenientChecks } from '../testing/try-store.ts'
import type { ConfigChecks } from './parse-config.ts'

async function problemsOf(text: string, environment = {}, checks?: ConfigChecks): Promise<string[]> {
  try {
    await configOf(text, environment, checks)
    return []
  } catch (error) {
    assert.ok(error instanceof AppError)
    assert.deepEqual([error.code, error.status], ['config_invalid', 400])
    return error.message.split('\n').map((line) => line.replace(/^tributary\.yaml:/, ''))
  }
}

test('every problem is told with its path and line', async () => {
  const text = `sources:
  web:
    type: javascript
    writeKeys: [KEY]
    enabeld: true
  api:
    writeKeys: [OTHER, KEY]
    ip: hide
destinations:
  hook:
    source: wbe
    type: webhook
    mappings:
      - action: send
        trigger: type = "track
        fields:
          url: { "@paht": $.x }
    filters:
      - title: one
        if: nonsense(
        actions:
          - type: SAMPLE
            percent: 3
  other:
    source: web
warehouses:
  local: { type: duckdb, sources: [web], schedule: every 5s }
egress:
  allow:
    - 127.0.0.1/32
    - localhost
limits:
  eventsPerSecond: "10"
  messageBytesMax: 1.5
tokns: {}
`
  assert.deepEqual(await problemsOf(text), [
    '5: sources.web.enabeld: There is no such key; did you mean "enabled"?',
    '8: sources.api.ip: must be "keep" or "mask" or "drop"',
    '11: destinations.hook.source: There is no source "wbe" in this file; it has web, api.',
    '15: destinations.hook.mappings[0].trigger: The trigger does not parse at character 8: The string that starts here has no closing ".',
    '17: destinations.hook.mappings[0].fields.url: has an invalid directive: @paht',
    '20: destinations.hook.filters[0].if: The condition does not parse at character 1: There is no function nonsense(); there are contains, match, length, lowercase, uppercase, snakecase, kebabcase, titlecase, typeof, bool, string, number.',
    '23: destinations.hook.filters[0].actions[0].percent: The share to keep is a number from 0 to 1.',
    '24: destinations.other.type: is missing',
    '27: warehouses.local.schedule: A warehouse is loaded every 10 seconds at most.',
    '31: egress.allow[1]: "localhost" is no address range such as 127.0.0.1/32 or fd00::/8.',
    '33: limits.eventsPerSecond: must be a number, not text',
    '34: limits.messageBytesMax: must be a whole number',
    '35: tokns: There is no such key; did you mean "tokens"?',
  ])
})

test('write keys are one source’s', async () => {
  const text = 'sources:\n  a:\n    writeKeys: [K]\n  b:\n    writeKeys:\n      - L\n      - K\n'
  assert.deepEqual(await problemsOf(text), ['7: sources.b.writeKeys[1]: The source "a" has this write key too.'])
})

test('YAML that does not parse is told by its line, also when a key comes twice', async () => {
  const [broken] = await problemsOf('sources:\n  web: { name: Website\n')
  assert.match(broken ?? '', /^[23]: /)
  assert.deepEqual(await problemsOf('sources:\n  web: {}\n  web: {}\n'), ['3: Map keys must be unique'])
  assert.deepEqual(await problemsOf('- a\n'), ['1: must be a section with keys'])
})

test('placeholders are taken from the environment, quoted or not, and a missing one is told by its line', async () => {
  const text =
    'sources:\n  web: { name: ${NAME} at ${PLACE}, writeKeys: ["${KEY}"], type: webhook, settings: { eventName: $${NAME} } }\n'
  const config = await configOf(text, { NAME: 'Shop: {1}', PLACE: 'home', KEY: 'k' })
  assert.deepEqual(
    config.sources.map(({ name, writeKeys, settings }) => [name, writeKeys, settings]),
    [['Shop: {1} at home', ['k'], { eventName: '${NAME}' }]],
  )
  assert.deepEqual(await problemsOf(text, { NAME: 'x', KEY: 'k' }), [
    '2: sources.web.name: The environment has no variable PLACE.',
  ])
  assert.deepEqual(await problemsOf('tokens: { ci: { token: ${TOKEN} } }'), [
    '1: tokens.ci.token: The environment has no variable TOKEN.',
  ])
})

test('a comment may show a placeholder that is not set', async () => {
  assert.deepEqual(await problemsOf('# token: ${NOT_SET}\nsources: {}\n'), [])
})

test('problems of connectors point at the setting, and an unknown type at the type', async () => {
  const checks: ConfigChecks = {
    ...lenientChecks,
    destination: async (type) => {
      if (type === 'nope')
        throw new AppError('unknown_destination_type', 400, 'There is no destination type "nope".', {
          hint: 'Known types: webhook.',
        })
      return [
        '"url" is required but it is missing.',
        '"port" should be a number.',
        { path: 'mappings[0].action', problem: 'no such action' },
      ]
    },
  }
  const text = `sources: { web: {} }
destinations:
  a:
    source: web
    type: nope
  b:
    source: web
    type: webhook
    settings:
      host: x
      port: y
    mappings:
      - { action: go, trigger: 'type = "track"' }
`
  assert.deepEqual(await problemsOf(text, {}, checks), [
    '5: destinations.a.type: There is no destination type "nope". Known types: webhook.',
    '9: destinations.b.settings.url: "url" is required but it is missing.',
    '11: destinations.b.settings.port: "port" should be a number.',
    '13: destinations.b.mappings[0].action: no such action',
  ])
})

test('slugs, tokens and write keys have a form', async () => {
  const text =
    'tokens: { ci: { token: "" } }\nsources:\n  My Site: { writeKeys: ["a:b"] }\n  web: { writeKeys: [12345] }\n'
  assert.deepEqual(await problemsOf(text), [
    '1: tokens.ci.token: must not be empty',
    '3: sources.My Site: A slug is up to 63 lower-case letters, digits, "-" and "_", and starts with a letter or a digit.',
    '3: sources.My Site.writeKeys[0]: A write key is 1 to 200 visible characters without ":".',
    '4: sources.web.writeKeys[0]: must be text (in quotes, if it looks like something else), not a number',
  ])
})

test('a file without sources may refer to stored ones; an empty file is a file', async () => {
  assert.deepEqual(await problemsOf('destinations:\n  hook: { source: web, type: webhook }\n'), [])
  assert.deepEqual(await problemsOf(''), [])
  assert.deepEqual(await problemsOf('sources:\ntokens:\negress:\n'), [])
})

test('schedules are intervals, cron lines or manual', async () => {
  const scheduleProblems = (schedule: string) =>
    problemsOf(`sources: { web: {} }\nwarehouses: { w: { type: duckdb, sources: [web], schedule: "${schedule}" } }`)
  for (const good of ['every 10s', 'every 1m', 'every 24h', '*/5 * * * *', 'manual']) {
    assert.deepEqual(await scheduleProblems(good), [], good)
  }
  for (const bad of ['every 9s', 'every 0m', 'hourly', '* * * *', '61 * * * *', '']) {
    assert.equal((await scheduleProblems(bad)).length, 1, bad)
  }
})

test('every setting of the reference is taken', async () => {
  const text = `
egress: { allow: ["::1/128"], sink: "http://127.0.0.1:5999" }
limits: { eventsPerSecond: 1, messageBytesMax: 1, bodyBytesMax: 1, batchMessagesMax: 1, inFlightBytesMax: 1 }
ingest: { unknownWriteKey: 200, idCoercion: false, keepRejectedDays: 0, trustedProxies: [10.0.0.0/8], collectIpv6: true }
dedupe: { windowDays: 1 }
delivery: { retryWindowHours: 0.01, retryFirstDelayMs: 1, retryMaxDelayMs: 1, requestTimeoutMs: 1, batchMaxWaitMs: 0, ordered: true, requestsPerSecond: 0.5, concurrency: 1 }
journal: { bytesMax: 1, diskReserveBytes: 0, segmentBytes: 4096 }
archive: { enabled: true }
retention: { archiveDays: 1, deadLetterDays: 1 }
`
  const { sections } = await configOf(text)
  assert.equal(sections.ingest?.unknownWriteKey, 200)
  assert.equal(sections.delivery?.retryWindowHours, 0.01)
  assert.deepEqual(await problemsOf('ingest: { unknownWriteKey: 404 }'), [
    '1: ingest.unknownWriteKey: must be 401 or 200',
  ])
})

test('fields of a filter come in two shapes, and are kept in one', async () => {
  const text = `sources: { web: {} }
destinations:
  hook:
    source: web
    type: webhook
    filters:
      - { title: t, if: all, actions: [{ type: DROP_PROPERTIES, fields: { context: { fields: [ip] }, properties: [a] } }] }
`
  const { destinations } = await configOf(text)
  assert.deepEqual(destinations[0]?.filters[0]?.actions, [
    { type: 'DROP_PROPERTIES', fields: { context: ['ip'], properties: ['a'] } },
  ])
  assert.deepEqual(await problemsOf(text.replace('[ip]', 'ip')), [
    '7: destinations.hook.filters[0].actions[0].fields.context: must be a list, not text',
  ])
})
