import assert from 'node:assert/strict'
import { test } from 'node:test'
import { BadPayload, BadSettings, ResponseError, Retry } from '../kit/index.ts'
import { classifyError, classifyStatus, parseRetryAfter } from './classify.ts'

const NOW = Date.parse('2026-01-01T00:00:00Z')

function withCode(code: string, name = 'Error'): Error {
  return Object.assign(new Error('no'), { code, name })
}

const statuses: Record<string, number[]> = {
  delivered: [200, 201, 202, 204, 206, 299],
  retry: [408, 423, 429, 500, 502, 503, 504, 505, 508, 511, 521, 598, 599],
  discarded: [
    301, 302, 303, 304, 307, 308, 400, 401, 402, 403, 404, 405, 409, 410, 413, 415, 418, 422, 424, 451, 499, 501,
  ],
}

for (const [kind, list] of Object.entries(statuses)) {
  test(`an answer is ${kind}: ${list.join(', ')}`, () => {
    for (const status of list) {
      const ending = classifyStatus(status, undefined, '', NOW)
      assert.deepEqual([ending.kind, ending.status], [kind, status])
      if (ending.kind !== 'delivered') assert.equal(ending.code, String(status))
      if (kind === 'delivered') continue
      assert.deepEqual(classifyError(new ResponseError(status, {}, ''), NOW), ending)
    }
  })
}

const networkCodes: [string, string][] = [
  ...[
    'ENOTFOUND',
    'ECONNREFUSED',
    'ECONNRESET',
    'ECONNABORTED',
    'EHOSTUNREACH',
    'EAI_AGAIN',
    'ETIMEDOUT',
    'EREFUSED',
  ].map((code): [string, string] => [code, code]),
  ['ENETUNREACH', 'ENETUNREACH'],
  ['EPIPE', 'EPIPE'],
  ['CERT_HAS_EXPIRED', 'CERT_HAS_EXPIRED'],
  ['DEPTH_ZERO_SELF_SIGNED_CERT', 'DEPTH_ZERO_SELF_SIGNED_CERT'],
  ['ERR_TLS_CERT_ALTNAME_INVALID', 'ERR_TLS_CERT_ALTNAME_INVALID'],
  ['UND_ERR_SOCKET', 'ECONNRESET'],
  ['UND_ERR_CONNECT_TIMEOUT', 'ETIMEDOUT'],
  ['UND_ERR_HEADERS_TIMEOUT', 'ETIMEDOUT'],
  ['UND_ERR_BODY_TIMEOUT', 'ETIMEDOUT'],
]

test('whatever kept an answer from coming is tried again, under one name for each thing', () => {
  for (const [code, expected] of networkCodes) {
    const wrapped = new TypeError('fetch failed', { cause: withCode(code) })
    for (const error of [withCode(code), wrapped, new AggregateError([withCode(code)])]) {
      const ending = classifyError(error, NOW)
      assert.deepEqual([ending.kind, 'code' in ending && ending.code], ['retry', expected], code)
    }
  }
  const aborted = classifyError(Object.assign(new Error('too long'), { name: 'TimeoutError' }), NOW)
  assert.deepEqual(aborted, { kind: 'retry', code: 'ETIMEDOUT', detail: 'too long' })
})

test('what a connector throws says how the attempt ended', () => {
  assert.deepEqual(classifyError(new Retry('busy', 500), NOW), {
    kind: 'retry',
    code: 'RETRY',
    afterMs: 500,
    detail: 'busy',
  })
  assert.deepEqual(classifyError(new BadPayload('no'), NOW), {
    kind: 'discarded',
    code: 'MESSAGE_REJECTED',
    detail: 'no',
  })
  assert.deepEqual(classifyError(new BadSettings('no'), NOW), {
    kind: 'discarded',
    code: 'INVALID_SETTINGS',
    detail: 'no',
  })
  assert.deepEqual(classifyError(withCode('EGRESS_DENIED'), NOW), {
    kind: 'discarded',
    code: 'EGRESS_DENIED',
    detail: 'no',
  })
  assert.equal(classifyError(withCode('ERR_INVALID_URL'), NOW).kind, 'discarded')
})

test('a mistake in a connector ends as INTERNAL, whatever it throws', () => {
  for (const thrown of [new TypeError('x is not a function'), withCode('ERR_ASSERTION'), 'text', undefined, null, 7]) {
    const ending = classifyError(thrown, NOW)
    assert.deepEqual([ending.kind, 'code' in ending && ending.code], ['discarded', 'INTERNAL'])
  }
})

test('Retry-After is seconds or a date; what cannot be read is as if it were not there', () => {
  assert.equal(parseRetryAfter('120', NOW), 120_000)
  assert.equal(parseRetryAfter(' 0 ', NOW), 0)
  assert.equal(parseRetryAfter('Thu, 01 Jan 2026 00:01:00 GMT', NOW), 60_000)
  assert.equal(parseRetryAfter('Wed, 31 Dec 2025 00:00:00 GMT', NOW), 0)
  for (const header of [undefined, '', 'soon', '-5']) assert.ok((parseRetryAfter(header, NOW) ?? 0) === 0)
  const ending = classifyError(new ResponseError(429, { 'retry-after': '7' }, 'slow down'), NOW)
  assert.deepEqual(ending, { kind: 'retry', code: '429', status: 429, afterMs: 7000, detail: 'slow down' })
})
