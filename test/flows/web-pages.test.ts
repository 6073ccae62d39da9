/** What an owner of a website does: the snippet, usual and neutral, over command line and API; and what became of a message of it. */
import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { after, before, test } from 'node:test'
import { startPlatform, type Platform } from '../support/platform.ts'

let platform: Platform

before(async () => {
  platform = await startPlatform({
    config: `
tokens: { ci: { token: a-token-of-the-test, role: Workspace Owner } }
sources:
  web: { type: javascript, writeKeys: [WEB_KEY] }
  api: { type: http-api, writeKeys: [API_KEY] }
destinations:
  heap: { source: web, type: heap, settings: { appId: '\${HEAP_APP}' } }
`,
    environment: { HEAP_APP: '4242' },
  })
})
after(() => platform?.dispose())

const get = (path: string, token = 'a-token-of-the-test') =>
  fetch(`${platform.url}${path}`, { headers: { authorization: `Bearer ${token}` } })

/** The address of the script that the snippet loads, and that of the settings which the library then asks for. */
function addressesIn(snippet: string): { script: string; settings: string } {
  const cdn = /analytics\._cdn="([^"]+)"/.exec(snippet)?.[1] ?? ''
  return snippet.includes('/m.js')
    ? { script: `${cdn}/m.js`, settings: `${cdn}/s/WEB_KEY` }
    : { script: `${cdn}/analytics.js/v1/WEB_KEY/analytics.min.js`, settings: `${cdn}/v1/projects/WEB_KEY/settings` }
}

for (const [what, flags] of [
  ['the snippet', []],
  ['the neutral snippet', ['--neutral']],
] as const) {
  test(`${what} that the command prints leads to the library and its settings`, async () => {
    const { code, stdout } = await platform.cli('snippet', 'web', ...flags)
    assert.equal(code, 0)
    const { script, settings } = addressesIn(stdout)
    const library = await fetch(script)
    assert.equal(library.status, 200)
    assert.ok((await library.text()).includes('window.analyticsWriteKey="WEB_KEY"'))
    const answer = (await (await fetch(settings)).json()) as { integrations: Record<string, { apiHost?: string }> }
    const apiHost = answer.integrations['Segment.io']?.apiHost ?? ''
    const sent = await fetch(`http://${apiHost}/t`, {
      method: 'POST',
      body: JSON.stringify({ writeKey: 'WEB_KEY', event: what, userId: 'u1', messageId: `snippet-${flags.length}` }),
    })
    assert.deepEqual([sent.status, await sent.json()], [200, { success: true }])
    assert.equal((await fetch(`http://${apiHost}/nothing`, { method: 'POST' })).status, 404)
  })
}

test('the API gives the same snippet, for any address, to members only', async () => {
  const { stdout } = await platform.cli('snippet', 'web', '--neutral', '--address', 'https://shop.example.org/assets/')
  const path = '/tributary/v1/sources/web/snippet?paths=neutral&address=https%3A%2F%2Fshop.example.org%2Fassets%2F'
  const answer = (await (await get(path)).json()) as { snippet: string }
  assert.equal(`${answer.snippet}\n`, stdout)
  assert.match(answer.snippet, /_cdn="https:\/\/shop\.example\.org\/assets\/[a-z]{12}"/)
  assert.equal((await get(path, 'wrong')).status, 401)
  assert.deepEqual(
    await platform.json('snippet', 'web', '--neutral', '--address', 'https://shop.example.org/assets'),
    answer,
  )
})

for (const [what, path, status, code] of [
  ['another kind of source', '/tributary/v1/sources/api/snippet', 400, 'bad_request'],
  ['no source', '/tributary/v1/sources/nothing/snippet', 404, 'source_not_found'],
  ['an address that is none', '/tributary/v1/sources/web/snippet?address=javascript:x', 400, 'bad_request'],
  ['other names of paths', '/tributary/v1/sources/web/snippet?paths=hidden', 400, 'bad_request'],
] as const) {
  test(`${what} has no snippet`, async () => {
    const answer = await get(path)
    assert.deepEqual([answer.status, ((await answer.json()) as { code: string }).code], [status, code])
  })
}

test('what became of a message is told over HTTP as on the command line', async () => {
  await fetch(`${platform.url}/v1/track`, {
    method: 'POST',
    body: JSON.stringify({ writeKey: 'WEB_KEY', event: 'Looked', userId: 'u1', messageId: 'of the page/1' }),
  })
  let answer = await get('/tributary/v1/messages/of%20the%20page%2F1/trace')
  while (answer.status === 404) answer = await get('/tributary/v1/messages/of%20the%20page%2F1/trace')
  assert.deepEqual(await answer.json(), await platform.json('trace', 'of the page/1'))
  const unknown = await get('/tributary/v1/messages/nobody/trace')
  assert.deepEqual([unknown.status, ((await unknown.json()) as { code: string }).code], [404, 'unknown_message'])
})

test('the settings of a page hold what the environment gave for its destinations', async () => {
  const answer = await fetch(`${platform.url}/v1/projects/WEB_KEY/settings`)
  const { remotePlugins } = (await answer.json()) as { remotePlugins: { name: string; settings: { appId: string } }[] }
  assert.deepEqual(
    remotePlugins.map(({ name, settings }) => [name, settings.appId]),
    [['Heap Web (Actions)', '4242']],
  )
})

test('a destination whose rules a page cannot follow is refused, with the reason', async () => {
  const file = `${platform.directory}/wrong.yaml`
  await writeFile(
    file,
    `
sources: { web: { type: javascript, writeKeys: [WEB_KEY] } }
destinations:
  ga4:
    source: web
    type: google-analytics-4-web
    mappings: [{ action: purchase, trigger: 'event in ["A", "B"]', fields: {} }]
    filters: [{ title: x, if: 'length(event) > 3', actions: [{ type: DROP }] }]
`,
  )
  const { code, stderr } = await platform.cli('apply', file)
  assert.notEqual(code, 0)
  assert.match(stderr, /destinations\.ga4\.settings.*measurementID/)
  assert.match(stderr, /destinations\.ga4\.mappings\[0\]\.trigger: Web pages cannot decide this/)
  assert.match(stderr, /destinations\.ga4\.filters\[0\]: Web pages cannot decide this/)
})
