/** What comes without an SDK: an image in an e-mail and another service's webhook end up as rows, like everything else. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { assertBalanced, type Status } from '../support/accounting.ts'
import { startPlatform, type Platform } from '../support/platform.ts'

let platform: Platform
before(async () => {
  platform = await startPlatform({
    config: `
sources:
  mails: { type: pixel-tracking-api, writeKeys: [MAIL_KEY] }
  billing:
    type: webhook
    settings:
      eventName: { '@template': 'Billing {{body.type}}' }
      userId: { '@path': $.body.data.customer }
      messageId: { '@path': $.headers.x-delivery-id }
      properties: { '@path': $.body.data }
      webhookToken: \${BILLING_TOKEN}
warehouses:
  local: { type: duckdb, settings: { path: warehouse.duckdb }, schedule: manual }
`,
    environment: { BILLING_TOKEN: 'let-me-in' },
  })
})
after(() => platform.dispose())

test('a pixel and a webhook, sent twice by its service, become one row each', async () => {
  const message = { writeKey: 'MAIL_KEY', userId: 'u-81', event: 'Email Opened', properties: { subject: 'Week 9' } }
  const data = Buffer.from(JSON.stringify(message)).toString('base64url')
  assert.equal((await fetch(`${platform.url}/v1/pixel/track?data=${data}`)).headers.get('content-type'), 'image/gif')
  for (let i = 0; i < 2; i += 1) {
    const response = await fetch(`${platform.url}/v1/webhooks/billing?b=let-me-in`, {
      method: 'POST',
      headers: { 'x-delivery-id': 'delivery-1', 'content-type': 'application/json' },
      body: JSON.stringify({ type: 'paid', data: { customer: 'c-1', amount: 12.5 } }),
    })
    assert.equal(await response.text(), '{"success":true}')
  }
  assert.equal((await fetch(`${platform.url}/v1/webhooks/billing`, { method: 'POST', body: '{}' })).status, 401)

  assert.equal((await platform.cli('sync', 'local')).code, 0)
  assert.deepEqual(await platform.json('sql', 'select user_id, subject from mails.email_opened'), [
    { user_id: 'u-81', subject: 'Week 9' },
  ])
  assert.deepEqual(await platform.json('sql', 'select id, user_id, amount from billing.billing_paid'), [
    { id: 'delivery-1', user_id: 'c-1', amount: 12.5 },
  ])
  assertBalanced((await platform.json('status')) as Status)
})
